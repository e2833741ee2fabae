# SPDX-License-Identifier: Apache-2.0
"""
What a system may answer around an accident, and how it is asked.

A call that an accident hits may raise, and its write may or may not have happened. What is asked
afterwards must be answered, after some connection errors perhaps, and rightly: each value that
the suite writes names its tenant and its place and is written once, so that the reply to another
call is never taken for the right one.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeVar

import redis.exceptions

from kryonix_cache.conformance.model.programs import ITEMS, SESSIONS, TTL_SECONDS, session_fields

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from kryonix_cache.conformance.evidence import Evidence
    from kryonix_cache.fixtures.capabilities import AsyncTenantHandle, TenantHandle

T = TypeVar("T")

TROUBLE = (redis.exceptions.ConnectionError, redis.exceptions.TimeoutError, OSError)
"""What a system may raise while it finds its way back; no reply came, so none was wrong."""

RECOVERY_SECONDS = 5.0
"""How long after an accident a system may raise connection errors."""

NAMES = ("a", "ab")
PAUSE_SECONDS = 0.005

Kind = Literal["answer", "session"]


@dataclass(frozen=True, slots=True)
class Slot:
    """A place that one tenant writes: a cached answer or a session."""

    tenant: str
    kind: Kind
    index: int

    def __str__(self) -> str:
        if self.kind == "answer":
            return f"{self.tenant}.get{ITEMS[self.index]}"
        return f"{self.tenant}.read_session({SESSIONS[self.index]!r})"


ANSWERS = tuple(Slot(name, "answer", n) for name in NAMES for n in range(2))
SESSION_SLOTS = tuple(Slot(name, "session", n) for name in NAMES for n in range(2))


class Ledger:
    """What each place may hold: what was written last, and what was in doubt since the start.

    A write that was interrupted may still arrive, so it stays possible.
    """

    def __init__(self) -> None:
        self._serial = 0
        self._known: dict[Slot, object] = {}
        self._doubts: dict[Slot, list[object]] = {}

    def fresh(self, slot: Slot) -> object:
        """Return a value that was never written before."""
        self._serial += 1
        if slot.kind == "answer":
            return {"of": str(slot), "n": self._serial}
        return session_fields(self._serial)

    def wrote(self, slot: Slot, value: object) -> None:
        """Note what a write, or a removal (None), that returned has left."""
        self._known[slot] = value

    def doubt(self, slot: Slot, value: object) -> None:
        """Note what a write that did not return may leave."""
        self._doubts.setdefault(slot, []).append(value)

    def allows(self, slot: Slot, found: object) -> bool:
        """Say whether a read may give this."""
        return any(_agree(slot, found, each) for each in self._possible(slot))

    def wanted(self, slot: Slot) -> str:
        """Return what a read may give, for a finding."""
        return " or ".join(str(each) for each in self._possible(slot))

    def _possible(self, slot: Slot) -> Sequence[object]:
        return [self._known.get(slot), *self._doubts.get(slot, ())]


def _agree(slot: Slot, found: object, wanted: object) -> bool:
    if slot.kind == "answer" or wanted is None:
        return found == wanted
    # The system adds fields of its own.
    return isinstance(found, dict) and wanted.items() <= found.items()  # type: ignore[attr-defined]


@dataclass
class Witness:
    """Judges replies by the ledger; `story` are the accidents so far, for the findings."""

    evidence: Evidence
    ledger: Ledger = field(default_factory=Ledger)
    story: list[str] = field(default_factory=list)

    def judge(self, slot: Slot, found: object) -> None:
        """Compare a reply with what the place may hold."""
        self.evidence.saw("replies")
        if not self.ledger.allows(slot, found):
            self.found(str(slot), found, self.ledger.wanted(slot))

    def found(self, where: str, found: object, wanted: str) -> None:
        """Add a finding, with the accidents that led to it."""
        story = "; ".join(self.story) or "no accident"
        self.evidence.found(f"{where}, after: {story}", found=found, wanted=wanted)

    def raised(self, where: str, error: BaseException) -> None:
        """Add a finding for what a call raised that no accident was to hit."""
        self.found(where, f"{type(error).__name__}: {error}", "an answer")


@dataclass
class Patience:
    """How long a system may take to find its way back."""

    until: float = field(default_factory=lambda: time.monotonic() + RECOVERY_SECONDS)

    @property
    def over(self) -> bool:
        """Whether it has had its time."""
        return time.monotonic() > self.until


class Caller:
    """Calls the handles of a system that blocks, and judges their replies."""

    def __init__(self, handles: Mapping[str, TenantHandle], witness: Witness) -> None:
        self.handles = handles
        self.witness = witness

    def read(self, slot: Slot) -> object:
        """Read once, whatever happens; None if there is nothing."""
        handle = self.handles[slot.tenant]
        if slot.kind == "answer":
            return handle.get(*ITEMS[slot.index])
        return dict(handle.read_session(SESSIONS[slot.index])) or None

    def write(self, slot: Slot, value: object) -> None:
        """Write once, whatever happens; None removes."""
        handle = self.handles[slot.tenant]
        if slot.kind == "answer":
            if value is None:
                handle.delete(*ITEMS[slot.index])
            else:
                handle.put(*ITEMS[slot.index], value, ttl=TTL_SECONDS)
        elif value is None:
            handle.end_session(SESSIONS[slot.index])
        else:
            handle.start_session(SESSIONS[slot.index], value)  # type: ignore[arg-type]

    def check(self, slots: Sequence[Slot]) -> None:
        """Read each place, and judge what comes."""
        for slot in slots:
            self.settled(str(slot), lambda slot=slot: self._read_well(slot))  # type: ignore[misc]

    def renew(self, slots: Sequence[Slot]) -> None:
        """Write a fresh value into each place."""
        for slot in slots:
            value = self.witness.ledger.fresh(slot)
            self.witness.ledger.doubt(slot, value)
            self.settled(f"a write for {slot}", lambda s=slot, v=value: self.write(s, v))  # type: ignore[misc]
            self.witness.ledger.wrote(slot, value)

    def settled(self, where: str, call: Callable[[], T]) -> T | None:
        """Return what a call answers that no accident was to hit; it may take some attempts."""
        patience = Patience()
        while True:
            try:
                return call()
            except TROUBLE as error:
                if patience.over:
                    self.witness.raised(where, error)
                    return None
                time.sleep(PAUSE_SECONDS)
            except KeyboardInterrupt:
                raise
            except BaseException as error:  # noqa: BLE001 (SystemExit and pytest's outcomes too)
                # The reply to another call is often one that cannot be understood.
                self.witness.raised(where, error)
                return None

    def _read_well(self, slot: Slot) -> None:
        patience = Patience()
        found = self.read(slot)
        # A cache may answer a connection error with a miss; each other place is asked as well.
        while found is None and not self.witness.ledger.allows(slot, None) and not patience.over:
            time.sleep(PAUSE_SECONDS)
            found = self.read(slot)
        self.witness.judge(slot, found)


async def read_async(handle: AsyncTenantHandle, slot: Slot) -> object:
    """Read a cached answer once."""
    return await handle.get(*ITEMS[slot.index])


async def write_async(handle: AsyncTenantHandle, slot: Slot, value: object) -> None:
    """Write a cached answer once; None removes it."""
    if value is None:
        await handle.delete(*ITEMS[slot.index])
    else:
        await handle.put(*ITEMS[slot.index], value, ttl=TTL_SECONDS)
