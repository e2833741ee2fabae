# SPDX-License-Identifier: Apache-2.0
"""What the actions do on real servers, and what they leave alone."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from kryonix_cache.reference_impl.connection import Pools
from kryonix_cache.reference_impl.optimiser import sightings
from kryonix_cache.reference_impl.optimiser.errors import WritesRefusedError
from kryonix_cache.reference_impl.optimiser.undo import undo
from tests.optimiser.deeds import (
    ANSWERS,
    BUSY,
    KEPT,
    LOW,
    MOBILE,
    Interference,
    actions,
    analysis,
    facts,
)
from tests.optimiser.keyspace import AT, CONTRACT, put_answer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kryonix_cache.fixtures.targets.server import ServerProcess
    from kryonix_cache.reference_impl.contract.model import TenantId
    from tests.optimiser.deeds import Deeds

SLACK_MS = 5000
"""What the tests' own commands may take."""


def lives(pools: Pools, database: int, key: bytes, ttl_ms: int) -> bool:
    """Say whether a key lives so long, less what has passed since, and never longer."""
    return ttl_ms - SLACK_MS < pools[database].pttl(key) <= ttl_ms


def snapshot(pools: Pools) -> dict[tuple[int, bytes], bytes]:
    """Return every value of the databases that actions write."""
    return {
        (database, key): pools[database].dump(key) or b""
        for database in (ANSWERS, KEPT)
        for key in pools[database].scan_iter(count=1000)
    }


def trail(pools: Pools, database: int, tenant: str) -> list[dict[str, object]]:
    """Return the tenant's trail."""
    key = CONTRACT.key("optimisation-trail", tenant=tenant)
    return [json.loads(entry) for entry in pools[database].lrange(key, 0, -1)]


def marks(pools: Pools, tenant: str) -> list[bytes]:
    return [*pools[ANSWERS].zrange(CONTRACT.key("value-sightings", tenant=tenant), 0, -1)]


def key_of(family: str, tenant: str, **parts: str) -> bytes:
    return CONTRACT.key(family, tenant=tenant, **parts)


def whats(deeds: Deeds) -> str:
    return "\n".join(f"{each.where}: {each.what}" for each in deeds[1])


# --- The rules on answers --------------------------------------------------------------------


def test_a_hot_answer_lives_half_as_long_again_once(standing: Pools, tenant: TenantId) -> None:
    key = put_answer(standing, tenant, "crm.leads", ttl=600, age=60)
    first = actions(standing).act(facts(tenant, [key]), LOW)
    before = snapshot(standing)
    second = actions(standing, run="run-2").act(facts(tenant, [key]), LOW)

    assert lives(standing, ANSWERS, key, 900_000)
    (change,) = first[0]
    assert (change.rule, change.action, change.key) == ("ttl", "extended", key)
    assert change.expires_before is not None
    gain = change.expires_after - change.expires_before
    assert timedelta(seconds=299) < gain < timedelta(seconds=301)
    assert (first[1], second) == ((), ((), ()))
    assert snapshot(standing) == before


def test_a_value_written_anew_is_extended_anew(standing: Pools, tenant: TenantId) -> None:
    key = put_answer(standing, tenant, "crm.leads", ttl=600, age=60)
    actions(standing).act(facts(tenant, [key]), LOW)
    put_answer(standing, tenant, "crm.leads", ttl=800, age=10)
    changes, _ = actions(standing, run="run-2").act(facts(tenant, [key]), LOW)

    assert len(changes) == 1
    assert lives(standing, ANSWERS, key, 1_200_000)


def test_no_answer_is_extended_beyond_the_oldest_age(standing: Pools, tenant: TenantId) -> None:
    near = put_answer(standing, tenant, "crm.near", ttl=600, age=6500)
    over = put_answer(standing, tenant, "crm.over", ttl=600, age=6800)
    changes, _ = actions(standing).act(facts(tenant, [near, over]), LOW)

    assert [change.key for change in changes] == [near]
    assert lives(standing, ANSWERS, near, 700_000)
    assert lives(standing, ANSWERS, over, 600_000)


