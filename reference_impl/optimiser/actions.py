# SPDX-License-Identifier: Apache-2.0
"""
The actions of a run: what the rules decide, done for one tenant after the other.

Each change goes in one transaction with its trail and its mark, under a watch of what it was
decided by: a value that somebody rewrites meanwhile is looked at anew, and a run that dies leaves
no change that is not recorded. Round trips for a tenant do not grow with its keys.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kryonix_cache.reference_impl.optimiser import rules
from kryonix_cache.reference_impl.optimiser.errors import NoOptimiserRulesError
from kryonix_cache.reference_impl.optimiser.extending import Extending, wanted_by
from kryonix_cache.reference_impl.optimiser.keeping import Keeping
from kryonix_cache.reference_impl.optimiser.loading import TimedLoader
from kryonix_cache.reference_impl.optimiser.turn import RunClock, Turn

if TYPE_CHECKING:
    from datetime import datetime

    from kryonix_cache.reference_impl.connection import Clients
    from kryonix_cache.reference_impl.contract import Contract
    from kryonix_cache.reference_impl.optimiser.analysis import Analysis
    from kryonix_cache.reference_impl.optimiser.facts import TenantFacts
    from kryonix_cache.reference_impl.optimiser.loading import Loader
    from kryonix_cache.reference_impl.optimiser.report import Change, Problem


class Actions:
    """Acts on the tenants of one run; make it when the run begins, for its clock counts from then.

    A dry run sends nothing but reads; it asks the loader as a run would.
    """

    def __init__(
        self,
        contract: Contract,
        clients: Clients,
        *,
        run: str,
        at: datetime,
        loader: Loader | None,
        dry_run: bool,
    ) -> None:
        if contract.optimiser is None:
            raise NoOptimiserRulesError(contract.name)
        self._contract, self._clients = contract, clients
        self._rule = contract.optimiser
        self._run, self._dry_run = run, dry_run
        self._clock = RunClock(at)
        self._loader = TimedLoader(
            loader,
            limit_s=self._rule.loader_s,
            largest_bytes=self._rule.largest_value_bytes,
        )

    def act(
        self, facts: TenantFacts, analysis: Analysis
    ) -> tuple[tuple[Change, ...], tuple[Problem, ...]]:
        """Act on one tenant: the API rule, the TTL rule, then the mobile rule, the preload rule.

        What cannot be read or is refused for one key is a problem, and the rest goes on.

        Raises:
            WritesRefusedError: the server takes no writes from anybody.
            redis.ConnectionError, redis.TimeoutError: the server went away.

        """
        fires = rules.firing(self._rule, analysis)
        turn = Turn(
            contract=self._contract,
            clients=self._clients,
            rule=self._rule,
            run=self._run,
            tenant=facts.tenant,
            clock=self._clock,
            dry_run=self._dry_run,
        )
        done = Extending(turn).extend(wanted_by(turn, facts, fires))
        done.add(Keeping(turn, self._loader).keep(analysis, fires))
        return tuple(done.changes), tuple(done.problems)
