# SPDX-License-Identifier: Apache-2.0
"""Whole runs of the optimiser: what one tenant's trouble does to the others, and who may work."""

from __future__ import annotations

import json
import threading
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from kryonix_cache.fixtures.declared_writes import OPTIMISING, DeclaredWrites
from kryonix_cache.reference_impl.connection import Pools
from kryonix_cache.reference_impl.demand import history
from kryonix_cache.reference_impl.demand.logs import Access
from kryonix_cache.reference_impl.errors import (
    InvalidTenantIdError,
    ReadDeniedError,
    TargetLostError,
)
from kryonix_cache.reference_impl.optimiser import optimiser as module
from kryonix_cache.reference_impl.optimiser.errors import MomentInvalidError, OptimiserBusyError
from kryonix_cache.reference_impl.optimiser.optimiser import ERASED, NOBODY, Optimiser
from kryonix_cache.reference_impl.optimiser.undo import undo
from tests.optimiser.deeds import Interference
from tests.optimiser.keyspace import AT, CONTRACT, put_answer, put_metrics, put_session
from tests.seeding.observed import observe

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from kryonix_cache.fixtures.targets.server import ServerProcess
    from kryonix_cache.reference_impl.optimiser.report import Report
    from tests.seeding.observed import Observed

MOBILE = {"user_id": "u1", "device_type": "mobile", "platform": "ios"}
LOCK = "ai:optimiser:lock"


@pytest.fixture
def clients(redis_server: ServerProcess) -> Iterator[Pools]:
    """Return clients that may send what the optimiser declares and nothing else."""
    with Pools(redis_server.endpoint, policy=DeclaredWrites(CONTRACT, OPTIMISING)) as pools:
        yield pools


def put_busy_tenant(pools: Pools, tenant: str) -> None:
    """Write a tenant on which the TTL, the API and the mobile rule fire."""
    put_metrics(pools, tenant, cache_hit_rate="60", api_calls_today="9000")
    put_session(pools, tenant, "s1", MOBILE)
    for item in ("crm.dashboard", "users.profile", "crm.leads"):
        put_answer(pools, tenant, item)


def content_of(observed: Mapping[tuple[int, str], Observed]) -> dict[tuple[int, str], object]:
    return {place: (each.type, each.value) for place, each in observed.items()}


def rules_of(report: Report, tenant: str) -> list[str]:
    return sorted(change.rule for change in report.tenants[tenant].changes)


def analysed(report: Report) -> set[str]:
    return {tenant for tenant, each in report.tenants.items() if each.analysis is not None}


def learn_mornings(clients: Pools, tenant: str, days: int, *, items: int = 1) -> None:
    """Note that the dashboard was read at nine on each of so many days before.

    More than one item are the dashboard, and others of their own.
    """
    nine = AT.replace(hour=9)
    names = ["crm.dashboard", *(f"crm.e{number}" for number in range(1, items))]
    reads = [
        Access(tenant, "api-cache", name, nine - timedelta(days=day), 20)
        for day in range(1, days + 1)
        for name in names
    ]
    reads += [
        Access(tenant, "api-cache", f"crm.rare{day}", nine - timedelta(days=day, hours=4), 1)
        for day in range(1, days + 1)
    ]
    assert history.learn(clients, CONTRACT, reads, nine) == []


def test_each_rule_acts_and_a_second_run_changes_nothing_more(
    redis_pools: Pools, clients: Pools
) -> None:
    put_busy_tenant(redis_pools, "acme")
    optimiser = Optimiser(CONTRACT, clients)

    first = optimiser.optimise(at=AT)
    second = optimiser.optimise(at=AT)

    assert rules_of(first, "acme") == ["api", "api", "mobile", "mobile", "ttl"]
    assert rules_of(second, "acme") == []
    assert not redis_pools[4].exists(LOCK)


def test_what_was_asked_for_every_morning_is_there_in_the_morning(
    redis_pools: Pools, clients: Pools
) -> None:
    """E17: predicted from the tenant's own reads, with the value that the loader gives."""
    put_metrics(redis_pools, "acme", cache_hit_rate="95")
    learn_mornings(clients, "acme", 12)
    loaded: list[tuple[str, str]] = []

    def loader(tenant: str, item: str) -> object:
        loaded.append((tenant, item))
        return {"fresh": item}

    report = Optimiser(CONTRACT, clients, loader=loader).optimise(at=AT.replace(hour=9))

    # The item itself, and the answer where a reader of answers looks for it.
    assert rules_of(report, "acme") == ["preload", "preload"]
    assert loaded == [("acme", "crm.dashboard")]
    value = redis_pools[10].get("preload:tenant:acme:crm.dashboard")
    assert json.loads(value or b"") == {"fresh": "crm.dashboard"}
    assert 3590 < redis_pools[10].ttl("preload:tenant:acme:crm.dashboard") <= 3600
    prediction = redis_pools[10].hgetall("prediction:tenant:acme")
    assert prediction[b"next_hour_keys"] == b'["tenant:acme:api:crm:dashboard"]'
    applied = redis_pools[10].hgetall("ai:recommendations:applied:acme")
    assert applied[b"preload_strategy"] == b"1 item by the prediction seasonal"
    assert redis_pools[4].hget("ai:patterns:tenant:acme", "peak_hours") == b"[9]"


