# SPDX-License-Identifier: Apache-2.0
"""Reads are counted by sampling, within bounds, and never in the way of the read itself."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from kryonix_cache.fixtures.targets.server import ServerProcess, free_port
from kryonix_cache.reference_impl.async_connection import AsyncPools
from kryonix_cache.reference_impl.connection import Pools
from kryonix_cache.reference_impl.demand.errors import DemandNotKeptError
from kryonix_cache.reference_impl.demand.recorder import AccessRecorder
from kryonix_cache.reference_impl.tenant import AsyncTenantCaches, TenantCaches, families
from tests.demand.reads import (
    CONTRACT,
    DATABASE,
    MOST,
    Clock,
    batches_of,
    counter_key,
    counters,
)

if TYPE_CHECKING:
    from pathlib import Path

    import redis

PATIENCE = 30.0


class Split:
    """Clients whose counters lie on another server than everything else."""

    def __init__(self, pools: Pools, counting: Pools) -> None:
        self.pools = pools
        self.counting = counting

    def __getitem__(self, database: int) -> redis.Redis:
        return self.counting[database] if database == DATABASE else self.pools[database]


def recorder(**options: object) -> AccessRecorder:
    given = {"one_in": 1, "clock": Clock(), "chance": random.Random(1)} | options
    return AccessRecorder(CONTRACT, **given)


def noted(made: AccessRecorder, tenant: str, name: str, times: int = 1) -> None:
    for _ in range(times):
        made.note(tenant, families.ANSWERS, name)


# --- what is counted ---


def test_hits_and_misses_are_counted_by_item_and_hour(pools: Pools, tenant: str) -> None:
    clock = Clock()
    caches = TenantCaches(CONTRACT, pools, recorder(clock=clock))
    cache = caches.open(tenant)
    cache.answers.put("crm", "users", 1, ttl=60)
    for _ in range(3):
        assert cache.answers.get("crm", "users") == 1
    assert cache.answers.get("crm", "missing.json") is None
    clock.forward(hours=1)
    assert cache.answers.fetch("crm", "users", lambda: 2, ttl=60) == 1
    caches.flush()
    assert counters(pools, tenant) == {
        "12:api-cache:crm.users": 3,
        "12:api-cache:crm.missing.json": 1,
        "13:api-cache:crm.users": 1,
    }


def test_counts_are_added_to_those_of_other_processes(pools: Pools, tenant: str) -> None:
    for _ in range(2):
        caches = TenantCaches(CONTRACT, pools, recorder())
        caches.open(tenant).answers.get("crm", "users")
        caches.flush()
        caches.flush()
    assert counters(pools, tenant) == {"12:api-cache:crm.users": 2}


def test_without_a_recorder_nothing_is_counted(pools: Pools, tenant: str) -> None:
    caches = TenantCaches(CONTRACT, pools)
    caches.open(tenant).answers.get("crm", "users")
    caches.flush()
    assert counters(pools, tenant) == {}


def test_a_read_that_was_refused_is_no_demand(pools: Pools, tenant: str) -> None:
    made = recorder()
    with pytest.raises(Exception, match="endpoint"):
        TenantCaches(CONTRACT, pools, made).open(tenant).answers.get("crm", "a:b")
    assert made.state.cells == 0


def test_tenants_are_never_mixed(pools: Pools, tenant: str) -> None:
    """Ids that begin alike, and one server round for both: each count lies with its own tenant."""
    made = recorder()
    others = [f"{tenant}0", f"{tenant}-x", "acme"]
    for number, name in enumerate([tenant, *others], start=1):
        noted(made, name, f"crm.of-{name}", times=number)
    batches_of(made.flush(), pools)
    for number, name in enumerate([tenant, *others], start=1):
        assert counters(pools, name) == {f"12:api-cache:crm.of-{name}": number}


def test_a_day_ends_in_utc(pools: Pools, tenant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the process believes itself to be changes nothing."""
    monkeypatch.setenv("TZ", "America/Sao_Paulo")
    time.tzset()
    try:
        clock = Clock(datetime(2026, 12, 31, 23, 59, 59, tzinfo=UTC))
        made = recorder(clock=clock)
        noted(made, tenant, "crm.old")
        clock.forward(seconds=1)
        noted(made, tenant, "crm.new")
        batches_of(made.flush(), pools)
    finally:
        monkeypatch.undo()
        time.tzset()
    assert counter_key(tenant, clock.at).endswith(b"20270101")
    assert counters(pools, tenant, clock.at) == {"00:api-cache:crm.new": 1}
    last_year = datetime(2026, 12, 31, tzinfo=UTC)
    assert counters(pools, tenant, last_year) == {"23:api-cache:crm.old": 1}