def test_the_time_that_a_run_takes_counts_as_age(standing: Pools, tenant: TenantId) -> None:
    key = put_answer(standing, tenant, "crm.leads", ttl=600, age=6500)
    run = actions(standing)
    time.sleep(1.1)
    run.act(facts(tenant, [key]), LOW)

    assert standing[ANSWERS].pttl(key) <= 698_900


def test_the_api_rule_goes_first_and_marks_what_it_extended(
    standing: Pools, tenant: TenantId
) -> None:
    key = put_answer(standing, tenant, "crm.dashboard", ttl=600, age=60)
    both = analysis(hit_rate=60, calls=9000)
    changes, _ = actions(standing).act(facts(tenant, [key]), both)
    again = actions(standing, run="run-2").act(facts(tenant, [key]), both)

    assert [change.rule for change in changes] == ["api"]
    assert lives(standing, ANSWERS, key, 7_140_000)
    assert again == ((), ())


def test_what_never_expires_is_left_alone(standing: Pools, tenant: TenantId) -> None:
    hot = put_answer(standing, tenant, "crm.dashboard", ttl=None)
    other = put_answer(standing, tenant, "crm.leads", ttl=None)
    both = analysis(hit_rate=60, calls=9000)

    assert actions(standing).act(facts(tenant, [hot, other]), both) == ((), ())
    assert [standing[ANSWERS].ttl(key) for key in (hot, other)] == [-1, -1]


def test_an_undated_value_ages_from_its_first_sight(standing: Pools, tenant: TenantId) -> None:
    key = key_of("api-cache", tenant, module="crm", endpoint="leads")
    standing[ANSWERS].set(key, b'{"data": 1}', ex=4000)
    actions(standing).act(facts(tenant, [key]), LOW)
    standing[ANSWERS].pexpire(key, 3_000_000)
    later = AT + timedelta(seconds=4000)
    changes, problems = actions(standing, run="run-2", at=later).act(facts(tenant, [key]), LOW)

    assert problems == ()
    assert len(changes) == 1
    assert lives(standing, ANSWERS, key, 3_200_000)


def test_a_value_cached_ahead_ages_from_its_first_sight_and_is_a_problem(
    standing: Pools, tenant: TenantId
) -> None:
    key = put_answer(standing, tenant, "crm.leads", ttl=4000, age=-100_000)
    first = actions(standing).act(facts(tenant, [key]), LOW)
    standing[ANSWERS].pexpire(key, 3_000_000)
    later = AT + timedelta(seconds=5000)
    changes, _ = actions(standing, run="run-2", at=later).act(facts(tenant, [key]), LOW)

    assert "cached_at lies 99999 s ahead" in whats(first)
    assert lives(standing, ANSWERS, key, 3_000_000)
    assert changes == ()


def test_a_second_run_extends_no_others_in_place_of_those_that_grew(
    standing: Pools, tenant: TenantId
) -> None:
    """The next twenty would be the hottest that live shortly, run after run."""
    keys = [put_answer(standing, tenant, f"crm.e{n}", ttl=3000, age=1) for n in range(30)]
    first, _ = actions(standing).act(facts(tenant, keys[:20]), LOW)
    second = actions(standing, run="run-2").act(facts(tenant, keys[20:]), LOW)
    standing[ANSWERS].unlink(*keys[:5])
    third, _ = actions(standing, run="run-3").act(facts(tenant, keys[20:]), LOW)

    assert len(first) == 20
    assert second == ((), ())
    assert [change.key for change in third] == keys[20:25]


# --- What comes in between -------------------------------------------------------------------


@pytest.fixture
def between(
    standing_server: ServerProcess, standing: Pools
) -> Iterator[tuple[Interference, Pools]]:
    """Return clients whose first transaction can be preceded by somebody else's deed."""
    del standing
    policy = Interference()
    with Pools(standing_server.endpoint, policy=policy) as pools:
        yield policy, pools


