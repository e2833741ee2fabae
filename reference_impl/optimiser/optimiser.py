# SPDX-License-Identifier: Apache-2.0
"""
One run of the optimiser: lock, one pass, then tenant by tenant.

A tenant's turn is history, forecast, analysis, actions, records, and the folding of its reads. What
goes wrong in it stays in it, so that one broken tenant stops none of the others; what concerns the
server, the lock or the account stops the run.
"""

from __future__ import annotations

import os
import re
import secrets
import socket
import time
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC
from typing import TYPE_CHECKING

import redis

from kryonix_cache.reference_impl.demand import history
from kryonix_cache.reference_impl.demand.series import SECONDS_OF_HOUR
from kryonix_cache.reference_impl.errors import (
    ContentionError,
    FormatError,
    KeyPartError,
    KryonixError,
)
from kryonix_cache.reference_impl.optimiser import rules
from kryonix_cache.reference_impl.optimiser.actions import Actions
from kryonix_cache.reference_impl.optimiser.collection import collect
from kryonix_cache.reference_impl.optimiser.errors import (
    MomentInvalidError,
    NoOptimiserRulesError,
    OptimisationLostError,
)
from kryonix_cache.reference_impl.optimiser.figures import FigureReader
from kryonix_cache.reference_impl.optimiser.lock import OptimiserLock
from kryonix_cache.reference_impl.optimiser.presence import who_is_there
from kryonix_cache.reference_impl.optimiser.records import Outcome, Records
from kryonix_cache.reference_impl.optimiser.report import Report, TenantReport
from kryonix_cache.reference_impl.optimiser.sections import analyse
from kryonix_cache.reference_impl.optimiser.traces import Traces
from kryonix_cache.reference_impl.prediction.forecast import forecast
from kryonix_cache.reference_impl.problems import Problem
from kryonix_cache.reference_impl.tenant.families import PRELOADED

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence
    from datetime import datetime

    from kryonix_cache.reference_impl.connection import Clients
    from kryonix_cache.reference_impl.contract import Contract
    from kryonix_cache.reference_impl.contract.model import OptimiserRule, TenantId
    from kryonix_cache.reference_impl.demand.history import Loaded
    from kryonix_cache.reference_impl.demand.series import Demand
    from kryonix_cache.reference_impl.optimiser.analysis import Analysis
    from kryonix_cache.reference_impl.optimiser.collection import Collected
    from kryonix_cache.reference_impl.optimiser.facts import TenantFacts
    from kryonix_cache.reference_impl.optimiser.figures import Figures
    from kryonix_cache.reference_impl.optimiser.loading import Loader
    from kryonix_cache.reference_impl.optimiser.report import Change
    from kryonix_cache.reference_impl.prediction.model import Forecast

    Progress = Callable[[str, int, int | None], None]

TENANTS_AT_ONCE = 50
"""Whose figures and histories are read in one go."""

RENEWAL_S = 30.0

_OF_ONE_TENANT = (ContentionError, FormatError, KeyPartError)
_NO_NAME = re.compile(r"[^A-Za-z0-9_.-]")
_LONGEST_HOST = 64
_HALF = 0.5
ERASED = "its keys went away during the run, so nothing was written for it"
NOBODY = "it has no key but those that runs wrote for it, so nothing was written for it"


