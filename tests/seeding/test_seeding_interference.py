# SPDX-License-Identifier: Apache-2.0
"""Other clients, lost servers and missing rights while seeding is under way."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest

from kryonix_cache.reference_impl.connection import Endpoint, Pools, bulk
from kryonix_cache.reference_impl.contract import default_contract
from kryonix_cache.reference_impl.seeding import (
    SamplePlan,
    Seeder,
    SyntheticPlan,
    seed_sample,
    synthetic_tenant_ids,
    unseed_sample,
)
from kryonix_cache.reference_impl.seeding.errors import (
    ContendedKeysError,
    ForeignKeyError,
    SeedingInterruptedError,
)
from kryonix_cache.reference_impl.seeding.key import SeedKey
from kryonix_cache.reference_impl.seeding.transaction import Lane, remove
from tests.seeding.observed import observe, values
from tests.seeding.servers import new_server

if TYPE_CHECKING:
    from kryonix_cache.fixtures.targets.server import ServerProcess

SEED = 11
KEY = SeedKey(0, (b"HSET", b"name", b"field", b"value"))


def plan(tenants: int) -> SyntheticPlan:
    contract = default_contract()
    return SyntheticPlan(contract, synthetic_tenant_ids(contract, tenants, SEED), SEED)


def test_a_foreign_key_that_appears_between_check_and_write_is_not_overwritten(
    pools: Pools,
) -> None:
    pools[0].set("name", "foreign")
    with bulk(pools[0]) as connection:
        lane = Lane(connection)
        lane.announce([KEY])
        with pytest.raises(ForeignKeyError):
            lane.submit()

    assert pools[0].get("name") == b"foreign"


def test_a_foreign_key_that_appears_after_the_look_makes_the_transaction_void(pools: Pools) -> None:
    with bulk(pools[0]) as connection:
        lane = Lane(connection)
        lane.announce([KEY])
        pending = connection.read_replies

        def late(count: int) -> object:
            replies = pending(count)
            pools[0].set("name", "foreign")
            return replies

        connection.read_replies = late
        lane.submit()
        connection.read_replies = pending
        with pytest.raises(ForeignKeyError):
            lane.settle()

    assert pools[0].get("name") == b"foreign"


def test_a_key_that_changes_before_its_removal_is_kept(pools: Pools) -> None:
    pools[0].hset("name", "field", "value")
    with bulk(pools[0]) as connection:
        exchange = connection.exchange

        def changed_before_exec(commands: list[tuple[bytes, ...]]) -> object:
            if commands[0] == (b"MULTI",):
                pools[0].hset("name", "field", "changed")
            return exchange(commands)

        connection.exchange = changed_before_exec
        report = remove(connection, [KEY])

    assert report.changed == ((0, b"name"),)
    assert pools[0].hget("name", "field") == b"changed"


def test_a_key_that_never_stands_still_ends_in_an_error(redis_pools: Pools) -> None:
    with bulk(redis_pools[0]) as connection:
        exchange = connection.exchange

        def touched_before_exec(commands: list[tuple[bytes, ...]]) -> object:
            if commands[0] == (b"MULTI",):
                redis_pools[0].unlink("name")
                redis_pools[0].hset("name", "field", "value")
            return exchange(commands)

        redis_pools[0].hset("name", "field", "value")
        connection.exchange = touched_before_exec
        with pytest.raises(ContendedKeysError, match="database 0"):
            remove(connection, [KEY])


def test_two_seeders_at_once_write_one_sample(server: ServerProcess) -> None:
    """Both finish, and the data is what one of them alone would have written."""
    with Pools(server.endpoint) as pools:
        start = threading.Barrier(2)
        failures: list[BaseException] = []

        def run() -> None:
            try:
                with Pools(server.endpoint) as own:
                    start.wait()
                    for _ in range(5):
                        seed_sample(own)
            except BaseException as error:  # noqa: BLE001 (shown by the assertion)
                failures.append(error)

        threads = [threading.Thread(target=run) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert failures == []
        assert len(observe(pools)) == 58
        assert unseed_sample(pools).removed == 58


def _seed(endpoint: Endpoint, tenants: int) -> None:
    with Pools(endpoint) as pools:
        Seeder(pools).seed(plan(tenants))


def test_two_seeders_of_the_same_tenants_at_once_write_them_once(
    redis_server: ServerProcess,
) -> None:
    processes = [
        multiprocessing.get_context("spawn").Process(
            target=_seed, args=(redis_server.endpoint, 200)
        )
        for _ in range(2)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)

    assert [process.exitcode for process in processes] == [0, 0]
    with Pools(redis_server.endpoint) as pools:
        assert len(observe(pools)) == sum(plan(200).sizes.values())
        assert Seeder(pools).unseed(plan(200)).changed == ()


def test_a_seeder_that_was_killed_is_completed_by_seeding_again(server: ServerProcess) -> None:
    """No key is ever half written, so the second run finds only keys of its own."""
    expected = plan(3000)
    process = multiprocessing.get_context("spawn").Process(
        target=_seed, args=(server.endpoint, 3000)
    )
    process.start()
    with Pools(server.endpoint) as pools:
        deadline = time.monotonic() + 60
        while pools[3].dbsize() < 1000:
            assert time.monotonic() < deadline
        os.kill(process.pid or 0, signal.SIGKILL)
        process.join()
        written = sum(pools[database].dbsize() for database in range(16))
        planned = sum(expected.sizes.values())
        assert 0 < written < planned
        expiring = {key.name for key in expected.keys(0) if key.ttl}
        assert all(pools[0].ttl(name) > 0 for name in pools[0].scan_iter() if name in expiring)

        report = Seeder(pools).seed(expected)
        assert report.kept >= written
        assert sum(pools[database].dbsize() for database in range(16)) == planned
        assert Seeder(pools).unseed(expected).removed == planned


def test_a_lost_server_is_told_with_the_number_of_written_keys(redis_server: ServerProcess) -> None:
    with Pools(redis_server.endpoint) as pools:
        seen = 0

        def lose(action: str, keys: int) -> None:
            nonlocal seen
            seen += keys if action == "writing" else 0
            if seen > 2000 and redis_server.running:
                redis_server.kill()

        with pytest.raises(
            SeedingInterruptedError, match=r"At least [1-9]\d+ of 93016 keys"
        ) as error:
            Seeder(pools, progress=lose).seed(plan(3000))

    assert "run the same command again" in str(error.value)
    assert error.value.exit_code == 12


def test_a_server_out_of_memory_is_told_with_the_number_of_written_keys() -> None:
    with new_server(maxmemory="8mb") as server, Pools(server.endpoint) as pools:
        with pytest.raises(
            SeedingInterruptedError, match=r"At least \d+ of \d+ keys.*OOM"
        ) as error:
            Seeder(pools).seed(plan(3000))
        written = int(str(error.value).split()[2])
        present = sum(pools[database].dbsize() for database in range(16))

        assert 0 < written <= present
        pools[0].config_set("maxmemory", 0)
        assert Seeder(pools).seed(plan(3000)).kept == present


def test_a_server_that_cannot_save_refuses_before_the_first_key() -> None:
    """A full disk shows as MISCONF; a folder in the place of the file does the same."""
    with new_server(save="3600 1") as server, Pools(server.endpoint) as pools:
        (server.folder / "dump.rdb" / "full").mkdir(parents=True)
        pools[0].set("somebody:else", 1)
        pools[0].bgsave()
        deadline = time.monotonic() + 20
        while pools[0].info("persistence")["rdb_last_bgsave_status"] == "ok":
            assert time.monotonic() < deadline

        with pytest.raises(SeedingInterruptedError, match=r"At least 0 of 58 keys.*MISCONF"):
            seed_sample(pools)
        assert len(observe(pools)) == 1


@pytest.mark.parametrize(
    ("rights", "sentence"),
    [
        (["+@read", "+ping"], "NOPERM"),
        (["+@all", "-hset"], "NOPERM"),
    ],
)
def test_a_user_who_may_not_write_writes_nothing(
    server: ServerProcess, rights: list[str], sentence: str
) -> None:
    with Pools(server.endpoint) as admin:
        admin[0].execute_command(
            "ACL", "SETUSER", "reader", "on", ">secret", "~*", "-@all", *rights, "+select"
        )
        endpoint = Endpoint.parse(f"redis://reader:secret@127.0.0.1:{server.port}")
        with Pools(endpoint) as pools, pytest.raises(SeedingInterruptedError, match=sentence):
            seed_sample(pools)

        assert observe(admin) == {}


def test_a_user_who_may_read_only_can_look(server: ServerProcess) -> None:
    with Pools(server.endpoint) as admin:
        admin[0].execute_command(
            "ACL", "SETUSER", "reader", "on", ">secret", "~*", "-@all", "+@read", "+select"
        )
        seed_sample(admin)
        endpoint = Endpoint.parse(f"redis://reader:secret@127.0.0.1:{server.port}")
        with Pools(endpoint) as pools:
            assert Seeder(pools).check(SamplePlan()) == 58
            assert Seeder(pools).unseed(SamplePlan(), dry_run=True).removed == 58

        assert len(observe(admin)) == 58


def test_an_interpreter_that_hashes_otherwise_writes_the_same_tenants(
    redis_server: ServerProcess,
) -> None:
    """Same number, same data: in another process, with another hash seed."""
    program = (
        "import sys\n"
        "from kryonix_cache.reference_impl.connection import Endpoint, Pools\n"
        "from kryonix_cache.reference_impl.contract import default_contract\n"
        "from kryonix_cache.reference_impl.seeding import *\n"
        "contract = default_contract()\n"
        "plan = SyntheticPlan(contract, synthetic_tenant_ids(contract, 70, 11), 11)\n"
        "Seeder(Pools(Endpoint.parse(sys.argv[1]))).seed(plan)\n"
    )
    url = f"redis://127.0.0.1:{redis_server.port}"
    subprocess.run(
        [sys.executable, "-c", program, url],
        env={**os.environ, "PYTHONHASHSEED": "4242"},
        check=True,
        timeout=60,
    )
    with Pools(redis_server.endpoint) as pools:
        there = values(pools)

        assert Seeder(pools).seed(plan(70)).written == 0
        assert values(pools) == there
