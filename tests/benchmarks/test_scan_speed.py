# SPDX-License-Identifier: Apache-2.0
"""How fast a keyspace is judged, beside the bare questions to the server in the same run.

The figure to watch is `ratio_to_bare`: keys per second of an audit of names, types, expiries and
sizes, divided by those of a raw loop that asks SCAN, TYPE and PTTL of the same keys and looks at
no answer. Times of a shared machine wander; a ratio within one run does not.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, cast

import pytest

from kryonix_cache.conformance.judging.keyspace import audit_keyspace
from kryonix_cache.reference_impl.bulk import KeyTemplate
from kryonix_cache.reference_impl.connection import Pools, bulk
from kryonix_cache.reference_impl.contract import default_contract
from kryonix_cache.reference_impl.seeding import Seeder, SyntheticPlan, synthetic_tenant_ids
from tests.seeding.servers import new_server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_benchmark.fixture import BenchmarkFixture

    from kryonix_cache.conformance.judging.sampling import Reading

TENANTS = 3000
BARE = KeyTemplate((b"TYPE", None), (b"PTTL", None))


@pytest.fixture(scope="module")
def pools() -> Iterator[Pools]:
    contract = default_contract()
    with new_server() as server, Pools(server.endpoint) as clients:
        ids = synthetic_tenant_ids(contract, TENANTS, 1)
        Seeder(clients).seed(SyntheticPlan(contract, ids, 1))
        yield clients


def seconds_of_bare_loop(pools: Pools) -> float:
    started = time.perf_counter()
    for database in range(16):
        with bulk(pools[database]) as connection:
            cursor = b"0"
            while True:
                (page,) = connection.exchange([(b"SCAN", cursor, b"COUNT", b"1000")])
                cursor, names = cast("tuple[bytes, list[bytes]]", page)
                for first in range(0, len(names), 200):
                    connection.exchange_keys(BARE, names[first : first + 200])
                if cursor == b"0":
                    break
    return time.perf_counter() - started


@pytest.mark.parametrize("reading", ["none", "sample", "all"])
def test_scan_speed(benchmark: BenchmarkFixture, pools: Pools, reading: Reading) -> None:
    contract = default_contract()
    audit = benchmark.pedantic(
        lambda: audit_keyspace(pools, contract, reading=reading), rounds=3, warmup_rounds=1
    )
    assert audit.keys == sum(pools[database].dbsize() for database in range(16))
    if benchmark.disabled:
        return
    bare = min(seconds_of_bare_loop(pools) for _ in range(3))
    seconds = benchmark.stats.stats.min

    benchmark.extra_info["keys"] = audit.keys
    benchmark.extra_info["values_read"] = audit.values_read
    benchmark.extra_info["keys_per_second"] = round(audit.keys / seconds)
    benchmark.extra_info["ratio_to_bare"] = round(bare / seconds, 2)