def test_a_value_rewritten_between_look_and_change_is_looked_at_anew(
    standing: Pools, between: tuple[Interference, Pools], tenant: TenantId
) -> None:
    policy, pools = between
    key = put_answer(standing, tenant, "crm.leads", ttl=600, age=6000)
    policy.deed = lambda: put_answer(standing, tenant, "crm.leads", ttl=2000, age=5000)
    changes, _ = actions(pools).act(facts(tenant, [key]), LOW)

    assert lives(standing, ANSWERS, key, 2_200_000)
    assert len(changes) == len(trail(standing, ANSWERS, tenant)) == 1
    assert "is 5000." in changes[0].reason


def test_a_key_that_ends_between_look_and_change_leaves_no_record(
    standing: Pools, between: tuple[Interference, Pools], tenant: TenantId
) -> None:
    policy, pools = between
    ending = put_answer(standing, tenant, "crm.ending", ttl=600)
    key = put_answer(standing, tenant, "crm.leads", ttl=600)

    def end() -> None:
        standing[ANSWERS].pexpire(ending, 1)
        time.sleep(0.05)

    policy.deed = end
    changes, problems = actions(pools).act(facts(tenant, [ending, key]), LOW)

    assert [change.key for change in changes] == [key]
    assert problems == ()
    assert [entry["key"] for entry in trail(standing, ANSWERS, tenant)] == [key.decode()]


def test_a_key_that_expires_unseen_between_look_and_change_leaves_no_record(
    standing: Pools, between: tuple[Interference, Pools], tenant: TenantId
) -> None:
    """Nobody touches the watched key: its time passes after it was looked at."""
    policy, pools = between
    ending = put_answer(standing, tenant, "crm.ending", ttl=600)
    standing[ANSWERS].pexpire(ending, 2500)
    policy.deed = lambda: time.sleep(2.6)
    changes, _ = actions(pools).act(facts(tenant, [ending]), LOW)

    assert policy.came_in == 1
    assert changes == ()
    assert trail(standing, ANSWERS, tenant) == []
    assert not standing[ANSWERS].exists(ending)


def test_a_key_that_somebody_always_changes_hinders_no_other(
    standing: Pools, between: tuple[Interference, Pools], tenant: TenantId
) -> None:
    policy, pools = between
    busy = put_answer(standing, tenant, "crm.busy", ttl=600)
    key = put_answer(standing, tenant, "crm.leads", ttl=600)
    policy.deed = lambda: put_answer(standing, tenant, "crm.busy", ttl=600)
    policy.always = True
    deeds = actions(pools).act(facts(tenant, [busy, key]), LOW)

    assert [change.key for change in deeds[0]] == [key]
    assert "crm:busy: somebody changed it" in whats(deeds)
    assert lives(standing, ANSWERS, busy, 600_000)


def test_a_run_that_dies_before_its_transaction_leaves_nothing(
    standing: Pools, between: tuple[Interference, Pools], tenant: TenantId
) -> None:
    policy, pools = between
    key = put_answer(standing, tenant, "crm.leads", ttl=600)
    before = snapshot(standing)

    def die() -> None:
        raise KeyboardInterrupt

    policy.deed = die
    with pytest.raises(KeyboardInterrupt):
        actions(pools).act(facts(tenant, [key]), LOW)

    assert snapshot(standing) == before
    assert lives(standing, ANSWERS, key, 600_000)


def test_whatever_is_written_stands_in_one_transaction_with_its_record(
    between: tuple[Interference, Pools], standing: Pools, tenant: TenantId
) -> None:
    policy, pools = between
    keys = [put_answer(standing, tenant, f"crm.e{n}", ttl=600) for n in range(20)]
    put_answer(standing, tenant, "crm.dashboard", ttl=600)
    everything = analysis(hit_rate=60, mobile=90, items=["crm.e1", "crm.e2"])
    changes, _ = actions(pools).act(facts(tenant, keys), everything)

    transactions = [batch for batch in policy.batches if batch[0] == (b"MULTI",)]
    writing = {b"PEXPIREAT", b"SET", b"RPUSH", b"ZADD"}
    for batch in policy.batches:
        if batch not in transactions:
            assert not {command[0] for command in batch} & writing
    recorded = 0
    for batch in transactions:
        names = [command[0] for command in batch]
        assert names[-1] == b"EXEC"
        made = names.count(b"PEXPIREAT") + names.count(b"SET")
        pushed = [command for command in batch if command[0] == b"RPUSH"]
        assert made == sum(len(command) - 2 for command in pushed)
        recorded += made
    assert recorded == len(changes) == 20 + 1 + 2 * 2


