# SPDX-License-Identifier: Apache-2.0
"""What lies on the server of a tenant's reads, read without trust in how large it is."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

import redis

from kryonix_cache.reference_impl.demand import items
from kryonix_cache.reference_impl.demand.series import HOURS_OF_DAY
from kryonix_cache.reference_impl.optimiser.report import Problem
from kryonix_cache.reference_impl.tenant.exchanges import Batch, accepted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from kryonix_cache.reference_impl.bulk import Reply
    from kryonix_cache.reference_impl.contract import Contract
    from kryonix_cache.reference_impl.forbidden import Command
    from kryonix_cache.reference_impl.tenant.exchanges import Program

_DAY_S = 86_400
_BATCH_BYTES = 4 << 20


@dataclass(slots=True)
class Stored:
    """The keys of one tenant's reads: `days` maps the first hour of a day to its counters.

    `history` is None where there is none that can be read; `unreadable` then says why, if it is
    not simply missing. `problems` are those of the counters.
    """

    tenant: str
    history: bytes | None = None
    unreadable: str | None = None
    days: dict[int, list[tuple[bytes, bytes]]] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Source:
    """One key of one tenant; `day` is None for the history."""

    stored: Stored
    key: bytes
    day: int | None

    def refuse(self, why: str) -> None:
        if self.day is None:
            self.stored.unreadable = why
        else:
            self.stored.problems.append(Problem(self.key.decode(), f"{why}; it was left out"))


class Shelf:
    """Where the contract keeps reads, and how much of it is read."""

    def __init__(self, contract: Contract, hour: int) -> None:
        """Raise DemandNotKeptError or UnknownFamilyError if the contract keeps no reads.

        `hour` is the present one: counters are looked for in the days before it.
        """
        counters = contract.family(items.COUNTERS)
        self.database = contract.family(items.HISTORY).databases[0]
        self._contract = contract
        self._most_members = items.most_members(contract)
        today = hour - hour % HOURS_OF_DAY
        # A day's counters live on after the last writing, which may come in the next day.
        back = (counters.ttl.max_seconds or 0) // _DAY_S + 1
        self.days = [today - HOURS_OF_DAY * each for each in range(back)]

    def history_key(self, tenant: str) -> bytes:
        """Return the key of a tenant's history."""
        return self._contract.key(items.HISTORY, tenant=tenant)

    def counter_key(self, tenant: str, hour: int) -> bytes:
        """Return the key of a tenant's counters of one day."""
        return items.counter_key(self._contract, tenant, hour)

    def keys(self, tenant: str, *, counters: bool = True) -> list[bytes]:
        """Return every key that `read` looks at for a tenant."""
        days = self.days if counters else []
        return [self.history_key(tenant), *(self.counter_key(tenant, day) for day in days)]

    def read(self, tenants: Sequence[str], *, counters: bool = True) -> Program[list[Stored]]:
        """Return what lies there of each tenant: sizes are asked first, and values after them."""
        found = [Stored(tenant) for tenant in tenants]
        sources = [source for stored in found for source in self._sources(stored, counters)]
        sized = yield from self._sizes(sources)
        weighed = yield from self._weights(sized)
        for portion in _portions(weighed):
            replies = yield Batch(self.database, [self._value(source) for source in portion])
            for source, reply in zip(portion, replies, strict=True):
                _keep(source, accepted(reply))
        return found

    def _sources(self, stored: Stored, counters: bool) -> Iterator[_Source]:  # noqa: FBT001 (of `read`)
        for key, day in zip(
            self.keys(stored.tenant, counters=counters), [None, *self.days], strict=False
        ):
            yield _Source(stored, key, day)

    def _sizes(self, sources: Sequence[_Source]) -> Program[list[tuple[_Source, int]]]:
        replies = yield Batch(
            self.database,
            [(b"STRLEN" if each.day is None else b"ZCARD", each.key) for each in sources],
        )
        sized = []
        for source, reply in zip(sources, replies, strict=True):
            if isinstance(reply, redis.ResponseError) and str(reply).startswith("WRONGTYPE"):
                source.refuse("the key holds another type than the contract's")
                continue
            size = cast("int", accepted(reply))
            if source.day is not None and size > self._most_members:
                source.refuse(f"the key has {size} members, more than {self._most_members}")
            elif size:
                sized.append((source, size))
        return sized

    def _weights(self, sized: list[tuple[_Source, int]]) -> Program[list[tuple[_Source, int]]]:
        # All samples, for one enormous member among small ones must not be missed; how many there
        # are is known.
        counters = [source for source, _ in sized if source.day is not None]
        commands = [(b"MEMORY", b"USAGE", each.key, b"SAMPLES", b"0") for each in counters]
        replies = (yield Batch(self.database, commands)) if commands else []
        bytes_of = {
            source.key: cast("int", accepted(reply) or 0)
            for source, reply in zip(counters, replies, strict=True)
        }
        weighed = []
        for source, size in sized:
            taken = bytes_of.get(source.key, size)
            if taken > self._contract.big_key_bytes:
                most = self._contract.big_key_bytes
                source.refuse(f"the key takes {taken} bytes, more than {most}")
            else:
                weighed.append((source, taken))
        return weighed

    def _value(self, source: _Source) -> Command:
        if source.day is None:
            return (b"GET", source.key)
        last = b"%d" % (self._most_members - 1)
        return (b"ZRANGE", source.key, b"0", last, b"WITHSCORES")


def _portions(weighed: Sequence[tuple[_Source, int]]) -> Iterator[list[_Source]]:
    portion: list[_Source] = []
    taken = 0
    for source, size in weighed:
        if portion and taken + size > _BATCH_BYTES:
            yield portion
            portion, taken = [], 0
        portion.append(source)
        taken += size
    if portion:
        yield portion


def _keep(source: _Source, reply: Reply) -> None:
    if source.day is None:
        source.stored.history = cast("bytes | None", reply)
    else:
        flat = iter(cast("list[bytes]", reply))
        source.stored.days[source.day] = list(zip(flat, flat, strict=True))
