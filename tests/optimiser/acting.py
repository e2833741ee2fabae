# SPDX-License-Identifier: Apache-2.0
"""A run's actions on one tenant, by figures that a test gives."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kryonix_cache.reference_impl.contract.model import TenantId
from kryonix_cache.reference_impl.optimiser.actions import Actions
from kryonix_cache.reference_impl.optimiser.analysis import (
    Analysis,
    ApiUse,
    BusinessContext,
    CacheEfficiency,
    MobileUse,
    SdkUse,
)
from kryonix_cache.reference_impl.optimiser.collection import collect
from kryonix_cache.reference_impl.optimiser.facts import TenantFacts
from kryonix_cache.reference_impl.optimiser.trail import Entry, Trail
from kryonix_cache.reference_impl.prediction.model import Forecast, Predicted
from tests.optimiser.keyspace import AT, CONTRACT

if TYPE_CHECKING:
    from datetime import datetime

    from kryonix_cache.reference_impl.connection import Pools
    from kryonix_cache.reference_impl.optimiser.loading import Loader
    from kryonix_cache.reference_impl.optimiser.report import Change, Problem

ACME = TenantId("acme")
DATABASES = range(16)


def analysis(
    *, hit_rate: float | None = None, calls: int | None = None, predicted: tuple[str, ...] = ()
) -> Analysis:
    """Return an analysis in which nothing else is known."""
    items = tuple(Predicted(f"api-cache:{each}", 4.0, 0.9, "asked for daily") for each in predicted)
    return Analysis(
        mobile=MobileUse(0, 0, {}, 0, 0, None),
        api=ApiUse(0, {}, {}),
        cache=CacheEfficiency(hit_rate, None, calls, None),
        business=BusinessContext(None, None, None, None, None),
        sdk=SdkUse(None, None, None, None, None),
        forecast=Forecast("hour-profile", 482_000, items, None, 0.9, None, "given"),
        peak_hours=(),
    )


def act(
    pools: Pools,
    figures: Analysis,
    *,
    run: str = "first",
    at: datetime = AT,
    loader: Loader | None = None,
    dry_run: bool = False,
) -> tuple[tuple[Change, ...], tuple[Problem, ...]]:
    """Collect the tenant's facts from the server, and act on them by the figures."""
    facts = collect(pools, CONTRACT).tenants.get(ACME, TenantFacts(ACME, 0))
    actions = Actions(CONTRACT, pools, run=run, at=at, loader=loader, dry_run=dry_run)
    return actions.act(facts, figures)


def entries(pools: Pools, database: int) -> list[Entry]:
    """Return what the tenant's trail in a database holds, the oldest first."""
    trail = Trail(CONTRACT, ACME, database)
    found = [trail.read(raw) for raw in pools[database].lrange(trail.key, 0, -1)]
    assert None not in found
    return [entry for entry in found if entry is not None]


def contents(pools: Pools) -> dict[tuple[int, bytes], tuple[bytes | None, int]]:
    """Return each key of the server with its value and the moment of its expiry."""
    return {
        (database, key): (pools[database].dump(key), pools[database].pexpiretime(key))
        for database in DATABASES
        for key in pools[database].scan_iter()
    }
