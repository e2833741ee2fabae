# SPDX-License-Identifier: Apache-2.0
"""The analysis of a tenant: right for known data, unknown where nothing is known (E13, E18)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from kryonix_cache.reference_impl.contract.model import TenantId
from kryonix_cache.reference_impl.demand.series import Demand
from kryonix_cache.reference_impl.optimiser.collection import collect
from kryonix_cache.reference_impl.optimiser.facts import TenantFacts
from kryonix_cache.reference_impl.optimiser.figures import FigureReader, Figures
from kryonix_cache.reference_impl.optimiser.sections import analyse, peak_hours
from kryonix_cache.reference_impl.prediction.model import Forecast
from tests.optimiser.keyspace import (
    CONTRACT,
    put_answer,
    put_connection,
    put_metrics,
    put_session,
    put_settings,
)

if TYPE_CHECKING:
    from kryonix_cache.reference_impl.connection import Pools
    from kryonix_cache.reference_impl.optimiser.analysis import Analysis

ACME = TenantId("acme")
NOTHING = Demand((), 0, np.zeros((0, 0)))
NO_FORECAST = Forecast("none", 0, (), None, 0.0, None, "nothing was read yet")


def analysis_of(pools: Pools) -> tuple[Analysis, dict[str, str]]:
    """Return the analysis of acme, and its problems by place."""
    figures = FigureReader(pools, CONTRACT).read([ACME])[ACME]
    facts = collect(pools, CONTRACT).tenants.get(ACME, TenantFacts(ACME, 0))
    analysis, problems = analyse(CONTRACT, facts, figures, NOTHING, NO_FORECAST)
    return analysis, {problem.where: problem.what for problem in problems}


def test_every_figure_of_known_data_is_right_and_names_its_key(redis_pools: Pools) -> None:
    put_metrics(
        redis_pools,
        "acme",
        cache_hit_rate="89.2",
        avg_response_time="145ms",
        api_calls_today="12500",
        mobile_users="45",
    )
    put_settings(
        redis_pools,
        "acme",
        business_sector="medicina",
        timezone="America/Sao_Paulo",
        business_hours='{"days":[1,2,3,4,5,5]}',
        notification_preferences='{"sms":true}',
    )
    redis_pools[5].hset(
        "sdk:tenant:acme",
        mapping={"modules_enabled": '["crm","agenda"]', "subscription_status": "active"},
    )
    redis_pools[5].hset(
        "sdk:analytics:tenant:acme",
        mapping={
            "total_requests_today": "1250",
            "most_used_endpoint": "/api/crm/leads",
            "error_rate": "0.2%",
        },
    )
    user = {"user_id": "u1", "device_type": "mobile", "platform": "ios"}
    put_session(redis_pools, "acme", "s1", user)
    put_connection(redis_pools, "acme", "c1", {"user_id": "u2", "platform": "web"})
    put_answer(redis_pools, "acme", "crm.users", ttl=100)

    analysis, problems = analysis_of(redis_pools)

    assert problems == {}
    cache = analysis.cache
    assert (cache.hit_rate_percent, cache.response_ms, cache.api_calls) == (89.2, 145.0, 12500)
    assert cache.score == round(44.6 + 55 / 200 * 50, 2)
    assert analysis.mobile.share_percent == 50
    assert analysis.mobile.platforms == {"ios": 1}
    assert analysis.api.lifetimes == {"short": 1, "medium": 0, "long": 0}
    business = analysis.business
    assert (business.sector, business.timezone) == ("medicina", "America/Sao_Paulo")
    assert business.operating_days == 5
    assert business.notification_preferences == {"sms": True}
    sdk = analysis.sdk
    assert (sdk.modules, sdk.subscription) == (("crm", "agenda"), "active")
    assert (sdk.requests, sdk.most_used_endpoint) == (1250, "/api/crm/leads")
    assert sdk.error_rate_percent == 0.2
    assert sdk.healthy
    sources = analysis.sources
    assert sources["cache.hit_rate_percent"] == "db 3 metrics:tenant:acme cache_hit_rate"
    assert "db 11 websocket:tenant:acme:*" in sources["mobile.share_percent"]


def test_a_tenant_of_which_nothing_is_known_has_no_figures(redis_pools: Pools) -> None:
    """E13: a missing metric is no zero, and no users are no share."""
    analysis, problems = analysis_of(redis_pools)

    assert problems == {}
    assert analysis.cache.hit_rate_percent is None
    assert analysis.cache.score is None
    assert analysis.mobile.share_percent is None
    assert analysis.business.operating_days is None
    assert analysis.sdk.healthy is None
    assert analysis.peak_hours == ()
    assert "mobile.share_percent" not in analysis.sources


@pytest.mark.parametrize(
    ("field", "bad"),
    [
        ("cache_hit_rate", "101"),
        ("cache_hit_rate", "nan"),
        ("avg_response_time", "145"),
        ("avg_response_time", "-5ms"),
        ("api_calls_today", "-1"),
        ("api_calls_today", "9" * 40),
        ("api_calls_today", "12.5"),
    ],
)
def test_a_bad_value_is_a_problem_of_its_field_and_the_rest_goes_on(
    redis_pools: Pools, field: str, bad: str
) -> None:
    good = {"cache_hit_rate": "80", "avg_response_time": "1s", "api_calls_today": "7"}
    put_metrics(redis_pools, "acme", **(good | {field: bad}))

    analysis, problems = analysis_of(redis_pools)

    assert list(problems) == [f"db 3 metrics:tenant:acme {field}"]
    cache = analysis.cache
    known = {
        "cache_hit_rate": cache.hit_rate_percent,
        "avg_response_time": cache.response_ms,
        "api_calls_today": cache.api_calls,
    }
    assert known.pop(field) is None
    assert known == {
        name: figure
        for name, figure in [
            ("cache_hit_rate", 80.0),
            ("avg_response_time", 1000.0),
            ("api_calls_today", 7),
        ]
        if name != field
    }


@pytest.mark.parametrize("bad", ['{"days":"all"}', '{"days":[8]}', '{"days":[true]}'])
def test_days_that_are_none_leave_the_number_of_days_unknown(redis_pools: Pools, bad: str) -> None:
    put_settings(redis_pools, "acme", business_hours=bad, timezone="UTC")

    analysis, problems = analysis_of(redis_pools)

    assert analysis.business.operating_days is None
    assert analysis.business.timezone == "UTC"
    assert list(problems) == ["db 7 config:tenant:acme business_hours"]


def test_a_key_of_another_type_leaves_its_section_unknown(redis_pools: Pools) -> None:
    redis_pools[3].set("metrics:tenant:acme", "89.2")
    put_settings(redis_pools, "acme", timezone="UTC")

    analysis, problems = analysis_of(redis_pools)

    assert analysis.cache.hit_rate_percent is None
    assert analysis.business.timezone == "UTC"
    assert "WRONGTYPE" in problems["db 3 metrics:tenant:acme"]


def test_an_enormous_value_is_not_read_and_its_neighbours_are(redis_pools: Pools) -> None:
    put_metrics(redis_pools, "acme", cache_hit_rate="8" * 5_000_000, api_calls_today="7")

    analysis, problems = analysis_of(redis_pools)

    assert analysis.cache.api_calls == 7
    assert "5000000 bytes" in problems["db 3 metrics:tenant:acme cache_hit_rate"]


def reads(hours: int, first: int, of: dict[int, float]) -> Demand:
    counts = np.array([[of.get((first + index) % 24, 0.0) for index in range(hours)]])
    return Demand(("api-cache:crm.users",), first, counts)


def test_peak_hours_are_those_with_far_more_reads_than_the_mean() -> None:
    demand = reads(72, 5, {9: 100.0, 14: 60.0, 15: 5.0})
    assert peak_hours(demand) == (9, 14)


@pytest.mark.parametrize(
    "demand",
    [
        NOTHING,
        reads(47, 0, {9: 100.0}),
        reads(72, 0, {}),
        reads(72, 0, dict.fromkeys(range(24), 3.0)),
    ],
)
def test_without_two_days_or_without_a_peak_there_are_no_peak_hours(demand: Demand) -> None:
    """E17: nothing is taken for a peak that was not seen."""
    assert peak_hours(demand) == ()


def test_figures_of_many_tenants_are_not_mixed_up(redis_pools: Pools) -> None:
    tenants = [TenantId(f"t{number}") for number in range(30)]
    for number, tenant in enumerate(tenants):
        put_metrics(redis_pools, tenant, api_calls_today=str(number))

    figures: dict[TenantId, Figures] = FigureReader(redis_pools, CONTRACT).read(tenants)

    found = {tenant: figures[tenant].get("tenant-metrics", "api_calls_today") for tenant in tenants}
    assert {t: f.value for t, f in found.items() if f} == {
        tenant: number for number, tenant in enumerate(tenants)
    }
