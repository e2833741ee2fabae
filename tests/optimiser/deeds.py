# SPDX-License-Identifier: Apache-2.0
"""Analyses that make rules fire, and others that come in between."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kryonix_cache.reference_impl.connection import CommandPolicy
from kryonix_cache.reference_impl.optimiser.actions import Actions
from kryonix_cache.reference_impl.optimiser.analysis import (
    Analysis,
    ApiUse,
    BusinessContext,
    CacheEfficiency,
    MobileUse,
    SdkUse,
)
from kryonix_cache.reference_impl.optimiser.facts import HotKey, TenantFacts
from kryonix_cache.reference_impl.prediction.model import Forecast, Predicted
from tests.optimiser.keyspace import AT, CONTRACT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import datetime

    from kryonix_cache.reference_impl.connection import Command, Pools
    from kryonix_cache.reference_impl.contract.model import OptimiserRule, TenantId
    from kryonix_cache.reference_impl.optimiser.loading import Loader
    from kryonix_cache.reference_impl.optimiser.report import Change, Problem

RULE: OptimiserRule = CONTRACT.optimiser
ANSWERS, KEPT = 1, 10

Deeds = tuple[tuple["Change", ...], tuple["Problem", ...]]


def analysis(
    *,
    hit_rate: float | None = None,
    calls: int | None = None,
    mobile: float | None = None,
    items: Sequence[str] = (),
) -> Analysis:
    """Return an analysis with these figures; `items` are predicted answers."""
    predicted = tuple(Predicted(f"api-cache:{item}", 3, 0.9, "asked daily") for item in items)
    return Analysis(
        mobile=MobileUse(0, 0, {}, 0, 0, mobile),
        api=ApiUse(0, {}, {}),
        cache=CacheEfficiency(hit_rate, None, calls, None),
        business=BusinessContext(None, None, None, None, None),
        sdk=SdkUse(None, None, None, None, None),
        forecast=Forecast("profile", 0, predicted, None, 0.9, None, "tried"),
        peak_hours=(),
    )


LOW = analysis(hit_rate=60)
BUSY = analysis(calls=9000)
MOBILE = analysis(mobile=90)


def facts(tenant: TenantId, hottest: Iterable[bytes] = ()) -> TenantFacts:
    """Return facts of a tenant with these answers, the hottest first."""
    return TenantFacts(tenant, 1, tuple(HotKey(key, 1, 0) for key in hottest))


def actions(
    pools: Pools,
    *,
    at: datetime = AT,
    run: str = "run-1",
    loader: Loader | None = None,
    dry_run: bool = False,
) -> Actions:
    """Return the actions of a run."""
    return Actions(CONTRACT, pools, run=run, at=at, loader=loader, dry_run=dry_run)


class Interference(CommandPolicy):
    """Calls somebody in, once, just before the first transaction is sent; counts round trips."""

    def __init__(self, deed: Callable[[], object] | None = None) -> None:
        self.deed = deed
        self.always = False
        self.came_in = 0
        self.batches: list[Sequence[Command]] = []

    def check(self, args: Command, database: int) -> None:
        """Note a command that goes out alone."""
        self.check_batch((args,), database)

    def check_batch(self, commands: Sequence[Command], database: int) -> None:
        """Note a pipeline, and let somebody come in between."""
        del database
        self.batches.append(commands)
        if commands[0] == (b"MULTI",) and self.deed is not None:
            deed = self.deed
            self.came_in += 1
            if not self.always:
                self.deed = None
            deed()
