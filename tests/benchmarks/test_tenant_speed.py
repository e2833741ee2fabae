# SPDX-License-Identifier: Apache-2.0
"""What the tenant handle costs, beside the same command sent by redis-py in the same run.

The figure to watch is `ratio_to_redis_py`: seconds of a read through the handle, divided by the
seconds of GET and json.loads on the same client. Both pass the same guard.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

from kryonix_cache.reference_impl.connection import Pools
from kryonix_cache.reference_impl.contract import default_contract
from kryonix_cache.reference_impl.tenant import TenantCaches, families
from tests.seeding.servers import new_server

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_benchmark.fixture import BenchmarkFixture

READS = 2000


def seconds_of(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    for _ in range(READS):
        call()
    return time.perf_counter() - start


def test_reading_speed(benchmark: BenchmarkFixture) -> None:
    contract = default_contract()
    with new_server() as server, Pools(server.endpoint) as pools:
        cache = TenantCaches(contract, pools).open("acme")
        cache.answers.put("crm", "users", {"rows": list(range(50))}, ttl=300)
        key = contract.key(families.ANSWERS, tenant="acme", module="crm", endpoint="users")
        client = pools[contract.family(families.ANSWERS).databases[0]]
        plain = seconds_of(lambda: json.loads(client.get(key)))
        seconds: list[float] = []
        benchmark.pedantic(
            lambda: seconds.append(seconds_of(lambda: cache.answers.get("crm", "users"))), rounds=5
        )
    handle = min(seconds)
    benchmark.extra_info["reads_per_second"] = round(READS / handle)
    benchmark.extra_info["ratio_to_redis_py"] = round(handle / plain, 2)