def test_a_contract_that_keeps_no_reads_has_no_recorder() -> None:
    with pytest.raises(DemandNotKeptError, match="optimiser"):
        AccessRecorder(replace(CONTRACT, optimiser=None))


# --- sampling ---


def counted(made: AccessRecorder) -> dict[str, int]:
    found: dict[str, int] = {}
    for (_, _, _, parts), (weight,) in made._cells.items():
        found[".".join(parts)] = weight
    return found


@pytest.mark.parametrize("one_in", [2, 8, 100])
def test_sampled_counts_are_right_on_average(one_in: int) -> None:
    """Each item's estimate is within five standard deviations; without scaling it would be 1/n."""
    made = recorder(one_in=one_in)
    reads = {"often": 200_000, "seldom": 20_000}
    # One after another would hide a sampling that follows the order of reads.
    pattern = ["seldom"] + ["often"] * 10
    for index in range(220_000):
        made.note("acme", families.ANSWERS, pattern[index % 11])
    found = counted(made)
    for item, times in reads.items():
        deviation = (times * (one_in - 1)) ** 0.5
        assert abs(found[item] - times) < 5 * deviation
        assert times / one_in < times - 5 * deviation


def test_sampling_does_not_follow_a_pattern_of_reads() -> None:
    """Every eighth read alone is not every eighth read drawn."""
    made = recorder(one_in=8)
    for index in range(160_000):
        made.note("acme", families.ANSWERS, f"item{index % 8}")
    found = counted(made)
    deviation = (20_000 * 7) ** 0.5
    assert {item: abs(weight - 20_000) < 5 * deviation for item, weight in found.items()} == {
        f"item{each}": True for each in range(8)
    }


def test_the_recorder_samples_less_where_more_is_read(pools: Pools, tenant: str) -> None:
    """What was drawn under different samplings adds up to what was read."""
    clock = Clock()
    made = recorder(one_in=None, clock=clock)
    total = 0
    samplings = []
    for reads in (100, 50_000, 50_000, 300_000, 300_000, 60, 60):
        noted(made, tenant, "crm.users", times=reads)
        total += reads
        clock.forward(seconds=30)
        batches_of(made.flush(), pools)
        samplings.append(made.state.one_in)
    assert samplings == [1, 32, 32, 128, 128, 1, 1]
    estimate = sum(counters(pools, tenant).values())
    assert abs(estimate - total) < 5 * (total * max(samplings)) ** 0.5
    assert made.state.written == estimate


# --- bounds ---


def test_memory_is_bounded_by_items_whatever_is_asked_for() -> None:
    made = recorder(most_cells=100)
    for index in range(10_000):
        noted(made, "acme", f"item{index}")
    noted(made, "acme", "item5")
    assert (made.state.cells, made.state.dropped) == (100, 9_900)
    assert counted(made)["item5"] == 2
    assert made.is_due


def test_a_flood_of_items_leaves_a_bounded_key_in_which_real_demand_stays(
    pools: Pools, tenant: str
) -> None:
    made = recorder()
    chance = random.Random(3)
    for _ in range(6):
        for _ in range(4_000):
            noted(made, tenant, f"crm.{chance.getrandbits(480):0120x}")
        noted(made, tenant, "crm.users", times=5)
        batches_of(made.flush(), pools)
    found = counters(pools, tenant)
    assert len(found) == MOST
    assert found["12:api-cache:crm.users"] == 30
    taken = pools[DATABASE].memory_usage(counter_key(tenant), samples=0)
    assert taken <= CONTRACT.big_key_bytes


def test_a_flood_through_the_handle_is_written_and_forgotten(pools: Pools, tenant: str) -> None:
    made = recorder(most_cells=50)
    cache = TenantCaches(CONTRACT, pools, made).open(tenant)
    for index in range(500):
        cache.answers.get("crm", f"item{index}")
        assert made.state.cells <= 50
    assert made.state.dropped == 0
    assert made.state.written + made.state.cells == 500


