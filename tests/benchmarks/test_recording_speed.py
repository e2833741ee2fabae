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
        for _ in range(20):
            seconds_of(with_recorder), seconds_of(without)
        before = pools[0].info("stats")["total_reads_processed"]
        pairs: list[tuple[float, float]] = []
        benchmark.pedantic(
            lambda: pairs.append((seconds_of(with_recorder), seconds_of(without))), rounds=ROUNDS
        )
        trips = pools[0].info("stats")["total_reads_processed"] - before
    reads = READS * len(pairs)
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
    with new_server() as server, Pools(server.endpoint) as pools:
        client = pools[DATABASE]
        at = NOON

        class Clock:
            now = NOON.timestamp()

        recorder = AccessRecorder(CONTRACT, one_in=1, clock=lambda: Clock.now)
        caches = TenantCaches(CONTRACT, pools, recorder)
        largest = 0
        chance = random.Random(1)
        for hour in range(rule.history_days * 24):
            Clock.now = (NOON + timedelta(hours=hour)).timestamp()
            for number in range(rule.history_items):
                for _ in range(chance.randint(1, 9)):
                    recorder.note("acme", families.ANSWERS, "crm", f"endpoint{number}")
            caches.flush()
            at = NOON + timedelta(hours=hour + 1)
            key = items.counter_key(CONTRACT, "acme", items.hour_of(NOON) + hour)
            largest = max(largest, client.memory_usage(key, samples=0) or 0)
            history.fold(pools, CONTRACT, "acme", at)
        for number in range(24 * rule.history_items):
            member = items.counter_of(
                number // rule.history_items, f"api-cache:crm.e{number % 128}"
            )
            client.zincrby(items.counter_key(CONTRACT, "never-folded", 490_000), 1, member)
        benchmark.pedantic(lambda: history.load(pools, CONTRACT, "acme", at), rounds=20)
        key = CONTRACT.key(items.HISTORY, tenant="acme")
        benchmark.extra_info["history_bytes"] = client.memory_usage(key)
        benchmark.extra_info["counters_bytes_if_folded_hourly"] = largest
        benchmark.extra_info["counters_bytes_of_a_day_not_folded"] = client.memory_usage(
            items.counter_key(CONTRACT, "never-folded", 490_000), samples=0
        )
