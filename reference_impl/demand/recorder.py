# SPDX-License-Identifier: Apache-2.0
"""
The recorder: counts a sample of the reads of tenants, and writes the counts now and then.

A server does not tell who read what, so the tenant handle counts for itself. A read costs a
decrement; one that is drawn costs a look at the clock and an addition. Counts are scaled by the
sampling when they are drawn, so that sums are right on average however the sampling changes.

What was counted is written at most once: after a failure nobody knows whether the server had
carried the writing out, and a read that is counted twice is worse than one that is not. Counts that
are lost stand in `state`.
"""

from __future__ import annotations

import math
import os
import random
import time
from dataclasses import dataclass
from threading import RLock
from typing import TYPE_CHECKING, TypeAlias
from weakref import WeakSet

import redis

from kryonix_cache.reference_impl.demand import items
from kryonix_cache.reference_impl.demand.series import SECONDS_OF_HOUR
from kryonix_cache.reference_impl.tenant import exchanges

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from kryonix_cache.reference_impl.contract import Contract
    from kryonix_cache.reference_impl.tenant.exchanges import Program

# An item that is one read in a hundred is known to two hundredths after an hour.
_SAMPLES_PER_S = 100.0
_SPARSEST = 1024
_INTERVAL_S = 60.0
_MOST_CELLS = 4096
_LONGEST_BACK_OFF = 16
# The server works off a transaction in one go: so many additions take it under a millisecond.
_PORTION = 200

_Cell: TypeAlias = "tuple[float, str, str, tuple[str, ...]]"
"""Hour, tenant, family and the parts of a key."""

_Counts: TypeAlias = "dict[bytes, dict[str, int]]"


@dataclass(frozen=True, slots=True)
class RecorderState:
    """What a recorder did so far. Reads are scaled by the sampling.

    `one_in` is the present sampling, `cells` the counts in memory. `dropped` are reads that were
    drawn and not written: memory was full, or a writing failed; `last_error` says why.
    """

    one_in: int
    cells: int
    written: int
    dropped: int
    failures: int
    last_error: str | None


