# SPDX-License-Identifier: Apache-2.0
"""Undoing: back to what would be without the run, and nothing that others changed."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from kryonix_cache.reference_impl.connection import Pools
from kryonix_cache.reference_impl.optimiser.errors import (
    OptimiserBusyError,
    UnknownOptimisationError,
)
from kryonix_cache.reference_impl.optimiser.lock import OptimiserLock
from kryonix_cache.reference_impl.optimiser.undo import undo
from kryonix_cache.reference_impl.optimiser.values import digest_of
from tests.optimiser.deeds import ANSWERS, KEPT, LOW, MOBILE, Interference, actions, analysis, facts
from tests.optimiser.keyspace import AT, CONTRACT, put_answer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kryonix_cache.fixtures.targets.server import ServerProcess
    from kryonix_cache.reference_impl.connection import Command
    from kryonix_cache.reference_impl.contract.model import TenantId
    from kryonix_cache.reference_impl.optimiser.undo import UndoReport

LATER = AT + timedelta(minutes=5)


def taken_back(pools: Pools, tenant: str, run: str = "run-1", **options: bool) -> UndoReport:
    return undo(CONTRACT, pools, run, at=LATER, tenants=[tenant], **options)


def whats(report: UndoReport) -> dict[str, str]:
    return {each.where.partition(":api:crm:")[2]: each.what for each in report.skipped}


def undone_at(pools: Pools, tenant: str, database: int = ANSWERS) -> list[object]:
    trail = pools[database].lrange(CONTRACT.key("optimisation-trail", tenant=tenant), 0, -1)
    return [json.loads(entry).get("undone_at") for entry in trail]


def test_a_time_to_live_is_put_back_to_the_moment_it_had(standing: Pools, tenant: TenantId) -> None:
    key = put_answer(standing, tenant, "crm.leads", ttl=600)
    without = put_answer(standing, tenant, "crm.without", ttl=600)
    (change,), _ = actions(standing).act(facts(tenant, [key]), LOW)
    time.sleep(0.3)
    report = taken_back(standing, tenant)

    (undone,) = report.undone
    assert (undone.key, undone.reason) == (key, change.reason)
    assert (report.already, report.skipped) == (0, ())
    assert abs(standing[ANSWERS].pttl(key) - standing[ANSWERS].pttl(without)) < 250
    assert undone_at(standing, tenant) == ["2025-01-27T10:05:00.000+00:00"]


def test_a_value_whose_time_has_passed_meanwhile_is_deleted(
    standing: Pools, tenant: TenantId
) -> None:
    key = put_answer(standing, tenant, "crm.leads")
    standing[ANSWERS].pexpire(key, 2400)
    actions(standing).act(facts(tenant, [key]), LOW)
    while standing[ANSWERS].pttl(key) > 1150:
        time.sleep(0.02)
    assert standing[ANSWERS].exists(key)
    report = taken_back(standing, tenant)

    assert [change.key for change in report.undone] == [key]
    assert not standing[ANSWERS].exists(key)


def test_what_was_written_is_deleted(standing: Pools, tenant: TenantId) -> None:
    run = actions(standing, loader=lambda _, item: item)
    changes, _ = run.act(facts(tenant), analysis(mobile=90, items=["crm.leads"]))
    report = taken_back(standing, tenant)

    assert len(report.undone) == len(changes) == 5
    assert [standing[KEPT].exists(change.key) for change in changes] == [0] * 5
    assert len(undone_at(standing, tenant, KEPT)) == 5


def test_twice_is_once(standing: Pools, tenant: TenantId) -> None:
    key = put_answer(standing, tenant, "crm.leads", ttl=600)
    actions(standing).act(facts(tenant, [key]), LOW)
    taken_back(standing, tenant)
    before = standing[ANSWERS].pttl(key)
    report = taken_back(standing, tenant)

    assert (report.undone, report.already, report.skipped) == ((), 1, ())
    assert before - 2000 < standing[ANSWERS].pttl(key) <= before


def test_an_undone_value_is_not_extended_again(standing: Pools, tenant: TenantId) -> None:
    key = put_answer(standing, tenant, "crm.leads", ttl=600)
    actions(standing).act(facts(tenant, [key]), LOW)
    taken_back(standing, tenant)

    assert actions(standing, run="run-2").act(facts(tenant, [key]), LOW) == ((), ())


def test_what_others_changed_since_is_left_alone_and_named(
    standing: Pools, tenant: TenantId
) -> None:
    keys = {
        name: put_answer(standing, tenant, f"crm.{name}", ttl=600)
        for name in ("gone", "rewritten", "same", "moved", "kept", "left")
    }
    actions(standing).act(facts(tenant, keys.values()), LOW)
    client = standing[ANSWERS]
    client.unlink(keys["gone"])
    client.set(keys["rewritten"], "new", keepttl=True)
    client.set(keys["same"], client.get(keys["same"]) or b"", ex=1000)
    client.pexpire(keys["moved"], client.pttl(keys["moved"]) - 1000)
    client.persist(keys["kept"])
    before = {name: client.pttl(key) for name, key in keys.items()}
    report = taken_back(standing, tenant)

    assert whats(report) == {
        "gone": "it is gone",
        "rewritten": "its value was rewritten since",
        "same": "its expiry was changed since",
        "moved": "its expiry was changed since",
        "kept": "its expiry was changed since",
    }
    assert [change.key for change in report.undone] == [keys["left"]]
    for name in ("rewritten", "same", "moved", "kept"):
        assert before[name] - 2000 < client.pttl(keys[name]) <= before[name]
    assert undone_at(standing, tenant).count(None) == 5


def test_what_a_later_run_wrote_over_it_is_left_alone(standing: Pools, tenant: TenantId) -> None:
    """The later run's own undoing takes it away."""
    first = actions(standing, loader=lambda _, item: item)
    first.act(facts(tenant), MOBILE)
    key = CONTRACT.key("mobile-essentials", tenant=tenant, item="dashboard")
    standing[KEPT].expire(key, 500)
    # Expiries are told apart by the millisecond.
    time.sleep(0.05)
    second = actions(standing, run="run-2", loader=lambda _, item: item)
    second.act(facts(tenant), MOBILE)
    report = taken_back(standing, tenant)

    assert len(report.undone) == 2
    assert [each.what for each in report.skipped] == ["its expiry was changed since"]
    assert standing[KEPT].exists(key)
    assert len(taken_back(standing, tenant, "run-2").undone) == 1
    assert not standing[KEPT].exists(key)