def test_the_expiry_is_set_in_the_transaction_of_each_writing(pools: Pools, tenant: str) -> None:
    """No accident between two commands leaves counters that never expire."""
    made = recorder()
    for index in range(500):
        noted(made, tenant, f"crm.item{index}")
    noted(made, f"{tenant}-x", "crm.users")
    sent = batches_of(made.flush(), pools)
    assert len(sent) == 4
    for batch in sent:
        first, *inner, last = batch.commands
        assert (first, last) == ((b"MULTI",), (b"EXEC",))
        written = {command[1] for command in inner if command[0] == b"ZINCRBY"}
        assert len(written) == 1
        expiring = [command[1:] for command in inner if command[0] == b"EXPIRE"]
        assert expiring == [(written.pop(), b"259200")]
    assert 259_100 < pools[DATABASE].ttl(counter_key(tenant)) <= 259_200


def test_writing_takes_one_round_trip_for_many_reads(pools: Pools, tenant: str) -> None:
    clock = Clock()
    made = recorder(clock=clock)
    cache = TenantCaches(CONTRACT, pools, made).open(tenant)
    for index in range(300):
        cache.answers.get("crm", f"item{index % 30}")
    pools[DATABASE].ping()
    before = commands_processed(pools)
    cache.answers.get("crm", "item0")
    assert commands_processed(pools) - before == 2
    clock.forward(seconds=80)
    cache.answers.get("crm", "item0")
    # The read and this question; MULTI, an addition for each item, bound, expiry, EXEC.
    assert commands_processed(pools) - before == 2 + 2 + 30 + 4
    assert made.state.cells == 0


def commands_processed(pools: Pools) -> int:
    return int(pools[0].info("stats")["total_commands_processed"])


# --- when writing fails ---


def test_a_server_that_is_gone_fails_no_read(pools: Pools, tenant: str) -> None:
    """Counts that could not be written are dropped and told of, and memory stays bounded."""
    clock = Clock()
    made = recorder(clock=clock, most_cells=20)
    nowhere = replace(pools.endpoint, port=free_port())
    with Pools(nowhere, timeout=0.5) as dead:
        cache = TenantCaches(CONTRACT, Split(pools, dead), made).open(tenant)
        cache.answers.put("crm", "users", 1, ttl=600)
        for index in range(200):
            clock.forward(seconds=10)
            assert cache.answers.get("crm", "users") == 1
            assert cache.answers.get("crm", f"item{index}") is None
            assert made.state.cells <= 20
    state = made.state
    assert state.written == 0
    assert state.dropped + sum(counted(made).values()) == 400
    assert "ConnectionError" in str(state.last_error)
    # 2000 seconds: after 1, 2, 4, 8 and 16 times the interval of 60 s, give or take.
    assert 3 <= state.failures <= 6


def test_counting_goes_on_when_the_server_is_back(pools: Pools, tenant: str) -> None:
    clock = Clock()
    made = recorder(clock=clock)
    nowhere = replace(pools.endpoint, port=free_port())
    with Pools(nowhere, timeout=0.5) as dead:
        clients = Split(pools, dead)
        cache = TenantCaches(CONTRACT, clients, made).open(tenant)
        clock.forward(seconds=100)
        cache.answers.get("crm", "users")
        assert made.state.failures == 1
        clients.counting = pools
        clock.forward(seconds=300)
        cache.answers.get("crm", "users")
    assert counters(pools, tenant) == {"12:api-cache:crm.users": 1}
    assert (made.state.written, made.state.dropped) == (1, 1)


def test_a_server_that_hangs_holds_up_one_read_for_the_time_out(
    pools: Pools, tenant: str, redis_binary: Path
) -> None:
    clock = Clock()
    made = recorder(clock=clock)
    with ServerProcess(redis_binary) as other, Pools(other.endpoint, timeout=0.5) as counting:
        cache = TenantCaches(CONTRACT, Split(pools, counting), made).open(tenant)
        counting[DATABASE].ping()
        assert other.pid is not None
        os.kill(other.pid, signal.SIGSTOP)
        try:
            clock.forward(seconds=100)
            start = time.monotonic()
            cache.answers.get("crm", "users")
            first = time.monotonic() - start
            for _ in range(100):
                cache.answers.get("crm", "users")
        finally:
            os.kill(other.pid, signal.SIGCONT)
    assert 0.4 < first < PATIENCE
    assert made.state.failures == 1


