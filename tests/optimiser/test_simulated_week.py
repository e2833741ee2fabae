# SPDX-License-Identifier: Apache-2.0
"""A week of a run every fifteen minutes: extensions do not add up (E14)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kryonix_cache.reference_impl.optimiser.optimiser import Optimiser
from tests.optimiser.keyspace import CONTRACT, put_metrics
from tests.optimiser.time_machine import Application, TimeMachine

if TYPE_CHECKING:
    from kryonix_cache.reference_impl.connection import Pools

INTERVAL_S = 900
DAY = 24 * 4
OLDEST_S = 7200
CLOCK_S = 30
"""How long the runs themselves take at most, during which the server's own clock goes on."""

LIFETIMES = {
    "crm.dashboard": 1800,
    "users.profile": 2700,
    "crm.leads": 600,
    "sales.month": 3500,
    "agenda.today": 901,
    "reports.year": 7200,
}
UNDATED = {"crm.undated": 1800, "sales.undated": 3000}


def play(pools: Pools, runs: int) -> tuple[Application, float, int]:
    """Return the application, the greatest age that an answer could reach, and the extensions."""
    time = TimeMachine(pools)
    application = Application(time, LIFETIMES, UNDATED)
    put_metrics(pools, "acme", cache_hit_rate="60", api_calls_today="9000")
    pools[1].set("tenant:acme:api:crm:for-ever", "{}")
    optimiser = Optimiser(CONTRACT, pools)
    oldest, extended = 0.0, 0
    for _ in range(runs):
        application.refresh("acme")
        report = optimiser.optimise(at=time.now)
        changes = report.tenants["acme"].changes
        # The others are those of the values that carry no time.
        assert not [p for p in report.tenants["acme"].problems if "first sight" not in p.what]
        extended += sum(change.action == "extended" for change in changes)
        oldest = max(oldest, application.oldest(at_the_end=True))
        time.advance(INTERVAL_S)
        oldest = max(oldest, application.oldest(at_the_end=False))
    return application, oldest, extended


def test_after_a_week_no_extended_value_got_older_than_the_contract_allows(
    redis_pools: Pools,
) -> None:
    application, oldest, extended = play(redis_pools, 7 * DAY)

    assert oldest <= OLDEST_S + CLOCK_S
    # Every value was extended at most once, and most of them were.
    assert application.rewritten / 2 < extended <= application.rewritten
    assert redis_pools[1].ttl("tenant:acme:api:crm:for-ever") == -1


def test_the_measure_finds_the_extensions_of_the_specification(redis_pools: Pools) -> None:
    """Half as long again at every run, as the source has it: values outlive the bound (E14)."""
    time = TimeMachine(redis_pools)
    application = Application(time, {"crm.dashboard": 1800, "users.profile": 2700})
    oldest = 0.0
    for _ in range(DAY):
        application.refresh("acme")
        for name in redis_pools[1].scan_iter():
            left = redis_pools[1].ttl(name)
            if 0 < left < 3600:
                redis_pools[1].expire(name, min(int(left * 1.5), OLDEST_S))
        time.advance(INTERVAL_S)
        oldest = max(oldest, application.oldest(at_the_end=False))

    assert oldest > 2 * OLDEST_S