def test_a_dry_run_and_a_run_that_changed_nothing_leave_nothing_to_undo(
    standing: Pools, tenant: TenantId
) -> None:
    key = put_answer(standing, tenant, "crm.leads", ttl=600)
    actions(standing, dry_run=True).act(facts(tenant, [key]), LOW)
    with pytest.raises(UnknownOptimisationError, match="No change of a run 'run-1'"):
        taken_back(standing, tenant)


def test_a_dry_undoing_says_what_it_would_do_and_writes_nothing(
    standing: Pools, tenant: TenantId
) -> None:
    key = put_answer(standing, tenant, "crm.leads", ttl=600)
    actions(standing).act(facts(tenant, [key]), LOW)
    before = standing[ANSWERS].pttl(key)
    report = taken_back(standing, tenant, dry_run=True)

    assert [change.key for change in report.undone] == [key]
    assert undone_at(standing, tenant) == [None]
    assert before - 2000 < standing[ANSWERS].pttl(key) <= before


def test_only_the_runs_own_changes_are_taken_back(standing: Pools, tenant: TenantId) -> None:
    keys = [put_answer(standing, tenant, f"crm.e{n}", ttl=600) for n in range(2)]
    actions(standing).act(facts(tenant, keys[:1]), LOW)
    actions(standing, run="run-2").act(facts(tenant, keys[1:]), LOW)
    taken_back(standing, tenant, "run-2")

    assert standing[ANSWERS].ttl(keys[0]) > 800
    assert standing[ANSWERS].ttl(keys[1]) <= 600


