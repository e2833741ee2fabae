# SPDX-License-Identifier: Apache-2.0
"""
Undoing a run: what it left is put back, and what somebody changed since is left alone and named.

The lock of the optimiser is held meanwhile, so that no run is undone that still goes on.
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kryonix_cache.reference_impl.optimiser.errors import (
    BookkeepingUnusableError,
    NoOptimiserRulesError,
    UnknownOptimisationError,
)
from kryonix_cache.reference_impl.optimiser.lock import OptimiserLock
from kryonix_cache.reference_impl.optimiser.report import Problem
from kryonix_cache.reference_impl.optimiser.restoring import Restoring
from kryonix_cache.reference_impl.optimiser.trail import FAMILY
from kryonix_cache.reference_impl.optimiser.turn import Done, RunClock, Turn, settle
from kryonix_cache.reference_impl.scan import pages, told

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime

    from kryonix_cache.reference_impl.connection import Clients
    from kryonix_cache.reference_impl.contract import Contract
    from kryonix_cache.reference_impl.contract.model import TenantId
    from kryonix_cache.reference_impl.optimiser.report import Change

AT_ONCE = 20
"""Changes that are taken back in one transaction."""


@dataclass(frozen=True, slots=True)
class UndoReport:
    """What became of a run's changes.

    `undone` were put back now, or would be in a dry run; `already` counts those that had been
    before. `skipped` names each that somebody, or time, changed since, and why it was left alone.
    """

    run: str
    undone: tuple[Change, ...]
    already: int
    skipped: tuple[Problem, ...]


def undo(
    contract: Contract,
    clients: Clients,
    run: str,
    *,
    at: datetime,
    tenants: Collection[str] | None = None,
    dry_run: bool = False,
) -> UndoReport:
    """Put back what a run changed; `at` is noted as the moment of it.

    All tenants for None, which takes a pass over the names of the keys beside which trails lie.
    Holds the lock of the optimiser, except in a dry run.

    Raises:
        UnknownOptimisationError: no change of the run is recorded.
        OptimiserBusyError: a run is at work.
        InvalidTenantIdError: a tenant has no valid id.
        WritesRefusedError: the server takes no writes.
        TargetLostError: the server went away.
        ReadDeniedError: this user may not run SCAN.

    """
    chosen = None if tenants is None else {contract.tenant.parse(each) for each in tenants}
    lock = nullcontext() if dry_run else OptimiserLock(clients, contract, f"undo-{run}")
    with lock:
        undoing = _Undoing(contract, clients, run, at, dry_run=dry_run)
        for database in contract.family(FAMILY).databases:
            with told(clients[database], database):
                for tenant in _tenants(contract, clients, database, chosen):
                    undoing.undo(tenant, database)
    return undoing.report()


def _tenants(
    contract: Contract, clients: Clients, database: int, chosen: Collection[TenantId] | None
) -> Collection[TenantId]:
    if chosen is not None:
        return sorted(chosen)
    found = set()
    for page in pages(clients, [database]):
        for name in page.names:
            parsed = contract.parse(database, name)
            if parsed and parsed.family.name == FAMILY and parsed.tenant:
                found.add(parsed.tenant)
    return sorted(contract.tenant.parse(each) for each in found if contract.tenant.is_valid(each))


class _Undoing:
    """Collects what became of the changes, tenant by tenant."""

    def __init__(
        self, contract: Contract, clients: Clients, run: str, at: datetime, *, dry_run: bool
    ) -> None:
        if contract.optimiser is None:
            raise NoOptimiserRulesError(contract.name)
        self._contract, self._clients, self._rule = contract, clients, contract.optimiser
        self._run, self._dry_run = run, dry_run
        self._clock = RunClock(at)
        self._done = Done()
        self._already = 0

    def undo(self, tenant: TenantId, database: int) -> None:
        """Take back what the run changed of one tenant in one database, the newest first."""
        turn = Turn(
            contract=self._contract,
            clients=self._clients,
            rule=self._rule,
            run=self._run,
            tenant=tenant,
            clock=self._clock,
            dry_run=self._dry_run,
        )
        restoring = Restoring(turn, database)
        try:
            found = restoring.recorded()
        except BookkeepingUnusableError as error:
            self._done.problems.append(Problem(f"db {database}", str(error)))
            return
        still = [it for it in reversed(found) if it.entry.undone_at is None]
        self._already += len(found) - len(still)
        for start in range(0, len(still), AT_ONCE):
            part = still[start : start + AT_ONCE]
            self._done.add(settle(restoring.attempt, part, restoring.place))

    def report(self) -> UndoReport:
        """Return what became of all of them; raise UnknownOptimisationError if there is none."""
        done = self._done
        if not (done.changes or done.problems or self._already):
            raise UnknownOptimisationError(self._run)
        return UndoReport(self._run, tuple(done.changes), self._already, tuple(done.problems))
