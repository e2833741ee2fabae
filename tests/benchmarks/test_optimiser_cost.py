# SPDX-License-Identifier: Apache-2.0
"""What a run of the optimiser costs, beside a pass for each tenant on the same server (E08).

The figures to watch are `client_cpu_us_per_key`, which must not grow with the number of tenants,
and the ratios: what asking the server for the keys of each tenant by itself would take (measured
for a few tenants, then multiplied), divided by what the whole run took. `ratio_to_passes` is that
of seconds, `server_cpu_ratio_to_passes` that of the server's processor time, in which nobody else
is served. KEYS is never sent in this project, so the pass of a tenant is a SCAN with MATCH, which
tells its names and nothing else.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from kryonix_cache.fixtures.declared_writes import OPTIMISING, DeclaredWrites
from kryonix_cache.reference_impl.connection import Pools
from kryonix_cache.reference_impl.optimiser.optimiser import Optimiser
from tests.benchmarks.keyspaces import CONTRACT, fill
from tests.seeding.servers import new_server

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture

SIZES = [(100, 50), (1000, 50), (5000, 50), (2000, 500)]
SMALLER = 50
"""Divides the tenants where nobody wants figures."""

PASSES = 3
SLOW_US = 1000
LONGEST_US = 10_000
SHOWN = 6


@dataclass(frozen=True, slots=True)
class Cost:
    """Seconds of wall time, and of the processors of client and server."""

    wall: float
    client: float
    server: float


def processor_seconds(pools: Pools) -> float:
    info = pools[0].info("cpu")
    return float(info["used_cpu_user"]) + float(info["used_cpu_sys"])


def run(pools: Pools, at: datetime) -> tuple[Cost, int]:
    """Return what one run costs, and how many changes it made."""
    wall, client, server = time.perf_counter(), time.process_time(), processor_seconds(pools)
    report = Optimiser(CONTRACT, pools).optimise(at=at)
    cost = Cost(
        time.perf_counter() - wall,
        time.process_time() - client,
        processor_seconds(pools) - server,
    )
    assert not report.problems
    assert {each.problems for each in report.tenants.values()} == {()}
    return cost, sum(len(each.changes) for each in report.tenants.values())


def cost_of_a_pass(pools: Pools) -> Cost:
    """Return the mean cost of a pass over all databases for one tenant."""
    wall, client, server = time.perf_counter(), time.process_time(), processor_seconds(pools)
    for number in range(PASSES):
        for database in range(16):
            pattern = f"tenant:t{number:05}:*"
            assert all(pools[database].scan_iter(match=pattern, count=1000))
    return Cost(
        (time.perf_counter() - wall) / PASSES,
        (time.process_time() - client) / PASSES,
        (processor_seconds(pools) - server) / PASSES,
    )


@pytest.mark.parametrize(("tenants", "keys_each"), SIZES)
def test_optimiser_cost(benchmark: BenchmarkFixture, tenants: int, keys_each: int) -> None:
    if benchmark.disabled:
        tenants //= SMALLER
    at = datetime.now(UTC)
    directives = {"slowlog-log-slower-than": str(SLOW_US), "slowlog-max-len": "10000"}
    with new_server(**directives) as server, Pools(server.endpoint) as writer:
        keys = fill(writer, tenants, keys_each, at)
        assert keys == tenants * keys_each
        writer[0].slowlog_reset()
        policy = DeclaredWrites(CONTRACT, OPTIMISING)
        with Pools(server.endpoint, policy=policy, timeout=30) as pools:
            cost, changes = benchmark.pedantic(lambda: run(pools, at), rounds=1)
        slow = sorted(writer[0].slowlog_get(10_000), key=lambda entry: -entry["duration"])
        each = cost_of_a_pass(writer)
    # Each tenant has answers that live shorter than an hour, and a hit rate below the rule's.
    assert changes >= tenants
    benchmark.extra_info["keys"] = keys
    benchmark.extra_info["changes"] = changes
    benchmark.extra_info["wall_s"] = round(cost.wall, 2)
    benchmark.extra_info["client_cpu_s"] = round(cost.client, 2)
    benchmark.extra_info["server_cpu_s"] = round(cost.server, 2)
    benchmark.extra_info["client_cpu_us_per_key"] = round(cost.client / keys * 1e6, 1)
    # By the clock, so on a busy machine also the time in which the server did not run at all:
    # a command that asks for one number is then among the longest.
    benchmark.extra_info["longest_commands"] = [
        f"{entry['duration'] / 1000} ms {entry['command'][:40].decode(errors='replace')}"
        for entry in slow[:SHOWN]
    ]
    benchmark.extra_info["commands_over_10_ms"] = sum(
        entry["duration"] > LONGEST_US for entry in slow
    )
    benchmark.extra_info["ratio_to_passes"] = round(each.wall * tenants / cost.wall, 1)
    benchmark.extra_info["server_cpu_ratio_to_passes"] = round(
        each.server * tenants / cost.server, 1
    )
