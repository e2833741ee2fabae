# SPDX-License-Identifier: Apache-2.0
"""The optimiser's one pass: which tenants there are, and what it asks of whose keys."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, cast

import pytest

from kryonix_cache.reference_impl.contract.model import TenantId
from kryonix_cache.reference_impl.errors import InvalidTenantIdError
from kryonix_cache.reference_impl.optimiser.collection import collect
from kryonix_cache.reference_impl.optimiser.tally import MOST_PROBLEMS
from tests.optimiser.keyspace import (
    CONTRACT,
    put_answer,
    put_connection,
    put_metrics,
    put_session,
)

if TYPE_CHECKING:
    from kryonix_cache.reference_impl.connection import Pools
    from kryonix_cache.reference_impl.optimiser.facts import TenantFacts

USER = {"user_id": "u1", "device_type": "mobile", "platform": "android"}


def facts_of(pools: Pools, tenant: str) -> TenantFacts:
    return collect(pools, CONTRACT).tenants[TenantId(tenant)]


def wait_for_idleness(pools: Pools, key: bytes) -> None:
    deadline = time.monotonic() + 10
    while cast("int", pools[1].object("IDLETIME", key)) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_tenants_are_found_wherever_their_id_stands_and_in_every_database(pools: Pools) -> None:
    """E10: in some keys no `tenant:` stands before the id."""
    pools[4].hset("ai:auto_creation:analysis:last", "prompt_analysis", "x")
    pools[6].hset("config:auto_setup:setup", "subdomain", "x")
    pools[10].hset("ai:recommendations:applied:applied", "result", "x")
    pools[2].rpush("queue:tenant:queued:mail", "{}")
    put_answer(pools, "cached", "crm.users")

    found = collect(pools, CONTRACT)

    assert list(found.tenants) == ["applied", "cached", "last", "queued", "setup"]
    assert {facts.keys for facts in found.tenants.values()} == {1}
    assert found.keys == 5
    assert found.unknown == 0


def test_what_no_family_matches_is_counted_and_skipped(pools: Pools) -> None:
    pools[0].set(b"tenant:\xff\xfe:mobile:session:x", "1")
    pools[0].set("tenant:acme", "1")
    pools[5].set("tenant:acme:api:crm:users", "in a wrong database")

    found = collect(pools, CONTRACT)

    assert found.tenants == {}
    assert (found.keys, found.unknown) == (3, 3)


def test_an_id_that_breaks_the_rule_is_no_tenant_and_is_named(pools: Pools) -> None:
    pools[3].hset("metrics:tenant:Ac me", "cache_hit_rate", "1")

    found = collect(pools, CONTRACT)

    assert found.tenants == {}
    assert "1 keys are of no valid tenant id, as 'Ac me'" in found.problems[0].what


def test_a_tenant_that_only_bookkeeping_knows_has_no_keys(pools: Pools) -> None:
    pools[4].zadd("ai:access:tenant:gone:20250127", {"09:api-cache:crm.users": 1})
    pools[10].rpush("ai:trail:tenant:gone", "{}")

    assert collect(pools, CONTRACT).tenants == {}


def test_users_are_counted_once_over_sessions_and_connections(pools: Pools) -> None:
    put_session(pools, "acme", "s1", USER)
    put_session(pools, "acme", "s2", USER | {"device_type": "desktop", "platform": "web"})
    put_connection(pools, "acme", "c1", {"user_id": "u2"})
    put_connection(pools, "acme", "c2", {"user_id": "u3", "platform": "ios"})
    put_connection(pools, "acme", "c3", {"user_id": "u4", "device_type": "tablet"})

    facts = facts_of(pools, "acme")

    assert (facts.users, facts.mobile_users) == (4, 3)
    assert (facts.sessions, facts.active_sessions) == (2, 2)
    assert facts.platforms == {"android": 1, "web": 1}


def test_answers_are_counted_by_module_and_by_what_is_left_to_live(pools: Pools) -> None:
    for item, ttl in [("crm.a", 299), ("crm.b", 1700), ("users.a", 1900), ("users.b", None)]:
        put_answer(pools, "acme", item, ttl=ttl)

    facts = facts_of(pools, "acme")

    assert facts.answers == 4
    assert facts.modules == {"crm": 2, "users": 2}
    assert facts.lifetimes == {"short": 1, "medium": 1, "long": 1}
    assert {key.key for key in facts.hottest} == {
        b"tenant:acme:api:crm:a",
        b"tenant:acme:api:crm:b",
        b"tenant:acme:api:users:a",
    }


@pytest.mark.parametrize("policy", ["allkeys-lfu", "allkeys-lru"])
def test_the_hottest_answers_come_first_and_no_more_than_the_rule_wants(
    pools: Pools, policy: str
) -> None:
    """E15: by OBJECT FREQ under an LFU policy, else by OBJECT IDLETIME."""
    pools[0].config_set("maxmemory-policy", policy)
    keys = [put_answer(pools, "acme", f"crm.e{number:02}") for number in range(25)]
    if policy == "allkeys-lru":
        wait_for_idleness(pools, keys[0])
    hot = keys[7:10]
    for _ in range(60):
        for key in hot:
            pools[1].get(key)

    hottest = facts_of(pools, "acme").hottest

    assert len(hottest) == 20
    assert {key.key for key in hottest[:3]} == set(hot)
    assert [key.heat for key in hottest] == sorted((k.heat for k in hottest), reverse=True)


def test_of_tenants_that_were_not_chosen_only_the_name_is_read(pools: Pools) -> None:
    for tenant in ("acme", "beta"):
        put_answer(pools, tenant, "crm.users")
        put_session(pools, tenant, "s1", USER)
    pools[0].config_resetstat()

    found = collect(pools, CONTRACT, tenants=["acme"])

    calls = {
        name.removeprefix("cmdstat_"): row["calls"]
        for name, row in pools[0].info("commandstats").items()
    }
    assert list(found.tenants) == ["acme"]
    assert (calls["type"], calls["hmget"]) == (1, 1)
    assert "keys" not in calls


def test_reading_leaves_the_access_clocks_of_answers_alone(redis_pools: Pools) -> None:
    redis_pools[0].config_set("maxmemory-policy", "allkeys-lfu")
    key = put_answer(redis_pools, "acme", "crm.users")
    before = redis_pools[1].object("FREQ", key)
    for _ in range(50):
        collect(redis_pools, CONTRACT)
    assert redis_pools[1].object("FREQ", key) <= before


def test_keys_of_another_type_are_problems_and_count_nowhere(pools: Pools) -> None:
    pools[1].rpush("tenant:acme:api:crm:users", "x")
    pools[0].set("tenant:acme:mobile:session:s1", "x")

    facts = facts_of(pools, "acme")

    assert (facts.answers, facts.users, facts.hottest) == (0, 0, ())
    assert [problem.where for problem in facts.problems] == [
        "db 0 tenant:acme:mobile:session:s1",
        "db 1 tenant:acme:api:crm:users",
    ]
    assert ["WRONGTYPE" in problem.what for problem in facts.problems] == [True, False]
    assert facts.problems[1].what == "it is a list and no cached answer"


def test_problems_of_one_tenant_are_bounded(pools: Pools) -> None:
    for number in range(MOST_PROBLEMS + 30):
        put_session(pools, "acme", f"s{number}", {"user_id": "not a name"})

    problems = facts_of(pools, "acme").problems

    assert len(problems) == MOST_PROBLEMS + 1
    assert problems[-1].what == "and 30 problems more"


def test_an_enormous_field_is_not_read_and_the_others_are(pools: Pools) -> None:
    put_session(pools, "acme", "s1", USER | {"device_type": "x" * 1_000_000})
    pools[0].config_resetstat()

    facts = facts_of(pools, "acme")

    assert (facts.users, facts.mobile_users) == (1, 1)
    assert "1000000 bytes" in facts.problems[0].what
    assert pools[0].info("stats")["total_net_output_bytes"] < 100_000


def test_a_chosen_tenant_has_a_valid_id(pools: Pools) -> None:
    with pytest.raises(InvalidTenantIdError):
        collect(pools, CONTRACT, tenants=["*"])


def test_keys_that_show_whether_a_tenant_is_there_are_lasting_ones(pools: Pools) -> None:
    put_answer(pools, "acme", "crm.users")
    put_metrics(pools, "acme", cache_hit_rate="80")
    put_answer(pools, "beta", "crm.users")

    assert facts_of(pools, "acme").anchors == ((3, b"metrics:tenant:acme"),)
    assert facts_of(pools, "acme").anchored
    assert not facts_of(pools, "beta").anchored