def test_round_trips_do_not_grow_with_the_keys(
    between: tuple[Interference, Pools], standing: Pools, tenant: TenantId
) -> None:
    policy, pools = between
    counts = []
    for number in (1, 20):
        keys = [put_answer(standing, tenant, f"n{number}.e{n}", ttl=600) for n in range(number)]
        policy.batches.clear()
        actions(pools).act(facts(tenant, keys), LOW)
        # An older server is asked for NO-TOUCH once, and then no more.
        counts.append(sum(batch[0][:1] != (b"CLIENT",) for batch in policy.batches))

    assert counts[0] == counts[1] <= 6


def test_a_tenant_for_whom_no_rule_fires_costs_no_round_trip(
    between: tuple[Interference, Pools], standing: Pools, tenant: TenantId
) -> None:
    policy, pools = between
    key = put_answer(standing, tenant, "crm.leads", ttl=600)

    assert actions(pools).act(facts(tenant, [key]), analysis(hit_rate=99, calls=1)) == ((), ())
    assert policy.batches == []


# --- The rules that keep items ---------------------------------------------------------------


def essential(tenant: str, item: str = "dashboard") -> bytes:
    return key_of("mobile-essentials", tenant, item=item)


def test_essentials_are_copied_from_the_tenants_own_answers(
    standing: Pools, tenant: TenantId
) -> None:
    put_answer(standing, tenant, "crm.dashboard", ttl=600, age=60, data={"open": 3})
    put_answer(standing, tenant, "users.profile", ttl=600, age=6000, data=["Ana"])
    deeds = actions(standing).act(facts(tenant), MOBILE)
    again = actions(standing, run="run-2").act(facts(tenant), MOBILE)

    assert json.loads(standing[KEPT].get(essential(tenant)) or b"") == {"open": 3}
    assert json.loads(standing[KEPT].get(essential(tenant, "user_profile")) or b"") == ["Ana"]
    assert lives(standing, KEPT, essential(tenant), 1_800_000)
    assert lives(standing, KEPT, essential(tenant, "user_profile"), 1_200_000)
    assert not standing[KEPT].exists(essential(tenant, "notifications"))
    assert "no loader gave it, and tenant:" in whats(deeds)
    assert "notifications:unread is not there" in whats(deeds)
    assert again[0] == ()


def test_a_loader_goes_before_a_copy(standing: Pools, tenant: TenantId) -> None:
    put_answer(standing, tenant, "crm.dashboard", ttl=600, age=6000)
    asked: list[tuple[str, str]] = []

    def load(*of: str) -> object:
        asked.append((of[0], of[1]))
        return {"fresh": of[1]}

    changes, problems = actions(standing, loader=load).act(facts(tenant), MOBILE)

    assert asked == [(tenant, "dashboard"), (tenant, "notifications"), (tenant, "user_profile")]
    assert len(changes) == 3
    assert problems == ()
    assert standing[KEPT].get(essential(tenant)) == b'{"fresh": "dashboard"}'
    assert lives(standing, KEPT, essential(tenant), 1_800_000)


@pytest.mark.parametrize(
    ("ttl", "is_written"), [(None, False), (1000, False), (905, False), (800, True)]
)
def test_an_item_is_written_anew_when_it_would_not_outlast_the_interval(
    standing: Pools, tenant: TenantId, ttl: int | None, *, is_written: bool
) -> None:
    standing[KEPT].set(essential(tenant), b'"old"', ex=ttl)
    put_answer(standing, tenant, "crm.dashboard", ttl=600, data="new")
    actions(standing).act(facts(tenant), MOBILE)

    assert standing[KEPT].get(essential(tenant)) == (b'"new"' if is_written else b'"old"')


