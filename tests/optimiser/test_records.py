# SPDX-License-Identifier: Apache-2.0
"""The records of a run are the contract's, and hold what was measured (E13, E17, E27)."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np
import pytest

from kryonix_cache.reference_impl.contract.model import TenantId
from kryonix_cache.reference_impl.demand.series import Demand
from kryonix_cache.reference_impl.optimiser.analysis import (
    Analysis,
    ApiUse,
    BusinessContext,
    CacheEfficiency,
    MobileUse,
    SdkUse,
)
from kryonix_cache.reference_impl.optimiser.facts import TenantFacts
from kryonix_cache.reference_impl.optimiser.presence import who_is_there
from kryonix_cache.reference_impl.optimiser.records import Outcome, Records, number
from kryonix_cache.reference_impl.optimiser.report import Change
from kryonix_cache.reference_impl.prediction.model import Forecast, Predicted
from tests.optimiser.keyspace import AT, CONTRACT, put_metrics

if TYPE_CHECKING:
    from kryonix_cache.reference_impl.connection import Pools
    from kryonix_cache.reference_impl.optimiser.report import Rule

ACME = TenantId("acme")
PATTERNS = "ai:patterns:tenant:acme"
PREDICTION = "prediction:tenant:acme"
RESULT = "ai:analysis_result:tenant:acme"
APPLIED = "ai:recommendations:applied:acme"


def analysis(*, known: bool) -> Analysis:
    forecast = (
        Forecast(
            "hour-profile",
            482_000,
            (Predicted("api-cache:crm.leads.all", 4.0, 0.9, "asked for on 7 of 7 days"),),
            4.0,
            0.9,
            12.5,
            "the best of the back-test",
        )
        if known
        else Forecast("none", 482_000, (), None, 0.0, None, "too little history")
    )
    return Analysis(
        mobile=MobileUse(3, 3, {"ios": 3}, 4, 3, 75.0 if known else None),
        api=ApiUse(5, {"crm": 5}, {"short": 5, "medium": 0, "long": 0}),
        cache=CacheEfficiency(*((78.5, 145.0, 6000, 53.0) if known else (None,) * 4)),
        business=BusinessContext("medicina" if known else None, None, None, None, None),
        sdk=SdkUse(None, None, None, None, None),
        forecast=forecast,
        peak_hours=(9, 14) if known else (),
    )


def outcome(*, known: bool, rules: tuple[Rule, ...] = ()) -> Outcome:
    items = ("api-cache:crm.users", "api-cache:sales.month", "mobile-session:x")
    counts = np.array([[1.0, 1.0], [2.0, 3.0], [9.0, 9.0]])
    changes = tuple(
        Change(rule, "written", 10, b"preload:tenant:acme:crm.users", None, AT, "why")
        if rule == "preload"
        else Change(rule, "extended", 1, b"tenant:acme:api:crm:users", AT, AT, "why")
        for rule in rules
    )
    return Outcome(
        ACME,
        AT,
        analysis(known=known),
        Demand(items, 0, counts) if known else Demand((), 0, np.zeros((0, 0))),
        ("ttl",) if known else (),
        changes,
    )


def written(pools: Pools, what: Outcome) -> None:
    assert Records(pools, CONTRACT).write(what) == []


def fields(pools: Pools, database: int, key: str) -> dict[str, str]:
    return {name.decode(): v.decode() for name, v in pools[database].hgetall(key).items()}


def test_what_is_known_stands_in_the_records(redis_pools: Pools) -> None:
    written(redis_pools, outcome(known=True, rules=("ttl", "api", "preload")))

    assert fields(redis_pools, 4, PATTERNS) == {
        "peak_hours": "[9,14]",
        "mobile_percentage": "75",
        "most_used_module": "sales",
        "optimization_opportunities": '["ttl"]',
        "last_analysis": AT.isoformat(),
        "business_insights": '{"sector":"medicina"}',
    }
    assert fields(redis_pools, 10, PREDICTION) == {
        "next_hour_keys": '["tenant:acme:api:crm:leads.all"]',
        "confidence_score": "0.9",
        "predicted_hit_rate_improvement": "12.5",
        "recommended_preload": "true",
        "prediction_timestamp": AT.isoformat(),
        "ai_model": "hour-profile",
    }
    assert fields(redis_pools, 10, APPLIED) == {
        "ttl_optimization": "2 cached answers extended",
        "preload_strategy": "1 item by the prediction hour-profile",
        "result": "3 changes",
        "applied_at": AT.isoformat(),
    }


def test_the_result_lives_a_day_and_names_the_next_analysis(redis_pools: Pools) -> None:
    written(redis_pools, outcome(known=True, rules=("ttl",)))

    result = json.loads(redis_pools[4].get(RESULT) or b"")
    assert 86_390 < redis_pools[4].ttl(RESULT) <= 86_400
    assert result["analysis_timestamp"] == AT.isoformat()
    assert result["next_analysis"] == (AT + timedelta(minutes=15)).isoformat()
    assert result["optimizations_applied"] == ["ttl"]
    assert result["performance_score"] == 53.0
    assert result["analysis_summary"]["cache_hit_rate"] == 78.5


def test_what_is_unknown_stands_in_no_record_and_leaves_an_older_one(redis_pools: Pools) -> None:
    written(redis_pools, outcome(known=True))
    written(redis_pools, outcome(known=False))

    assert fields(redis_pools, 4, PATTERNS) == {
        "optimization_opportunities": "[]",
        "last_analysis": AT.isoformat(),
    }
    assert fields(redis_pools, 10, PREDICTION) == {
        "next_hour_keys": "[]",
        "confidence_score": "0",
        "recommended_preload": "false",
        "prediction_timestamp": AT.isoformat(),
        "ai_model": "none",
    }
    result = json.loads(redis_pools[4].get(RESULT) or b"")
    assert "performance_score" not in result
    assert set(result["analysis_summary"]) == {"mobile_sessions", "cached_answers"}


def test_without_a_change_nothing_is_said_to_be_applied(redis_pools: Pools) -> None:
    written(redis_pools, outcome(known=True))
    assert not redis_pools[10].exists(APPLIED)


@pytest.mark.parametrize("known", [True, False])
def test_every_field_is_in_the_format_of_the_contract(redis_pools: Pools, *, known: bool) -> None:
    written(redis_pools, outcome(known=known, rules=("ttl", "mobile", "preload")))
    for family, database, key in (
        ("usage-patterns", 4, PATTERNS),
        ("prediction", 10, PREDICTION),
        ("applied-recommendations", 10, APPLIED),
    ):
        rules = CONTRACT.family(family).fields
        found = fields(redis_pools, database, key)
        assert {name for name, rule in rules.items() if rule.required} <= set(found) <= set(rules)
        for name, text in found.items():
            rules[name].format.parse(text)
        assert redis_pools[database].ttl(key) == -1
    members = CONTRACT.family("analysis-result").all_fields
    result = json.loads(redis_pools[4].get(RESULT) or b"")
    assert {name for name, rule in members.items() if rule.required} <= set(result) <= set(members)


def test_a_record_that_cannot_be_written_is_a_problem_and_the_others_are_written(
    redis_pools: Pools,
) -> None:
    redis_pools[4].set(PATTERNS, "no hash")

    (problem,) = Records(redis_pools, CONTRACT).write(outcome(known=True))

    assert problem.where == f"db 4 {PATTERNS}"
    assert "WRONGTYPE" in problem.what
    assert redis_pools[4].exists(RESULT)
    assert redis_pools[10].exists(PREDICTION)


def test_the_records_of_a_tenant_that_is_no_more_are_removed(redis_pools: Pools) -> None:
    written(redis_pools, outcome(known=True, rules=("ttl",)))
    Records(redis_pools, CONTRACT).remove(ACME)
    assert [redis_pools[database].dbsize() for database in range(16)] == [0] * 16


def test_numbers_have_no_exponent() -> None:
    assert [number(each) for each in (75.0, 66.66667, 0.00001, 1e17, 0)] == [
        "75",
        "66.6667",
        "0",
        "1" + "0" * 17,
        "0",
    ]


def test_one_missing_lasting_key_shows_that_a_tenant_is_being_erased(redis_pools: Pools) -> None:
    put_metrics(redis_pools, "acme", cache_hit_rate="80")
    here, gone = (3, b"metrics:tenant:acme"), (7, b"config:tenant:acme")

    assert who_is_there(redis_pools, [TenantFacts(ACME, 2, anchors=(here,), anchored=True)]) == {
        ACME
    }
    assert (
        who_is_there(redis_pools, [TenantFacts(ACME, 2, anchors=(here, gone), anchored=True)])
        == set()
    )


def test_of_keys_that_expire_one_that_is_left_shows_that_a_tenant_is_there(
    redis_pools: Pools,
) -> None:
    put_metrics(redis_pools, "acme", cache_hit_rate="80")
    here, gone = (3, b"metrics:tenant:acme"), (7, b"config:tenant:acme")

    assert who_is_there(redis_pools, [TenantFacts(ACME, 2, anchors=(gone, here))]) == {ACME}
    assert who_is_there(redis_pools, [TenantFacts(ACME, 2, anchors=(gone,))]) == set()
