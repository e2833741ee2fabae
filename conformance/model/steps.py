# SPDX-License-Identifier: Apache-2.0
"""Steps: what a program is made of, one call, calls of several tenants at once, or a pause."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kryonix_cache.conformance.model.entries import Entry
    from kryonix_cache.conformance.model.operations import Call


@dataclass(frozen=True, slots=True)
class Single:
    """One call that is answered before the next step begins."""

    call: Call

    def __str__(self) -> str:
        return str(self.call)

    @property
    def calls(self) -> tuple[Call, ...]:
        """The calls of the step."""
        return (self.call,)


@dataclass(frozen=True, slots=True)
class AtOnce:
    """Calls of several tenants at once, those about one entry of a tenant in their order.

    Where it is played `closely` threads take turns between lines of the system, too, and not only
    where they wait for the server.
    """

    calls: tuple[Call, ...]
    by: Literal["threads", "tasks"]
    closely: bool = False

    def __str__(self) -> str:
        return f"at once by {self.by} ({'; '.join(map(str, self.calls))})"

    @property
    def lanes(self) -> list[list[int]]:
        """The places of the calls for each thread or task.

        Calls of one tenant about different entries take lanes of their own, on the one handle.
        A tenant has a single lane where a call of its own is about all entries: what that one
        must answer would be open otherwise.
        """
        in_turn = {call.tenant for call in self.calls if call.entry is None}
        found: dict[tuple[str, Entry | None], list[int]] = {}
        for place, call in enumerate(self.calls):
            entry = None if call.tenant in in_turn else call.entry
            found.setdefault((call.tenant, entry), []).append(place)
        return list(found.values())


@dataclass(frozen=True, slots=True)
class Pause:
    """So many seconds pass for all that expires."""

    seconds: int

    def __str__(self) -> str:
        return f"{self.seconds} s pass"

    @property
    def calls(self) -> tuple[Call, ...]:
        """No call."""
        return ()


Step: TypeAlias = Single | AtOnce | Pause


def written(steps: Sequence[Step]) -> str:
    """Return the steps in one line."""
    return "; ".join(map(str, steps)) or "nothing"


@dataclass(frozen=True, slots=True)
class Turn:
    """A call that was made, what of the system's reply is compared, and what it must be.

    `reply` is the whole of it.
    """

    call: Call
    found: object
    wanted: object
    reply: object