def test_what_the_server_refuses_is_dropped_for_that_tenant_only(pools: Pools, tenant: str) -> None:
    made = recorder()
    pools[DATABASE].set(counter_key(tenant), "no counters", ex=60)
    noted(made, tenant, "crm.users", times=3)
    noted(made, f"{tenant}-x", "crm.users", times=4)
    batches_of(made.flush(), pools)
    assert counters(pools, f"{tenant}-x") == {"12:api-cache:crm.users": 4}
    assert (made.state.written, made.state.dropped, made.state.failures) == (4, 3, 1)
    assert "WRONGTYPE" in str(made.state.last_error)


# --- processes, threads, tasks ---


def test_a_forked_child_writes_nothing_of_its_parent(pools: Pools, tenant: str) -> None:
    made = recorder()
    caches = TenantCaches(CONTRACT, pools, made)
    for _ in range(5):
        caches.open(tenant).answers.get("crm", "users")
    # As another thread would at the moment of the fork.
    lock = made._lock
    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        with lock:
            held.set()
            done.wait(PATIENCE)

    holder = threading.Thread(target=hold)
    holder.start()
    held.wait(PATIENCE)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            signal.alarm(20)
            caches.open(tenant).answers.get("crm", "child")
            os.write(writing, json.dumps([made.state.cells, made.state.dropped]).encode())
            caches.flush()
            status = 0
        finally:
            os._exit(status)
    done.set()
    _, status = os.waitpid(child, 0)
    os.close(writing)
    said = json.loads(os.read(reading, 100))
    os.close(reading)
    holder.join(PATIENCE)
    assert (status, said) == (0, [1, 0])
    assert counters(pools, tenant) == {"12:api-cache:crm.child": 1}


def test_threads_lose_no_count_and_count_none_twice(pools: Pools, tenant: str) -> None:
    made = recorder(most_cells=7)
    caches = TenantCaches(CONTRACT, pools, made)

    def read(number: int) -> None:
        cache = caches.open(f"{tenant}-{number % 2}")
        for index in range(200):
            cache.answers.get("crm", f"item{index % 10}")

    workers = [threading.Thread(target=read, args=(number,)) for number in range(6)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(PATIENCE)
    caches.flush()
    found = [sum(counters(pools, f"{tenant}-{each}").values()) for each in range(2)]
    assert sum(found) + made.state.dropped == 1200
    assert made.state.written == sum(found)
    assert made.state.failures == 0


def test_tasks_share_a_recorder_with_each_other(
    server: ServerProcess, pools: Pools, tenant: str
) -> None:
    made = recorder(most_cells=30)

    async def play() -> None:
        clients = AsyncPools(server.endpoint)
        caches = AsyncTenantCaches(CONTRACT, clients, made)

        async def read(number: int) -> None:
            cache = caches.open(f"{tenant}-{number % 2}")
            for index in range(50):
                await cache.answers.get("crm", f"item{index % 10}")

        try:
            await asyncio.gather(*(read(number) for number in range(8)))
            await caches.flush()
        finally:
            await clients.aclose()

    asyncio.run(play())
    for each in range(2):
        assert sum(counters(pools, f"{tenant}-{each}").values()) == 200


def test_tasks_are_not_failed_by_a_server_that_is_gone(server: ServerProcess, tenant: str) -> None:
    clock = Clock()
    made = recorder(clock=clock)

    class AsyncSplit:
        def __init__(self, near: AsyncPools, far: AsyncPools) -> None:
            self.near, self.far = near, far

        def __getitem__(self, database: int) -> redis.asyncio.Redis:
            return (self.far if database == DATABASE else self.near)[database]

    async def play() -> object:
        near = AsyncPools(server.endpoint)
        far = AsyncPools(replace(server.endpoint, port=free_port()), timeout=0.5)
        cache = AsyncTenantCaches(CONTRACT, AsyncSplit(near, far), made).open(tenant)
        try:
            await cache.answers.put("crm", "users", 1, ttl=60)
            clock.forward(seconds=100)
            return await cache.answers.get("crm", "users")
        finally:
            await near.aclose()
            await far.aclose()

    assert asyncio.run(play()) == 1
    assert (made.state.failures, made.state.dropped) == (1, 1)