class AccessRecorder:
    """Counts reads for the tenants of one server, and for one account on it.

    Safe to share between threads and tasks. A child that is forked starts with nothing counted, so
    that nothing is written twice. Memory is bounded by `most_cells` counts; further items are
    dropped until there is room.

    One read in `one_in` is drawn; without it the recorder chooses: every read, and fewer of them
    where a process reads so often that the drawing would be felt. Counts are written once in
    `interval_s` seconds, or when memory is full, by whichever operation of a handle comes next.
    """

    def __init__(
        self,
        contract: Contract,
        *,
        one_in: int | None = None,
        interval_s: float = _INTERVAL_S,
        most_cells: int = _MOST_CELLS,
        clock: Callable[[], float] = time.time,
        chance: random.Random | None = None,
    ) -> None:
        """Raise DemandNotKeptError or UnknownFamilyError if the contract keeps no reads.

        `clock` gives epoch seconds.
        """
        family = contract.family(items.COUNTERS)
        self._contract = contract
        self._database = family.databases[0]
        self._lifetime = b"%d" % (family.ttl.max_seconds or 0)
        self._beyond = b"%d" % -(items.most_members(contract) + 1)
        self._adapts = one_in is None
        self._one_in = max(1, one_in or 1)
        self._interval = interval_s
        self._most_cells = most_cells
        self._clock = clock
        self._given_chance = chance
        self._start()
        _RECORDERS.add(self)

    def _start(self) -> None:
        # Also in a forked child, where another thread of the parent may have held the lock.
        # Reentrant, because a destructor that reads the cache may run at any allocation.
        self._lock = RLock()
        self._chance = self._given_chance or random.Random()  # noqa: S311 (no secret)
        self._cells: dict[_Cell, list[int]] = {}
        self._written = self._dropped = self._failures = self._draws = 0
        self._failures_in_a_row = 0
        self._last_error: str | None = None
        self._gap = self._next_gap()
        self._since = self._clock()
        self._due_at = self._since + self._wait()
        self.is_due = False

    def note(self, tenant: str, family: str, *parts: str) -> None:
        """Take note that an item of a family was asked for, whether it was there or not.

        `parts` are those of its key, without the tenant.
        """
        with self._lock:
            self._gap -= 1
            if self._gap > 0:
                return
            one_in = self._one_in
            self._gap = 1 if one_in == 1 else self._next_gap()
            self._draws += 1
            now = self._clock()
            # Names are put together when they are written: most reads are of a known cell.
            cell = (now // SECONDS_OF_HOUR, tenant, family, parts)
            count = self._cells.get(cell)
            if count is None:
                self._begin(cell)
            else:
                count[0] += one_in
            # A clock that was set back would put the next writing off for ever.
            if not self._since <= now < self._due_at:
                self.is_due = True

    def _begin(self, cell: _Cell) -> None:
        if len(self._cells) >= self._most_cells:
            self._dropped += self._one_in
        else:
            self._cells[cell] = [self._one_in]
        if len(self._cells) >= self._most_cells and not self._failures_in_a_row:
            self.is_due = True

    def claim(self) -> bool:
        """Say whether it is the caller who writes now; nobody else is told so until it is due."""
        with self._lock:
            claimed, self.is_due = self.is_due, False
            return claimed

    def flush(self) -> Program[None]:
        """Write what was counted, one transaction after another, each for one day of one tenant.

        What the server refuses is dropped and stands in `state`. Raises redis.RedisError where the
        server is lost; tell `failed` of it.
        """
        counts = self._take()
        left = sum(sum(each.values()) for each in counts.values())
        refusal: redis.ResponseError | None = None
        try:
            for key, portion in _portions(counts):
                try:
                    yield from self._write(key, portion)
                except redis.ResponseError as error:
                    refusal = error
                else:
                    left -= sum(portion.values())
                    self._note_written(sum(portion.values()))
            if refusal is None:
                self._failures_in_a_row = 0
            else:
                self.failed(refusal)
        finally:
            with self._lock:
                self._dropped += left

    def failed(self, error: Exception) -> None:
        """Take note that a writing failed; the next ones come later with each failure."""
        with self._lock:
            self._failures += 1
            self._failures_in_a_row += 1
            self._last_error = f"{type(error).__name__}: {error}"

    @property
    def state(self) -> RecorderState:
        """What the recorder did so far."""
        with self._lock:
            return RecorderState(
                self._one_in,
                len(self._cells),
                self._written,
                self._dropped,
                self._failures,
                self._last_error,
            )

    def _write(self, key: bytes, portion: Mapping[str, int]) -> Program[object]:
        # The bound and the expiry come with each writing, so that no accident leaves a key
        # without them. Of equal counts the earlier hours go first.
        return exchanges.transact(
            self._database,
            *((b"ZINCRBY", key, b"%d" % count, name.encode()) for name, count in portion.items()),
            (b"ZREMRANGEBYRANK", key, b"0", self._beyond),
            (b"EXPIRE", key, self._lifetime),
        )

    def _take(self) -> _Counts:
        with self._lock:
            cells, self._cells = self._cells, {}
            now = self._clock()
            if self._adapts:
                self._adapt(now - self._since)
            self._draws = 0
            self._since, self._due_at, self.is_due = now, now + self._wait(), False
        counts: _Counts = {}
        for (hour, tenant, family, parts), (count,) in cells.items():
            key = items.counter_key(self._contract, tenant, int(hour))
            member = items.counter_of(int(hour), items.item_of(family, *parts))
            counts.setdefault(key, {})[member] = count
        return counts

    def _adapt(self, seconds: float) -> None:
        reads_per_s = self._draws * self._one_in / max(seconds, 1.0)
        wanted = 1
        while wanted < _SPARSEST and reads_per_s / wanted > _SAMPLES_PER_S:
            wanted *= 2
        # A short while shows that there are many reads, and does not show that there are few.
        if wanted > self._one_in or (wanted < self._one_in and seconds >= self._interval / 2):
            # A gap that has begun may be thrown away: how long it lasts yet does not depend on
            # how long it has lasted.
            self._one_in = wanted
            self._gap = self._next_gap()

    def _next_gap(self) -> int:
        """Return after how many reads the next one is drawn, each with the same probability."""
        if self._one_in == 1:
            return 1
        unlikely = math.log1p(-self._chance.random()) / math.log1p(-1 / self._one_in)
        return 1 + int(unlikely)

    def _wait(self) -> float:
        # By chance, so that processes that were started together do not write together.
        longer = min(1 << self._failures_in_a_row, _LONGEST_BACK_OFF)
        return self._interval * longer * self._chance.uniform(0.75, 1.25)

    def _note_written(self, reads: int) -> None:
        with self._lock:
            self._written += reads


def _portions(counts: _Counts) -> Iterator[tuple[bytes, dict[str, int]]]:
    for key, members in counts.items():
        names = list(members)
        for start in range(0, len(names), _PORTION):
            yield key, {name: members[name] for name in names[start : start + _PORTION]}


_RECORDERS: WeakSet[AccessRecorder] = WeakSet()


def _start_anew() -> None:
    for recorder in _RECORDERS:
        recorder._start()  # noqa: SLF001 (the module's own class)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_anew)
