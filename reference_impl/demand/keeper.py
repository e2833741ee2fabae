# SPDX-License-Identifier: Apache-2.0
"""The keeper of histories: what is read from them and written to them, as programs."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kryonix_cache.reference_impl.demand import encoding, items
from kryonix_cache.reference_impl.demand.errors import UnreadableHistoryError
from kryonix_cache.reference_impl.demand.series import HOURS_OF_DAY
from kryonix_cache.reference_impl.demand.stored import Shelf
from kryonix_cache.reference_impl.demand.table import Table
from kryonix_cache.reference_impl.errors import ContentionError
from kryonix_cache.reference_impl.problems import Problem
from kryonix_cache.reference_impl.tenant import exchanges
from kryonix_cache.reference_impl.tenant.exchanges import Batch

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from kryonix_cache.reference_impl.contract import Contract
    from kryonix_cache.reference_impl.demand.series import Demand
    from kryonix_cache.reference_impl.demand.stored import Stored
    from kryonix_cache.reference_impl.forbidden import Command
    from kryonix_cache.reference_impl.tenant.exchanges import Program

_ATTEMPTS = 16
_LONGEST_PAUSE_S = 0.02


@dataclass(slots=True)
class _Counted:
    """The counters of one day: those of hours that are over, of others, and broken ones."""

    members: list[bytes] = field(default_factory=list)
    broken: list[bytes] = field(default_factory=list)
    waiting: int = 0
    problems: list[Problem] = field(default_factory=list)


class Keeper:
    """Reads and writes histories as of one moment."""

    def __init__(self, contract: Contract, at: datetime) -> None:
        """Raise DemandNotKeptError or UnknownFamilyError if the contract keeps no reads."""
        rule = items.rule_of(contract)
        self.hour = items.hour_of(at)
        self.shelf = Shelf(contract, self.hour)
        self.reader = items.CounterReader(contract)
        self.hours = rule.history_days * HOURS_OF_DAY
        self._most_items = rule.history_items
        self._lifetime = b"%d" % (contract.family(items.HISTORY).ttl.max_seconds or 0)

    def demand(self, stored: Stored) -> tuple[Demand, list[Problem], bool]:
        """Return what was read until the present hour, and in it so far, and the problems.

        The last one says whether there is something to fold.
        """
        table = Table(self.hour, self.hours)
        problems = [*stored.problems]
        unreadable = self._add_history(table, stored)
        if unreadable:
            problems.append(self._problem(stored, f"{unreadable}; it was taken for empty"))
        counted = [self._add_counters(table, stored, day) for day in stored.days]
        problems += [problem for each in counted for problem in each.problems]
        unfolded = any(each.members or each.broken for each in counted)
        return table.demand(self._most_items), problems, unfolded

    def folding(self, tenant: str) -> Program[list[Problem]]:
        """Move what is over from a tenant's counters into its history."""
        for attempt in range(_ATTEMPTS):
            yield from self._watch(self.shelf.keys(tenant), attempt)
            (stored,) = yield from self.shelf.read([tenant])
            # One hour more, for what was learnt of the present one.
            table = Table(self.hour + 1, self.hours + 1)
            moved = {day: self._add_counters(table, stored, day) for day in stored.days}
            problems = [problem for each in moved.values() for problem in each.problems]
            removals = [
                command
                for day, each in moved.items()
                for command in self._removal(tenant, day, each)
            ]
            written = yield from self._replace(stored, table, removals)
            if written is not None:
                return stored.problems + problems + written
        raise ContentionError(_ATTEMPTS)

    def learning(
        self, tenant: str, cells: Mapping[str, Mapping[int, int]]
    ) -> Program[list[Problem]]:
        """Add reads by item and hour to a tenant's history."""
        for attempt in range(_ATTEMPTS):
            yield from self._watch(self.shelf.keys(tenant, counters=False), attempt)
            (stored,) = yield from self.shelf.read([tenant], counters=False)
            table = Table(self.hour + 1, self.hours + 1)
            for item, hours in cells.items():
                for hour, count in hours.items():
                    table.add(item, hour, count)
            written = yield from self._replace(stored, table, [], always=True)
            if written is not None:
                return written
        raise ContentionError(_ATTEMPTS)

    def _watch(self, keys: Sequence[bytes], attempt: int) -> Program[None]:
        # By chance, for two in step would make each other fail again and again.
        pause = random.uniform(0, _LONGEST_PAUSE_S) if attempt else 0.0  # noqa: S311 (no secret)
        (reply,) = yield Batch(self.shelf.database, [(b"WATCH", *keys)], pause=pause)
        exchanges.accepted(reply)

    def _replace(
        self, stored: Stored, table: Table, removals: Sequence[Command], *, always: bool = False
    ) -> Program[list[Problem] | None]:
        """Write the history and remove what it holds now, as one step; None if that failed."""
        problems = []
        unreadable = self._add_history(table, stored)
        if not removals and not always:
            yield from exchanges.ask(self.shelf.database, b"UNWATCH")
            what = f"{unreadable}; it was left as it is, for there is nothing to put in its place"
            return [self._problem(stored, what)] if unreadable else []
        if unreadable:
            what = f"{unreadable}; it was replaced by what was read since"
            problems.append(self._problem(stored, what))
        key = self.shelf.history_key(stored.tenant)
        demand = table.demand(self._most_items)
        text = encoding.encode(stored.tenant, demand, items.moment_of(self.hour))
        # SET would free an enormous value while everybody waits.
        replies = yield from exchanges.transact(
            self.shelf.database,
            (b"UNLINK", key),
            (b"SET", key, text, b"EX", self._lifetime),
            *removals,
        )
        return None if replies is None else problems

    def _add_history(self, table: Table, stored: Stored) -> str | None:
        """Add the stored history; return why that cannot be done, if so."""
        if stored.history is None:
            return stored.unreadable
        try:
            first, rows = encoding.decode(stored.history, stored.tenant, self.reader.names)
        except UnreadableHistoryError as error:
            return f"the history is none that was written here: {error}"
        for item, counts in rows.items():
            table.add_row(item, first, counts)
        return None

    def _add_counters(self, table: Table, stored: Stored, day: int) -> _Counted:
        """Add the counters of a day, and tell what came of each of them."""
        counted = _Counted()
        for member, score in stored.days[day]:
            read = self.reader.read(member)
            count = float(score)
            if read is None or not 0 < count <= items.LARGEST_COUNT:
                counted.broken.append(member)
            elif day + read[0] >= self.hour:
                counted.waiting += 1
                if day + read[0] == table.end:
                    table.add(read[1], table.end, count)
            else:
                table.add(read[1], day + read[0], count)
                counted.members.append(member)
        if counted.broken:
            what = (
                f"{len(counted.broken)} of {len(stored.days[day])} counters have no name or no "
                f"number of the contract; they were left out"
            )
            counted.problems.append(
                Problem(self.shelf.counter_key(stored.tenant, day).decode(), what)
            )
        return counted

    def _removal(self, tenant: str, day: int, counted: _Counted) -> Iterator[Command]:
        gone = [*counted.members, *counted.broken]
        key = self.shelf.counter_key(tenant, day)
        if gone and not counted.waiting:
            yield (b"UNLINK", key)
        elif gone:
            yield (b"ZREM", key, *gone)

    def _problem(self, stored: Stored, what: str) -> Problem:
        return Problem(self.shelf.history_key(stored.tenant).decode(), what)
