# SPDX-License-Identifier: Apache-2.0
"""
The witness: judges replies by the ledger, and knows which accidents came before them.

A call that an accident hits may raise, and its write may or may not have happened. What is asked
afterwards must be answered, after some errors perhaps, and rightly.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeVar

import redis.exceptions

from kryonix_cache.conformance.accidents.ledger import Ledger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from kryonix_cache.conformance.evidence import Evidence

T = TypeVar("T")

RECOVERY_SECONDS = 5.0
"""How long after an accident a system may raise errors of its connection, or answer misses."""

HURRY_SECONDS = 0.5
"""The same once something was found: the shortest story is then looked for."""

PAUSE_SECONDS = 0.002

_TROUBLE = (redis.exceptions.ConnectionError, redis.exceptions.TimeoutError, OSError)


class Patience:
    """How long a system may take to find its way back."""

    def __init__(self, seconds: float) -> None:
        self._until = time.monotonic() + seconds

    @property
    def over(self) -> bool:
        """Whether it has had its time."""
        return time.monotonic() > self._until


class Witness:
    """Judges what comes back; `story` are the accidents so far, for the findings.

    What a system in this process raises while it finds its way back is known: errors of the
    connection. One in another process may put them into errors of its own.
    """

    def __init__(self, evidence: Evidence, *, in_process: bool) -> None:
        self.evidence = evidence
        self.ledger = Ledger()
        self.story: list[str] = []
        self._trouble: tuple[type[Exception], ...] = _TROUBLE if in_process else (Exception,)
        self._seconds = RECOVERY_SECONDS

    def start_over(self) -> None:
        """Forget story and findings, for another example."""
        self.evidence.start_over()
        self.ledger = Ledger()
        self.story.clear()

    def patience(self) -> Patience:
        """Return a fresh patience."""
        return Patience(self._seconds)

    def excuses(self, error: BaseException) -> bool:
        """Say whether it is an error behind which no reply stands.

        A system may put an error of its connection into one of its own: then it is the cause,
        or the error that was being handled.
        """
        return any(isinstance(each, self._trouble) for each in _chain(error))

    def judge(self, slug: str, where: str, found: str | None) -> None:
        """Compare a reply with what the cell may hold."""
        self.evidence.saw("replies")
        if not self.ledger.allows(slug, found):
            self.found(where, found or "nothing", self.ledger.wanted(slug))

    def glance(self, slug: str, where: str, found: str | None) -> None:
        """Judge the reply to a call that was under way when an accident came.

        A cache may answer an error of its connection with a miss.
        """
        if found is not None:
            self.judge(slug, where, found)

    def found(self, where: str, found: object, wanted: str) -> None:
        """Add a finding, with the accidents that led to it."""
        self._seconds = HURRY_SECONDS
        story = "; ".join(self.story) or "no accident"
        self.evidence.found(f"{where}, after: {story}", found=found, wanted=wanted)

    def raised(self, where: str, error: BaseException) -> None:
        """Add a finding for what a call raised that no accident was to hit."""
        self.found(where, f"{type(error).__name__}: {error}", "an answer")

    def judged(self, where: str, call: Callable[[], T]) -> T | None:
        """Make a call that an accident may hit; an error is excused, and stands for None."""
        try:
            return call()
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 (SystemExit and pytest's outcomes too)
            if not self.excuses(error):
                self.raised(where, error)
        return None

    def settled(self, where: str, call: Callable[[], bool]) -> None:
        """Make a call that no accident is to hit until it says True; it may take some attempts."""
        patience = self.patience()
        while True:
            try:
                if call():
                    return
            except KeyboardInterrupt:
                raise
            except BaseException as error:  # noqa: BLE001 (SystemExit and pytest's outcomes too)
                # The reply to another call is often one that cannot be understood.
                if patience.over or not self.excuses(error):
                    self.raised(where, error)
                    return
            time.sleep(PAUSE_SECONDS)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and what led to it, each once; a chain may be made to end in itself."""
    seen: list[BaseException] = []
    now: BaseException | None = error
    while now is not None and not any(now is each for each in seen):
        seen.append(now)
        yield now
        now = now.__cause__ or now.__context__
