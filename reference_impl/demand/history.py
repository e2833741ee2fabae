# SPDX-License-Identifier: Apache-2.0
"""
The history of a tenant's reads: what is kept of the last days, and what is counted since.

A read lies in exactly one place: in the counters of its day, or in the history. Folding moves the
counters of hours that are over, in one transaction that fails if anybody has touched either of them
meanwhile. So nothing is counted twice wherever a run dies, and a late writing of a recorder is
simply moved by the next folding.

The present hour is not over, so it is no column of a table: its reads so far stand beside it.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, TypeVar

from kryonix_cache.reference_impl.demand.items import LARGEST_COUNT, hour_of, item_of
from kryonix_cache.reference_impl.demand.keeper import Keeper
from kryonix_cache.reference_impl.problems import Problem
from kryonix_cache.reference_impl.scan import told
from kryonix_cache.reference_impl.tenant.runners import Runner

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from kryonix_cache.reference_impl.connection import Clients
    from kryonix_cache.reference_impl.contract import Contract
    from kryonix_cache.reference_impl.demand.logs import Access
    from kryonix_cache.reference_impl.demand.series import Demand
    from kryonix_cache.reference_impl.tenant.exchanges import Program

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Loaded:
    """The reads of a tenant until an hour began, and what of them was unreadable.

    `unfolded` says that counters lie there which `fold` would move, or throw away.
    """

    demand: Demand
    problems: list[Problem]
    unfolded: bool


_TENANTS_AT_ONCE = 40
_CELLS_AT_ONCE = 100_000


def load(
    clients: Clients, contract: Contract, tenant: str, at: datetime
) -> tuple[Demand, list[Problem]]:
    """Return the reads of a tenant until the hour of `at` began (UTC), and what was unreadable.

    Without any the demand has no items. Nothing is written.

    Raises:
        ScanLostError: the server went away or refuses.
        DemandNotKeptError, UnknownFamilyError: the contract keeps no reads.

    """
    loaded = load_many(clients, contract, [tenant], at)[tenant]
    return loaded.demand, loaded.problems


def load_many(
    clients: Clients, contract: Contract, tenants: Iterable[str], at: datetime
) -> dict[str, Loaded]:
    """Return what `load` does for each of the tenants, in few round trips.

    The table of a busy tenant takes up to 350 KB of memory, so give some hundred at a time.
    """
    keeper = Keeper(contract, at)
    found = {}
    waiting = iter(tenants)
    while some := list(islice(waiting, _TENANTS_AT_ONCE)):
        for stored in _played(clients, keeper, keeper.shelf.read(some)):
            found[stored.tenant] = Loaded(*keeper.demand(stored))
    return found


def fold(clients: Clients, contract: Contract, tenant: str, at: datetime) -> list[Problem]:
    """Move the counters of hours that are over into the tenant's history.

    Counters that are too large or of another type are left where they are. A history that cannot
    be read is replaced, and a problem says so; where there is nothing to move it stays. Raises as
    `load` does, and ContentionError where recorders write all the time.
    """
    keeper = Keeper(contract, at)
    return _played(clients, keeper, keeper.folding(tenant))


def learn(
    clients: Clients, contract: Contract, reads: Iterable[Access], at: datetime
) -> list[Problem]:
    """Add past reads, in any order, to the histories of their tenants.

    Reads after the hour of `at`, and those from before the days that are kept, are left out; a
    problem says how many. Reads that are learnt twice count twice, and so do those that a recorder
    has counted as well. Raises as `fold` does; what was added until then stays.
    """
    keeper = Keeper(contract, at)
    lesson = _Lesson(contract, keeper)
    problems: list[Problem] = []
    for read in reads:
        lesson.take(read)
        if lesson.cells >= _CELLS_AT_ONCE:
            problems += lesson.write(clients)
    problems += lesson.write(clients)
    return problems + lesson.left_out()


class _Lesson:
    """Reads by tenant, item and hour, until there are enough to be written."""

    def __init__(self, contract: Contract, keeper: Keeper) -> None:
        self._contract = contract
        self._keeper = keeper
        self._tenants: dict[str, dict[str, dict[int, int]]] = {}
        self._left_out: dict[str, int] = {}
        self.cells = 0

    def take(self, read: Access) -> None:
        hour = hour_of(read.at)
        reason = self._reason_against(read, hour)
        if reason is not None:
            self._left_out[reason] = self._left_out.get(reason, 0) + 1
            return
        tenant = self._tenants.setdefault(read.tenant, {})
        hours = tenant.setdefault(item_of(read.family, read.item), {})
        if hour not in hours:
            self.cells += 1
        hours[hour] = min(LARGEST_COUNT, hours.get(hour, 0) + read.count)

    def _reason_against(self, read: Access, hour: int) -> str | None:
        if hour > self._keeper.hour:
            return "lie in the future"
        if hour < self._keeper.hour - self._keeper.hours:
            return "are older than what is kept"
        if not 0 < read.count <= LARGEST_COUNT:
            return f"have a count that is not from 1 to {LARGEST_COUNT}"
        if not self._contract.tenant.is_valid(read.tenant):
            return "name no valid tenant"
        item = item_of(read.family, read.item)
        if item not in self._tenants.get(read.tenant, ()) and not self._keeper.reader.names(item):
            return "have an item that cannot be counted"
        return None

    def write(self, clients: Clients) -> list[Problem]:
        problems: list[Problem] = []
        for tenant, cells in self._tenants.items():
            problems += _played(clients, self._keeper, self._keeper.learning(tenant, cells))
        self._tenants, self.cells = {}, 0
        return problems

    def left_out(self) -> list[Problem]:
        return [
            Problem("reads to learn from", f"{count} {reason}, and were left out")
            for reason, count in self._left_out.items()
        ]


def _played(clients: Clients, keeper: Keeper, program: Program[T]) -> T:
    client = clients[keeper.shelf.database]
    with told(client, keeper.shelf.database):
        return Runner(clients).run(program)