def test_no_item_is_replaced_by_a_value_that_ends_earlier(
    standing: Pools, tenant: TenantId
) -> None:
    standing[KEPT].set(essential(tenant), b'"there"', ex=800)
    put_answer(standing, tenant, "crm.dashboard", ttl=600, age=6600, data="older")
    changes, _ = actions(standing).act(facts(tenant), MOBILE)

    assert changes == ()
    assert standing[KEPT].get(essential(tenant)) == b'"there"'


def test_a_predicted_answer_is_kept_with_a_warming_record(
    standing: Pools, tenant: TenantId
) -> None:
    put_answer(standing, tenant, "crm.leads", ttl=600, age=5000, data=[1, 2])
    predicted = analysis(items=["crm.leads"])
    changes, problems = actions(standing).act(facts(tenant), predicted)
    preload = key_of("preload", tenant, item="crm.leads")
    warming = key_of("warming", tenant, module="crm", endpoint="leads")

    assert [change.key for change in changes] == [preload, warming]
    assert problems == ()
    assert json.loads(standing[KEPT].get(preload) or b"") == [1, 2]
    assert json.loads(standing[KEPT].get(warming) or b"") == {
        "tenant_id": tenant,
        "warmed_at": "2025-01-27T10:00:00.000+00:00",
        "cached_for": "preload",
        "data": [1, 2],
    }
    assert lives(standing, KEPT, preload, 2_200_000)
    assert standing[KEPT].pttl(warming) <= 2_200_000
    assert "asked daily" in changes[0].reason
    assert actions(standing, run="run-2").act(facts(tenant), predicted) == ((), ())


@pytest.mark.parametrize(("ttl", "is_kept"), [(None, False), (1850, False), (1790, True)])
def test_an_answer_that_is_warm_is_not_preloaded(
    standing: Pools, tenant: TenantId, ttl: int | None, *, is_kept: bool
) -> None:
    put_answer(standing, tenant, "crm.leads", ttl=ttl)
    actions(standing).act(facts(tenant), analysis(items=["crm.leads"]))

    assert bool(standing[KEPT].exists(key_of("preload", tenant, item="crm.leads"))) == is_kept


def preloaded(pools: Pools, tenant: TenantId, items: list[str]) -> list[str]:
    """Return which of the items are preloaded."""
    keys = {item: key_of("preload", tenant, item=item) for item in items}
    return [item for item, key in keys.items() if pools[KEPT].exists(key)]


def test_a_run_keeps_ten_predicted_items_and_the_next_one_the_next_ten(
    standing: Pools, tenant: TenantId
) -> None:
    """The budget is that of an interval: a run right after another has none left."""
    items = [f"crm.e{n}" for n in range(24)]
    predicted = analysis(items=items)

    def run(number: int, minutes: int) -> Deeds:
        at = AT + timedelta(minutes=minutes)
        acting = actions(standing, at=at, run=f"run-{number}", loader=lambda _, item: item)
        return acting.act(facts(tenant), predicted)

    run(1, 0)
    assert preloaded(standing, tenant, items) == items[:10]
    assert run(2, 1) == ((), ())
    run(3, 15)
    assert preloaded(standing, tenant, items) == items[:20]
    run(4, 30)
    assert preloaded(standing, tenant, items) == items


@pytest.mark.parametrize(
    ("ttl", "is_written"), [(None, False), (900, False), (455, False), (440, True)]
)
def test_a_preload_is_written_anew_when_it_ends_nearer_to_this_run_than_to_the_next(
    standing: Pools, tenant: TenantId, ttl: int | None, *, is_written: bool
) -> None:
    """What lives an hour is due after four runs and not after three."""
    key = key_of("preload", tenant, item="crm.leads")
    standing[KEPT].set(key, b'"old"', ex=ttl)
    run = actions(standing, loader=lambda *_: "new")
    run.act(facts(tenant), analysis(items=["crm.leads"]))

    assert standing[KEPT].get(key) == (b'"new"' if is_written else b'"old"')