def test_the_runs_of_an_hour_spend_its_whole_budget_on_different_items(
    redis_pools: Pools, clients: Pools
) -> None:
    """Four runs of an hour may keep ten items each, so the forecast names forty for it."""
    put_metrics(redis_pools, "acme", cache_hit_rate="95")
    learn_mornings(clients, "acme", 12, items=45)
    optimiser = Optimiser(CONTRACT, clients, loader=lambda _, item: item)
    start = AT.replace(hour=8, minute=30)
    written: list[bytes] = []
    for quarter in range(4):
        report = optimiser.optimise(at=start + timedelta(minutes=15 * quarter))
        kept = [c.key for c in report.tenants["acme"].changes if c.key.startswith(b"preload:")]
        assert len(kept) == 10
        written += kept

    assert len(set(written)) == 40
    prediction = redis_pools[10].hget("prediction:tenant:acme", "next_hour_keys")
    assert len(json.loads(prediction or b"")) == 40


def test_at_another_hour_nothing_is_preloaded(redis_pools: Pools, clients: Pools) -> None:
    put_metrics(redis_pools, "acme", cache_hit_rate="95")
    learn_mornings(clients, "acme", 12)

    def loader(tenant: str, item: str) -> object:
        return {"of": tenant, "item": item}

    report = Optimiser(CONTRACT, clients, loader=loader).optimise(at=AT.replace(hour=18))

    assert rules_of(report, "acme") == []
    assert redis_pools[10].hget("prediction:tenant:acme", "next_hour_keys") == b"[]"


def test_nothing_is_learnt_from_another_tenant(redis_pools: Pools, clients: Pools) -> None:
    for tenant in ("acme", "beta"):
        put_metrics(redis_pools, tenant, cache_hit_rate="95")
    learn_mornings(clients, "acme", 12)

    report = Optimiser(CONTRACT, clients).optimise(at=AT.replace(hour=9))

    analysis = report.tenants["beta"].analysis
    assert analysis is not None
    assert (analysis.forecast.model, analysis.forecast.confidence) == ("none", 0.0)
    assert analysis.peak_hours == ()


def test_a_dry_run_writes_nothing_and_says_what_a_run_would_do(
    redis_pools: Pools, clients: Pools
) -> None:
    put_busy_tenant(redis_pools, "acme")
    before = observe(redis_pools)
    optimiser = Optimiser(CONTRACT, clients)

    dry = optimiser.optimise(at=AT, dry_run=True)

    assert content_of(observe(redis_pools)) == content_of(before)
    assert rules_of(dry, "acme") == rules_of(optimiser.optimise(at=AT), "acme")


def test_a_dry_run_needs_no_lock(redis_pools: Pools, clients: Pools) -> None:
    put_busy_tenant(redis_pools, "acme")
    redis_pools[4].set(LOCK, '{"owner":"other","since":"2025-01-27T09:59:00+00:00"}', ex=600)

    assert analysed(Optimiser(CONTRACT, clients).optimise(at=AT, dry_run=True)) == {"acme"}


def test_a_second_run_at_once_says_who_works_and_touches_nothing(
    redis_pools: Pools, clients: Pools
) -> None:
    """E20: the lock has an owner and an end."""
    put_busy_tenant(redis_pools, "acme")
    put_metrics(redis_pools, "beta", cache_hit_rate="95")
    inside, go_on = threading.Event(), threading.Event()
    reports: list[Report] = []

    def loader(tenant: str, item: str) -> object:
        inside.set()
        go_on.wait(1.5)
        return {"of": tenant, "item": item}

    first = Optimiser(CONTRACT, clients, loader=loader)
    working = threading.Thread(target=lambda: reports.append(first.optimise(at=AT)))
    working.start()
    try:
        assert inside.wait(10)
        with pytest.raises(OptimiserBusyError, match="Another run of the optimiser"):
            Optimiser(CONTRACT, clients).optimise(at=AT)
    finally:
        go_on.set()
        working.join(30)

    assert analysed(reports[0]) == {"acme", "beta"}
    assert not redis_pools[4].exists(LOCK)