class Optimiser:
    """Analyses tenants and acts on what it finds.

    `loader` gives the real value of an item of a tenant. `progress` is told of a stage (`keys`,
    `tenants`), how much of it was done since, and how much there is in all, if that is known.
    """

    def __init__(
        self,
        contract: Contract,
        clients: Clients,
        *,
        loader: Loader | None = None,
        progress: Progress | None = None,
        max_impact: float = 1.0,
    ) -> None:
        if contract.optimiser is None:
            raise NoOptimiserRulesError(contract.name)
        self._contract = contract
        self._clients = clients
        self._loader = loader
        self._progress = progress or _silent
        self._max_impact = max_impact

    def optimise(
        self, *, at: datetime, tenants: Collection[str] | None = None, dry_run: bool = False
    ) -> Report:
        """Analyse the tenants, all that have keys for None, and act on what is found.

        `at` is taken for the present. A dry run writes nothing, and so needs no lock.

        Raises:
            OptimiserBusyError: another run holds the lock.
            InvalidTenantIdError: a tenant has no valid id.
            MomentInvalidError: `at` has no offset from UTC (E27).
            TargetLostError: the server went away.
            ReadDeniedError: this user may not run one of the commands.

        """
        if at.tzinfo is None:
            raise MomentInvalidError(at.isoformat())
        chosen = None if tenants is None else {self._contract.tenant.parse(t) for t in tenants}
        moment = at.astimezone(UTC)
        run = f"{moment:%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"
        with ExitStack() as held:
            lock = None
            if not dry_run:
                lock = held.enter_context(OptimiserLock(self._clients, self._contract, _owner(run)))
            return _Run(
                self._contract,
                self._clients,
                run=run,
                at=moment,
                dry_run=dry_run,
                loader=self._loader,
                beat=_Beat(lock),
                progress=self._progress,
            ).go(chosen, self._max_impact)


class _Beat:
    """Renews the lock now and then while there is work to do."""

    def __init__(self, lock: OptimiserLock | None) -> None:
        self._lock = lock
        self._last = time.monotonic()

    def __call__(self) -> None:
        now = time.monotonic()
        if self._lock is not None and now - self._last >= RENEWAL_S:
            self._lock.renew()
            self._last = now