def test_what_was_taken_back_is_no_part_of_the_budget(standing: Pools, tenant: TenantId) -> None:
    predicted = analysis(items=[f"crm.e{n}" for n in range(24)])
    run = actions(standing, loader=lambda _, item: item)
    first = run.act(facts(tenant), predicted)
    undo(CONTRACT, standing, "run-1", at=AT, tenants=[tenant])

    again = actions(standing, run="run-2", loader=lambda _, item: item)
    assert [change.key for change in again.act(facts(tenant), predicted)[0]] == [
        change.key for change in first[0]
    ]


def test_a_predicted_item_that_nobody_gives_leaves_its_place_to_the_next(
    standing: Pools, tenant: TenantId
) -> None:
    items = [f"crm.e{n}" for n in range(24)]
    put_answer(standing, tenant, "crm.e1", ttl=600)

    def loader(_: str, item: str) -> object:
        return None if int(item.removeprefix("crm.e")) < 6 else item

    _, problems = actions(standing, loader=loader).act(facts(tenant), analysis(items=items))

    assert preloaded(standing, tenant, items) == [items[1], *items[6:15]]
    assert [p.where for p in problems if "is not there" in p.what] == [
        f"db 10 preload:tenant:{tenant}:{item}" for item in (items[0], *items[2:6])
    ]


def test_what_is_predicted_and_is_no_answer_is_a_problem_of_its_own(
    standing: Pools, tenant: TenantId
) -> None:
    items = ["noendpoint", "crm.a:b", "crm.leads"]
    run = actions(standing, loader=lambda _, item: item)
    deeds = run.act(facts(tenant), analysis(items=items))

    assert len(deeds[0]) == 2
    assert len(deeds[1]) == 2


# --- Bad data --------------------------------------------------------------------------------


def test_broken_values_are_problems_and_hinder_no_other(standing: Pools, tenant: TenantId) -> None:
    good = put_answer(standing, tenant, "crm.good", ttl=600)
    broken = key_of("api-cache", tenant, module="crm", endpoint="broken")
    standing[ANSWERS].set(broken, b"{", ex=600)
    wrong = key_of("api-cache", tenant, module="crm", endpoint="wrong")
    standing[ANSWERS].hset(wrong, "a", "b")
    standing[ANSWERS].expire(wrong, 600)
    foreign = key_of("api-cache", tenant, module="crm", endpoint="foreign")
    standing[ANSWERS].set(foreign, b'{"tenant_id": "globex", "data": 1}', ex=600)
    big = key_of("api-cache", tenant, module="crm", endpoint="big")
    standing[ANSWERS].set(big, b"x" * (CONTRACT.big_key_bytes + 1), ex=600)
    gone = key_of("api-cache", tenant, module="crm", endpoint="gone")
    deeds = actions(standing).act(facts(tenant, [broken, wrong, foreign, big, gone, good]), LOW)

    # By its bytes the broken one is a value like any other: it ages from its first sight.
    assert [change.key for change in deeds[0]] == [broken, good]
    said = whats(deeds)
    for key, what in (
        (broken, "it is no JSON object"),
        (wrong, "it cannot be read (WRONGTYPE"),
        (foreign, "it names another tenant"),
        (big, "it has 1048577 bytes, more than the 1048576 that are read"),
    ):
        assert f"db 1 {key.decode()}: {what}" in said
    assert len(deeds[1]) == 4
    assert lives(standing, ANSWERS, foreign, 600_000)


def test_no_value_of_another_tenant_is_copied(standing: Pools, tenant: TenantId) -> None:
    key = key_of("api-cache", tenant, module="crm", endpoint="dashboard")
    standing[ANSWERS].set(key, b'{"tenant_id": "globex", "data": "theirs"}', ex=600)
    deeds = actions(standing).act(facts(tenant), MOBILE)

    assert not standing[KEPT].exists(essential(tenant))
    assert "names another tenant" in whats(deeds)