def test_only_the_chosen_tenants_are_read_and_written(redis_pools: Pools, clients: Pools) -> None:
    for tenant in ("acme", "beta"):
        put_busy_tenant(redis_pools, tenant)

    report = Optimiser(CONTRACT, clients).optimise(at=AT, tenants=["acme"])

    assert set(report.tenants) == {"acme"}
    assert not [name for _, name in observe(redis_pools) if "ai:" in name and "beta" in name]
    assert redis_pools[1].ttl("tenant:beta:api:crm:leads") <= 600


def test_a_chosen_tenant_without_a_key_is_a_problem(clients: Pools) -> None:
    report = Optimiser(CONTRACT, clients).optimise(at=AT, tenants=["nobody"])

    assert report.tenants["nobody"].analysis is None
    assert report.tenants["nobody"].problems[0].what == "it has no key in any database"


def test_whatever_one_tenants_data_leads_to_stays_with_it(
    redis_pools: Pools, clients: Pools, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fault that nobody thought of costs its tenant the analysis, and no other one."""
    for tenant in ("acme", "beta", "ceta"):
        put_busy_tenant(redis_pools, tenant)
    analyse = module.analyse

    def breaks_at_beta(contract, facts, *rest):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN002, ANN202 (any)
        if facts.tenant == "beta":
            raise ZeroDivisionError("of beta")
        return analyse(contract, facts, *rest)

    monkeypatch.setattr(module, "analyse", breaks_at_beta)
    report = Optimiser(CONTRACT, clients).optimise(at=AT)

    assert analysed(report) == {"acme", "ceta"}
    assert [problem.what for problem in report.tenants["beta"].problems] == [
        "ZeroDivisionError: of beta"
    ]
    assert not redis_pools[4].exists(LOCK)


def test_a_tenant_of_broken_keys_is_analysed_as_far_as_it_goes(
    redis_pools: Pools, clients: Pools
) -> None:
    put_busy_tenant(redis_pools, "good")
    put_answer(redis_pools, "broken", "crm.leads", age=-86_400)
    redis_pools[1].set("tenant:broken:api:crm:dashboard", b"\xff{", ex=600)
    redis_pools[1].rpush("tenant:broken:api:users:profile", "x")
    redis_pools[3].hset(
        "metrics:tenant:broken",
        mapping={"cache_hit_rate": "fast", "api_calls_today": "9001", "avg_response_time": "9"},
    )
    redis_pools[7].set("config:tenant:broken", "no hash")
    redis_pools[4].set("ai:patterns:tenant:broken", "no hash")
    redis_pools[4].set("ai:access_history:tenant:broken", "no history")

    report = Optimiser(CONTRACT, clients).optimise(at=AT)

    broken = report.tenants["broken"]
    assert broken.analysis is not None
    assert broken.analysis.cache.hit_rate_percent is None
    assert broken.analysis.cache.api_calls == 9001
    places = " ".join(problem.where for problem in broken.problems)
    for place in ("cache_hit_rate", "avg_response_time", "config:tenant", "ai:patterns", "profile"):
        assert place in places
    assert rules_of(report, "good") == ["api", "api", "mobile", "mobile", "ttl"]


def erase(pools: Pools, tenant: str) -> None:
    for database in range(16):
        for name in pools[database].scan_iter(match=f"*{tenant}*"):
            pools[database].unlink(name)


def left_of(pools: Pools, tenant: str) -> list[str]:
    return [name for _, name in observe(pools) if tenant in name]


def test_a_tenant_that_is_erased_during_the_run_does_not_come_back(
    redis_pools: Pools, clients: Pools
) -> None:
    """No record, no value for readers, no trail and no mark of it stays."""
    put_busy_tenant(redis_pools, "acme")
    put_busy_tenant(redis_pools, "beta")

    def eraser(tenant: str, item: str) -> object:
        if tenant == "acme":
            erase(redis_pools, tenant)
        return {"of": item}

    report = Optimiser(CONTRACT, clients, loader=eraser).optimise(at=AT)

    erased = report.tenants["acme"]
    assert (erased.problems[-1].what, erased.changes) == (ERASED, ())
    assert left_of(redis_pools, "acme") == []
    assert rules_of(report, "beta") == ["api", "api", "mobile", "mobile", "mobile", "ttl"]


def test_what_runs_wrote_does_not_show_that_a_tenant_is_there(
    redis_server: ServerProcess, redis_pools: Pools, clients: Pools
) -> None:
    """Erased between the look and the records, a tenant would come back by them for good."""
    put_answer(redis_pools, "acme", "crm.leads")
    Optimiser(CONTRACT, clients).optimise(at=AT)
    interference = Interference(lambda: erase(redis_pools, "acme"))
    with Pools(redis_server.endpoint, policy=interference) as watched:
        report = Optimiser(CONTRACT, watched).optimise(at=AT)

    assert interference.came_in == 1
    assert report.tenants["acme"].problems[-1].what == ERASED
    assert left_of(redis_pools, "acme") == []


def test_of_a_tenant_whose_first_key_went_away_earlier_trails_stay(
    redis_pools: Pools, clients: Pools
) -> None:
    """It may be no erasure: what earlier runs changed can be undone still."""
    put_busy_tenant(redis_pools, "acme")
    first = Optimiser(CONTRACT, clients).optimise(at=AT)
    assert "api" in rules_of(first, "acme")
    for item in ("crm.dashboard", "crm.leads"):
        put_answer(redis_pools, "acme", item, ttl=700, age=1)

    def loader(tenant: str, item: str) -> object:
        redis_pools[3].unlink(f"metrics:tenant:{tenant}")
        return {"of": item}

    later = AT + timedelta(minutes=20)
    second = Optimiser(CONTRACT, clients, loader=loader).optimise(at=later)

    assert second.tenants["acme"].problems[-1].what == ERASED
    # The answers are there still, and so are the notes that they were extended.
    assert redis_pools[1].ttl("tenant:acme:api:crm:dashboard") > 5000
    undone = undo(CONTRACT, clients, second.run, at=later)
    assert len(undone.undone) == 2
    undo(CONTRACT, clients, first.run, at=later)


def test_of_nobody_but_runs_nothing_is_written(redis_pools: Pools, clients: Pools) -> None:
    """Records that an earlier run left keep no tenant alive."""
    redis_pools[4].hset("ai:patterns:tenant:gone", "peak_hours", "[9]")

    report = Optimiser(CONTRACT, clients).optimise(at=AT)

    assert report.tenants["gone"].problems[-1].what == NOBODY


def test_keys_of_no_family_are_counted_and_reported(redis_pools: Pools, clients: Pools) -> None:
    """E09: a key that is no text stops nobody."""
    put_busy_tenant(redis_pools, "acme")
    redis_pools[1].set(b"tenant:\xff:api:crm:users", "x")

    report = Optimiser(CONTRACT, clients).optimise(at=AT)

    assert analysed(report) == {"acme"}
    assert "1 keys belong to no family" in report.problems[0].what


def test_undoing_a_run_puts_its_changes_back(redis_pools: Pools, clients: Pools) -> None:
    put_busy_tenant(redis_pools, "acme")
    report = Optimiser(CONTRACT, clients).optimise(at=AT)
    assert redis_pools[1].ttl("tenant:acme:api:crm:dashboard") > 7000

    undone = undo(CONTRACT, clients, report.run, at=AT)

    assert len(undone.undone) == len(report.tenants["acme"].changes) == 5
    assert redis_pools[1].ttl("tenant:acme:api:crm:dashboard") <= 600
    assert not redis_pools[10].exists("mobile_optimized:tenant:acme:dashboard")


def test_a_server_that_dies_in_the_middle_is_a_lost_target(
    redis_server: ServerProcess, redis_pools: Pools, clients: Pools
) -> None:
    put_busy_tenant(redis_pools, "acme")

    def loader(tenant: str, item: str) -> object:
        redis_server.kill()
        return {"of": tenant, "item": item}

    with pytest.raises(TargetLostError) as error:
        Optimiser(CONTRACT, clients, loader=loader).optimise(at=AT)

    assert error.value.exit_code == 12


def test_a_command_that_the_account_may_not_run_stops_the_run(
    redis_server: ServerProcess, redis_pools: Pools
) -> None:
    put_busy_tenant(redis_pools, "acme")
    redis_pools[0].execute_command("ACL", "SETUSER", "default", "-scan")
    with Pools(redis_server.endpoint) as clients, pytest.raises(ReadDeniedError, match="SCAN"):
        Optimiser(CONTRACT, clients).optimise(at=AT)
    redis_pools[0].execute_command("ACL", "SETUSER", "default", "+@all")
    assert not redis_pools[4].exists(LOCK)


def test_a_moment_without_an_offset_is_refused(clients: Pools) -> None:
    """E27: hosts would read it differently."""
    with pytest.raises(MomentInvalidError, match="no offset"):
        Optimiser(CONTRACT, clients).optimise(at=datetime(2025, 1, 27, 10))  # noqa: DTZ001 (the point)


def test_an_id_that_is_none_is_refused_before_anything_is_sent(clients: Pools) -> None:
    with pytest.raises(InvalidTenantIdError):
        Optimiser(CONTRACT, clients).optimise(at=AT, tenants=["a:b"])


def test_progress_tells_of_every_key_and_every_tenant(redis_pools: Pools, clients: Pools) -> None:
    for tenant in ("acme", "beta"):
        put_busy_tenant(redis_pools, tenant)
    told: dict[str, int] = {}

    def progress(stage: str, done: int, total: int | None) -> None:
        del total
        told[stage] = told.get(stage, 0) + done

    report = Optimiser(CONTRACT, clients, progress=progress).optimise(at=AT)

    assert told == {"keys": report.keys, "tenants": 2}
