# SPDX-License-Identifier: Apache-2.0
"""How fast synthetic tenants are written, beside a plain redis-py pipeline in the same run.

The figure to watch is `ratio_to_pipeline`: keys per second of seeding, divided by the keys per
second of a pipeline that sets as many strings of as many bytes, with no check, no expiry and no
transaction. Times of a shared machine wander; a ratio within one run does not.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from kryonix_cache.reference_impl.connection import Pools
from kryonix_cache.reference_impl.contract import default_contract
from kryonix_cache.reference_impl.seeding import Seeder, SyntheticPlan, synthetic_tenant_ids
from tests.seeding.servers import new_server

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture

TENANTS = 2000
BATCH = 500


def plan() -> SyntheticPlan:
    contract = default_contract()
    return SyntheticPlan(contract, synthetic_tenant_ids(contract, TENANTS, 1), 1)


def payloads() -> list[tuple[bytes, bytes]]:
    made = plan()
    return [
        (key.name, b"".join(key.write[2:]))
        for database in made.sizes
        for key in made.keys(database)
    ]


def seconds_of_pipeline(keys: list[tuple[bytes, bytes]]) -> float:
    with new_server() as server, Pools(server.endpoint) as pools:
        start = time.perf_counter()
        for first in range(0, len(keys), BATCH):
            pipeline = pools[0].pipeline(transaction=False)
            for name, value in keys[first : first + BATCH]:
                pipeline.set(name, value)
            pipeline.execute()
        return time.perf_counter() - start


def empty(seeder: Seeder) -> None:
    seeder.unseed(plan())


def test_seeding_speed(benchmark: BenchmarkFixture) -> None:
    with new_server() as server, Pools(server.endpoint) as pools:
        seeder = Seeder(pools)
        report = benchmark.pedantic(
            lambda: seeder.seed(plan()),
            setup=lambda: empty(seeder),
            rounds=3,
        )
    assert report.written == report.planned
    if benchmark.disabled:
        return
    reference = seconds_of_pipeline(payloads())
    seconds = benchmark.stats.stats.median

    benchmark.extra_info["keys"] = report.planned
    benchmark.extra_info["keys_per_second"] = round(report.planned / seconds)
    benchmark.extra_info["ratio_to_pipeline"] = round(reference / seconds, 2)