@pytest.mark.parametrize(
    ("raw", "what"),
    [
        (b"[1]", "it holds no data"),
        (b'{"tenant_id": null}', "it holds no data"),
        (b'{"data": "' + b"x" * 70_000 + b'"}', "it has 70002 bytes, and 65536 are allowed"),
        (b'{"data": NaN}', "it is no JSON"),
        (b"x" * 1_048_577, "more than the 1048576 that are read"),
    ],
)
def test_what_cannot_be_copied_is_not_written(
    standing: Pools, tenant: TenantId, raw: bytes, what: str
) -> None:
    key = key_of("api-cache", tenant, module="crm", endpoint="dashboard")
    standing[ANSWERS].set(key, raw, ex=600)
    deeds = actions(standing).act(facts(tenant), MOBILE)

    assert not standing[KEPT].exists(essential(tenant))
    assert what in whats(deeds)


def test_a_key_of_another_type_is_never_overwritten(standing: Pools, tenant: TenantId) -> None:
    standing[KEPT].rpush(essential(tenant), "mine")
    standing[KEPT].expire(essential(tenant), 100)
    put_answer(standing, tenant, "crm.dashboard", ttl=600)
    deeds = actions(standing).act(facts(tenant), MOBILE)

    assert standing[KEPT].lrange(essential(tenant), 0, -1) == [b"mine"]
    assert "it is a list, and was left alone" in whats(deeds)


@pytest.mark.parametrize("family", ["optimisation-trail", "value-sightings"])
def test_without_its_bookkeeping_nothing_is_changed(
    standing: Pools, tenant: TenantId, family: str
) -> None:
    """In a transaction the command on the wrong type would fail, and the others not."""
    key = put_answer(standing, tenant, "crm.leads", ttl=600)
    standing[ANSWERS].set(key_of(family, tenant), "not mine")
    deeds = actions(standing).act(facts(tenant, [key]), LOW)

    assert deeds[0] == ()
    assert "is a string, not a" in whats(deeds)
    assert lives(standing, ANSWERS, key, 600_000)


def test_with_too_many_marks_nothing_is_extended(
    standing: Pools, tenant: TenantId, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sightings, "MOST", 2)
    keys = [put_answer(standing, tenant, f"crm.e{n}", ttl=600) for n in range(3)]
    first, _ = actions(standing).act(facts(tenant, keys[:2]), LOW)
    deeds = actions(standing, run="run-2").act(facts(tenant, keys[2:]), LOW)
    later = AT + timedelta(seconds=14_401)
    put_answer(standing, tenant, "crm.e2", ttl=600, at=later)
    monkeypatch.setattr(sightings, "MOST", 3)
    third, _ = actions(standing, run="run-3", at=later).act(facts(tenant, keys[2:]), LOW)

    assert len(first) == 2
    assert deeds[0] == ()
    assert "too many marks" in whats(deeds)
    assert len(third) == 1
    assert len(marks(standing, tenant)) == 1


# --- Dry runs and refusals -------------------------------------------------------------------


def test_a_dry_run_says_what_a_run_would_do_and_writes_nothing(
    standing: Pools, between: tuple[Interference, Pools], tenant: TenantId
) -> None:
    policy, pools = between
    key = put_answer(standing, tenant, "crm.dashboard", ttl=600)
    undated = key_of("api-cache", tenant, module="crm", endpoint="undated")
    standing[ANSWERS].set(undated, b'{"data": 1}', ex=600)
    everything = analysis(hit_rate=60, mobile=90, items=["crm.undated"])
    before = snapshot(standing)
    dry, _ = actions(pools, dry_run=True).act(facts(tenant, [key, undated]), everything)

    assert snapshot(standing) == before
    assert [batch for batch in policy.batches if batch[0] == (b"MULTI",)] == []
    wet, _ = actions(pools).act(facts(tenant, [key, undated]), everything)
    assert [(it.rule, it.key, it.action) for it in dry] == [
        (it.rule, it.key, it.action) for it in wet
    ]
    assert len(wet) == 5


