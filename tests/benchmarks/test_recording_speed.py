# SPDX-License-Identifier: Apache-2.0
"""What counting of reads costs, beside the same reads without it, and what it takes on the server.

The figure to watch is `cost_of_a_get`: the processor time that a recorder adds to a GET through the
handle, writing included, as a share of that GET. The bar is 0.05. Both handles take turns in short
rounds of one run, and the median of the rounds' ratios is taken, for the machine is shared.
"""

from __future__ import annotations

import random
import statistics
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from kryonix_cache.reference_impl.connection import Pools
from kryonix_cache.reference_impl.contract import default_contract
from kryonix_cache.reference_impl.demand import history, items
from kryonix_cache.reference_impl.demand.logs import Access
from kryonix_cache.reference_impl.demand.recorder import AccessRecorder
from kryonix_cache.reference_impl.tenant import TenantCaches, families
from tests.seeding.servers import new_server

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture

    from kryonix_cache.reference_impl.tenant import TenantCache

CONTRACT = default_contract()
DATABASE = CONTRACT.family(items.COUNTERS).databases[0]
ENDPOINTS = [f"endpoint{number}" for number in range(30)]
READS = 600
ROUNDS = 60
WARM_UP = 20
NOON = datetime(2026, 3, 4, 12, 0, tzinfo=UTC)


def seconds_of(cache: TenantCache) -> float:
    start = time.process_time()
    for number in range(READS):
        cache.answers.get("crm", ENDPOINTS[number % len(ENDPOINTS)])
    return time.process_time() - start


@pytest.mark.parametrize("one_in", [None, 1], ids=["as-by-default", "every-read-drawn"])
def test_recording_speed(benchmark: BenchmarkFixture, one_in: int | None) -> None:
    """By default a process that reads so often draws fewer reads; to draw each is the dearest."""
    with new_server() as server, Pools(server.endpoint) as pools:
        recorder = AccessRecorder(CONTRACT, one_in=one_in, interval_s=1.0)
        with_recorder = TenantCaches(CONTRACT, pools, recorder).open("acme")
        without = TenantCaches(CONTRACT, pools).open("acme")
        for endpoint in ENDPOINTS:
            without.answers.put("crm", endpoint, {"rows": list(range(50))}, ttl=7000)
        before = pools[0].info("stats")["total_reads_processed"]
        pairs: list[tuple[float, float]] = []
        benchmark.pedantic(
            lambda: pairs.append((seconds_of(with_recorder), seconds_of(without))),
            rounds=ROUNDS,
            warmup_rounds=WARM_UP,
        )
        trips = pools[0].info("stats")["total_reads_processed"] - before
    reads = READS * len(pairs)
    pairs = pairs[WARM_UP:] or pairs
    seconds = statistics.median(bare for _, bare in pairs)
    ratio = statistics.median(counting / bare for counting, bare in pairs)
    benchmark.extra_info["cost_of_a_get"] = round(ratio - 1, 3)
    benchmark.extra_info["get_microseconds"] = round(seconds / READS * 1e6, 1)
    benchmark.extra_info["round_trips_per_1000_reads"] = round(1000 * (trips / reads - 2), 2)
    benchmark.extra_info["one_in"] = recorder.state.one_in
    assert recorder.state.failures == 0


def test_memory_of_a_busy_tenant(benchmark: BenchmarkFixture) -> None:
    """As many items as are kept, each asked for one to nine times in each hour of fourteen days."""
    rule = items.rule_of(CONTRACT)
    chance = random.Random(1)
    names = [f"crm.endpoint{number}" for number in range(rule.history_items)]
    reads = (
        Access("acme", families.ANSWERS, name, NOON - timedelta(hours=hour), chance.randint(1, 9))
        for hour in range(1, rule.history_days * 24 + 1)
        for name in names
    )
    with new_server() as server, Pools(server.endpoint) as pools:
        assert history.learn(pools, CONTRACT, reads, NOON) == []
        benchmark.extra_info["counters_bytes_of_an_hour"] = counted(pools, "hour", names, 1)
        benchmark.extra_info["counters_bytes_of_a_day"] = counted(pools, "day", names, 24)
        benchmark.pedantic(lambda: history.load(pools, CONTRACT, "acme", NOON), rounds=20)
        key = CONTRACT.key(items.HISTORY, tenant="acme")
        benchmark.extra_info["history_bytes"] = pools[DATABASE].memory_usage(key)


def counted(pools: Pools, tenant: str, names: list[str], hours: int) -> int:
    """Let a recorder count reads of some hours of one day; return the bytes on the server."""
    clock = [NOON.replace(hour=0).timestamp()]
    recorder = AccessRecorder(CONTRACT, one_in=1, clock=lambda: clock[0])
    caches = TenantCaches(CONTRACT, pools, recorder)
    for _ in range(hours):
        for name in names:
            recorder.note(tenant, families.ANSWERS, name)
        caches.flush()
        clock[0] += 3600
    key = items.counter_key(CONTRACT, tenant, items.hour_of(NOON))
    return int(pools[DATABASE].memory_usage(key, samples=0) or 0)