def test_trails_of_all_tenants_are_found_in_one_pass(redis_pools: Pools) -> None:
    tenants = [CONTRACT.tenant.parse(name) for name in ("acme", "globex", "initech")]
    run = actions(redis_pools, loader=lambda _, item: item)
    for name in tenants:
        key = put_answer(redis_pools, name, "crm.leads", ttl=600)
        run.act(facts(name, [key]), analysis(hit_rate=60, mobile=90))
    # Neither names a tenant's trail.
    redis_pools[ANSWERS].set("ai:trail:tenant:No Tenant", "x")
    redis_pools[ANSWERS].set("ai:trail:tenant:broken", "x")
    report = undo(CONTRACT, redis_pools, "run-1", at=datetime.now(UTC))

    assert len(report.undone) == 3 * 4
    (skipped,) = report.skipped
    assert skipped.what.startswith("The key 'ai:trail:tenant:broken' is a string, not a list")
    assert list(redis_pools[KEPT].scan_iter("mobile_optimized:*")) == []


def test_a_foreign_key_on_a_trail_is_never_touched(standing: Pools, tenant: TenantId) -> None:
    """Whoever can write a trail must not get other tenants' keys deleted by it."""
    other = put_answer(standing, f"{tenant}1", "crm.leads", ttl=600)
    mine = put_answer(standing, tenant, "crm.leads", ttl=600)
    actions(standing).act(facts(tenant, [mine]), LOW)
    key = CONTRACT.key("optimisation-trail", tenant=tenant)
    entry = json.loads(standing[ANSWERS].lindex(key, 0) or b"")
    seconds, microseconds = standing[ANSWERS].time()
    forged = entry | {
        "key": other.decode(),
        "action": "written",
        "value": _digest(standing, other),
        "server_expiry_ms": seconds * 1000 + microseconds // 1000 + standing[ANSWERS].pttl(other),
    }
    standing[ANSWERS].rpush(key, json.dumps(forged))
    report = taken_back(standing, tenant)

    assert standing[ANSWERS].exists(other)
    assert [change.key for change in report.undone] == [mine]
    assert [each.what for each in report.skipped] == [
        "it is no key of the tenant on whose trail it stands"
    ]


def _digest(pools: Pools, key: bytes) -> str:
    return digest_of(pools[ANSWERS].get(key) or b"")


def test_a_value_rewritten_while_it_is_undone_is_left_alone(
    standing_server: ServerProcess, standing: Pools, tenant: TenantId
) -> None:
    key = put_answer(standing, tenant, "crm.leads", ttl=600)
    actions(standing).act(facts(tenant, [key]), LOW)
    policy = _Between(lambda: put_answer(standing, tenant, "crm.leads", ttl=1000))
    with Pools(standing_server.endpoint, policy=policy) as pools:
        report = taken_back(pools, tenant)

    assert policy.came_in == 1
    assert report.undone == ()
    assert whats(report) == {"leads": "its expiry was changed since"}
    assert standing[ANSWERS].ttl(key) > 900
    assert undone_at(standing, tenant) == [None]


class _Between(Interference):
    """Comes in between where a trail is written, not where the lock is."""

    def check_batch(self, commands: Sequence[Command], database: int) -> None:
        """Note nothing else."""
        if any(command[0] == b"LSET" for command in commands):
            super().check_batch(commands, database)


def test_nothing_is_undone_while_a_run_is_at_work(redis_pools: Pools) -> None:
    tenant = CONTRACT.tenant.parse("acme")
    key = put_answer(redis_pools, tenant, "crm.leads", ttl=600)
    actions(redis_pools).act(facts(tenant, [key]), LOW)
    with (
        OptimiserLock(redis_pools, CONTRACT, "run-2"),
        pytest.raises(OptimiserBusyError, match="run-2"),
    ):
        undo(CONTRACT, redis_pools, "run-1", at=LATER)

    assert redis_pools[ANSWERS].ttl(key) > 800
    assert len(undo(CONTRACT, redis_pools, "run-1", at=LATER).undone) == 1
    assert not redis_pools[4].exists(CONTRACT.key("optimiser-lock"))


def test_many_changes_are_undone_in_few_round_trips(
    standing_server: ServerProcess, standing: Pools, tenant: TenantId
) -> None:
    policy = Interference()
    for run in range(3):
        keys = [put_answer(standing, tenant, f"n{run}.e{n}", ttl=600) for n in range(20)]
        actions(standing).act(facts(tenant, keys), LOW)
    with Pools(standing_server.endpoint, policy=policy) as pools:
        report = taken_back(pools, tenant)

    assert len(report.undone) == 60
    assert len(policy.batches) < 40
