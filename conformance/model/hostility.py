# SPDX-License-Identifier: Apache-2.0
"""
Hostile names offered to a system: each must be refused before a command is sent, or be harmless.

The server's own count says whether a command was sent, so that a system in another process is
judged as well. A system that never answers is not waited for longer than a few seconds.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import redis.exceptions

from kryonix_cache.conformance.datasets import digests
from kryonix_cache.conformance.outcomes import SystemRaisedError
from kryonix_cache.conformance.smoke import processed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from kryonix_cache.conformance.datasets import Place
    from kryonix_cache.reference_impl.connection import Clients
    from kryonix_cache.reference_impl.contract import Contract

PATIENCE_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Reaction:
    """What a system did with a name: how it ended, and how many commands it sent meanwhile."""

    error: BaseException | None
    commands: int
    hung: bool = False

    @property
    def is_refusal(self) -> bool:
        """Whether it was refused as it must be: by an error, before anything was sent.

        An assertion is no refusal, for Python can be told to leave assertions out.
        """
        return (
            isinstance(self.error, Exception)
            and not isinstance(self.error, AssertionError)
            and not self.commands
        )

    def __str__(self) -> str:
        if self.hung:
            return f"no answer within {PATIENCE_SECONDS:g} s"
        sent = f", after {self.commands} commands were sent" if self.commands else ""
        if self.error is None:
            return f"accepted{sent}"
        return f"{type(self.error).__name__}{sent}"


class Watch:
    """Sees what a system does with a name, on a server that nobody else uses."""

    def __init__(self, raw: Clients, contract: Contract) -> None:
        self._raw = raw
        self._contract = contract
        self._counted = processed(raw[0])

    def refuses_all(self, attempts: Sequence[Callable[[], Any]]) -> bool:
        """Say whether each attempt is refused as it must be; where not, try them one by one."""
        refused: list[bool] = []

        def run() -> None:
            refused.extend(Reaction(_error_of(do), 0).is_refusal for do in attempts)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        thread.join(PATIENCE_SECONDS)
        before, self._counted = self._counted, processed(self._raw[0])
        return len(refused) == len(attempts) and all(refused) and self._counted == before

    def reaction(self, do: Callable[[], Any]) -> Reaction:
        """Return what came of it; raise redis.ConnectionError where the server is lost."""
        ended: list[BaseException | None] = []

        def run() -> None:
            ended.append(_error_of(do))

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        thread.join(PATIENCE_SECONDS)
        now = processed(self._raw[0])
        commands = (now - self._counted).total()
        self._counted = now
        if not ended:
            return Reaction(None, commands, hung=True)
        if isinstance(ended[0], redis.exceptions.ConnectionError):
            raise ended[0]
        return Reaction(ended[0], commands)

    def state(self) -> dict[Place, str]:
        """Return a digest of every key, and leave the reading of it out of the count."""
        found = digests(self._raw, self._contract)
        self._counted = processed(self._raw[0])
        return found

    def remove(self, places: Iterable[Place]) -> None:
        """Remove keys, and leave that out of the count."""
        for database, key in places:
            self._raw[database].delete(key)
        self._counted = processed(self._raw[0])


def _error_of(do: Callable[[], Any]) -> BaseException | None:
    """Return what the system raised, None if nothing."""
    try:
        do()
    except SystemRaisedError as error:
        return error.__cause__
    except BaseException as error:  # noqa: BLE001 (what it is, is what is judged)
        return error
    return None