def test_a_server_that_takes_no_writes_ends_the_run_in_one_sentence(
    redis_server: ServerProcess, redis_pools: Pools, tenant: TenantId
) -> None:
    key = put_answer(redis_pools, tenant, "crm.leads", ttl=600)
    redis_pools[0].config_set("min-replicas-to-write", 1)
    with pytest.raises(
        WritesRefusedError, match=r"takes no writes \(NOREPLICAS.*run run-1"
    ) as told:
        actions(redis_pools).act(facts(tenant, [key]), LOW)
    redis_pools[0].config_set("min-replicas-to-write", 0)
    redis_pools[0].replicaof("127.0.0.1", redis_server.port + 1)
    with pytest.raises(WritesRefusedError, match=r"READONLY"):
        actions(redis_pools).act(facts(tenant, [key]), LOW)
    redis_pools[0].replicaof("NO", "ONE")
    redis_pools[0].config_set("maxmemory", 1)
    redis_pools[0].config_set("maxmemory-policy", "noeviction")
    with pytest.raises(WritesRefusedError, match=r"OOM"):
        actions(redis_pools).act(facts(tenant, [key]), LOW)

    assert "\n" not in str(told.value)
    assert 590_000 < redis_pools[ANSWERS].pttl(key) <= 600_000
    assert marks(redis_pools, tenant) == []


def limited(server: ServerProcess, pools: Pools, *rules: str) -> Pools:
    """Return clients of a user with these rules."""
    pools[0].execute_command("ACL", "SETUSER", "limited", "reset", "on", "nopass", *rules)
    return Pools(replace(server.endpoint, username="limited", password="any"))


@pytest.mark.parametrize(
    ("rules", "what"),
    [
        (("~*", "+@all", "-pexpireat"), "PEXPIREAT"),
        (("~*", "+@all", "-watch"), "WATCH"),
        (("~*", "+@all", "-time"), "TIME"),
        (("~*", "+@all", "-zmscore"), "ZMSCORE"),
        (("~tenant:*", "+@all"), "key"),
    ],
)
def test_a_refusal_to_this_user_is_a_problem_and_changes_nothing(
    standing_server: ServerProcess,
    standing: Pools,
    tenant: TenantId,
    rules: tuple[str, ...],
    what: str,
) -> None:
    key = put_answer(standing, tenant, "crm.leads", ttl=600)
    with limited(standing_server, standing, *rules) as pools:
        deeds = actions(pools).act(facts(tenant, [key]), LOW)

    assert deeds[0] == ()
    assert "NOPERM" in whats(deeds) or "permissions" in whats(deeds)
    assert what.lower() in whats(deeds).lower()
    assert lives(standing, ANSWERS, key, 600_000)
    assert trail(standing, ANSWERS, tenant) == []
    assert marks(standing, tenant) == []


def test_a_refusal_for_one_key_hinders_no_other(
    standing_server: ServerProcess, standing: Pools, tenant: TenantId
) -> None:
    closed = put_answer(standing, tenant, "crm.closed", ttl=600)
    key = put_answer(standing, tenant, "users.list", ttl=600)
    rules = ("~ai:*", f"~tenant:{tenant}:api:users:*", "+@all")
    with limited(standing_server, standing, *rules) as pools:
        deeds = actions(pools).act(facts(tenant, [closed, key]), LOW)

    assert [change.key for change in deeds[0]] == [key]
    assert f"db 1 {closed.decode()}: the server refuses to change it" in whats(deeds)


def test_the_answers_of_others_stay_untouched(standing: Pools, tenant: TenantId) -> None:
    other = f"{tenant}1"
    theirs = put_answer(standing, other, "crm.dashboard", ttl=600)
    mine = put_answer(standing, tenant, "crm.dashboard", ttl=600)
    everything = analysis(hit_rate=60, calls=9000, mobile=90, items=["crm.dashboard"])
    changes, _ = actions(standing).act(facts(tenant, [mine]), everything)

    assert changes
    assert lives(standing, ANSWERS, theirs, 600_000)
    assert [key for key in standing[KEPT].scan_iter() if f"{other}".encode() in key] == []


def test_the_api_rule_reads_only_hot_answers_that_are_there(
    standing: Pools, tenant: TenantId
) -> None:
    key = put_answer(standing, tenant, "users.profile", ttl=4000, age=1000)
    changes, problems = actions(standing).act(facts(tenant), BUSY)

    assert [change.key for change in changes] == [key]
    assert problems == ()
    assert lives(standing, ANSWERS, key, 6_200_000)