class _Run:
    """What belongs to one run."""

    def __init__(
        self,
        contract: Contract,
        clients: Clients,
        *,
        run: str,
        at: datetime,
        dry_run: bool,
        loader: Loader | None,
        beat: _Beat,
        progress: Progress,
    ) -> None:
        assert contract.optimiser is not None
        self._contract = contract
        self._rule: OptimiserRule = contract.optimiser
        self._clients = clients
        self._run, self._at, self._dry_run = run, at, dry_run
        self._beat = beat
        self._loads = loader is not None
        self._gone: set[TenantId] = set()
        self._progress = progress
        self._figures = FigureReader(clients, contract)
        self._records = Records(clients, contract)
        self._traces = Traces(contract, clients, run=run, at=at)
        self._actions = Actions(contract, clients, run=run, at=at, loader=loader, dry_run=dry_run)
        # The hour that most of a preload's life lies in; it may follow the one that is running.
        running, seconds = divmod(at.timestamp(), SECONDS_OF_HOUR)
        self._elapsed = seconds / SECONDS_OF_HOUR
        self._hour = int(running) + (self._elapsed >= _HALF)
        self._lifetime_s = float(contract.family(PRELOADED).ttl.max_seconds or SECONDS_OF_HOUR)
        # What all runs of an hour may preload: each takes what is not warm by then.
        runs_an_hour = max(1, SECONDS_OF_HOUR // self._rule.interval_s)
        self._budget = self._rule.preload_items * runs_an_hour

    def go(self, chosen: Collection[str] | None, max_impact: float) -> Report:
        collected = collect(
            self._clients,
            self._contract,
            tenants=chosen,
            max_impact=max_impact,
            seen=self._seen,
        )
        reports: dict[str, TenantReport] = {}
        facts = list(collected.tenants.values())
        for some in _portions(facts):
            for report in self._portion(some):
                reports[report.tenant] = report
                self._progress("tenants", 1, len(facts))
        for tenant in sorted(set(chosen or ()) - set(reports)):
            problem = Problem(f"tenant {tenant}", "it has no key in any database")
            reports[tenant] = TenantReport(tenant, None, (), (problem,))
        return Report(
            run=self._run,
            at=self._at,
            dry_run=self._dry_run,
            tenants=reports,
            problems=_of_nobody(collected),
            keys=collected.keys,
        )

    def _seen(self, keys: int) -> None:
        self._progress("keys", keys, None)
        self._beat()

    def _portion(self, some: Sequence[TenantFacts]) -> Iterator[TenantReport]:
        """Yield the reports of some tenants; of those that were erased meanwhile nothing stays."""
        tenants = [facts.tenant for facts in some]
        figures = self._figures.read(tenants)
        reads = history.load_many(self._clients, self._contract, tenants, self._at)
        self._look(some)
        reports = []
        for facts in some:
            reports.append(self._tenant(facts, figures[facts.tenant], reads[facts.tenant]))
            self._beat()
        self._look(some)
        for facts, report in zip(some, reports, strict=True):
            yield self._without(facts, report) if facts.tenant in self._gone else report

    def _look(self, some: Sequence[TenantFacts]) -> None:
        """Note which of the tenants are not there any more; who went once is not let in again."""
        if not self._dry_run:
            self._gone |= {facts.tenant for facts in some} - who_is_there(self._clients, some)

    def _tenant(self, facts: TenantFacts, figures: Figures, reads: Loaded) -> TenantReport:
        analysis: Analysis | None = None
        changes: tuple[Change, ...] = ()
        problems = list(reads.problems)
        try:
            analysis, found = analyse(
                self._contract, facts, figures, reads.demand, self._forecast(reads.demand)
            )
            problems += found
            if facts.tenant not in self._gone:
                changes, found = self._actions.act(facts, analysis)
                problems += found
                if self._loads:
                    # Only a loader takes so long that it is worth another look.
                    self._look([facts])
            if not self._dry_run and facts.tenant not in self._gone:
                problems += self._finish(facts.tenant, analysis, reads, changes)
        except (redis.ConnectionError, redis.TimeoutError) as error:
            raise OptimisationLostError(self._run, facts.tenant, str(error)) from error
        except _OF_ONE_TENANT as error:
            problems.append(Problem(f"tenant {facts.tenant}", str(error)))
        except KryonixError:
            raise
        except Exception as error:  # noqa: BLE001 (whatever one tenant's data leads to stays with it)
            what = f"{type(error).__name__}: {error}"
            problems.append(Problem(f"tenant {facts.tenant}", what))
        return TenantReport(facts.tenant, analysis, changes, tuple(problems))

    def _without(self, facts: TenantFacts, report: TenantReport) -> TenantReport:
        """Take away what the run wrote for a tenant that is no more; return what is left to say."""
        self._records.remove(facts.tenant)
        self._traces.remove(facts)
        problem = Problem(f"tenant {facts.tenant}", ERASED if facts.anchors else NOBODY)
        return replace(report, changes=(), problems=(*report.problems, problem))

    def _forecast(self, demand: Demand) -> Forecast:
        return forecast(
            demand,
            self._hour,
            lifetime_s=self._lifetime_s,
            budget=self._budget,
            elapsed=self._elapsed if self._elapsed >= _HALF else None,
        )

    def _finish(
        self, tenant: TenantId, analysis: Analysis, reads: Loaded, changes: Sequence[Change]
    ) -> list[Problem]:
        """Write the records and fold the reads."""
        opportunities = rules.opportunities(self._rule, analysis)
        outcome = Outcome(tenant, self._at, analysis, reads.demand, opportunities, changes)
        problems = self._records.write(outcome)
        if reads.unfolded:
            problems += history.fold(self._clients, self._contract, tenant, self._at)
        return problems


def _of_nobody(collected: Collected) -> tuple[Problem, ...]:
    if not collected.unknown:
        return collected.problems
    what = f"{collected.unknown} keys belong to no family of the contract and were skipped"
    return (*collected.problems, Problem("all databases", what))


def _portions(facts: Sequence[TenantFacts]) -> Iterator[Sequence[TenantFacts]]:
    for start in range(0, len(facts), TENANTS_AT_ONCE):
        yield facts[start : start + TENANTS_AT_ONCE]


def _owner(run: str) -> str:
    host = _NO_NAME.sub("-", socket.gethostname())[:_LONGEST_HOST]
    return f"{run}-{host}-{os.getpid()}"


def _silent(stage: str, done: int, total: int | None) -> None:
    """Tell nobody."""
