# SPDX-License-Identifier: Apache-2.0
"""The one pass over all keys: complete, bounded, paced, and clear about what it may not do."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import redis

from kryonix_cache.reference_impl.connection import Pools
from kryonix_cache.reference_impl.errors import (
    DatabaseUnavailableError,
    ImpactInvalidError,
    ReadDeniedError,
    ScanLostError,
)
from kryonix_cache.reference_impl.scan import count_keys, impact_of, reader, scan

if TYPE_CHECKING:
    from kryonix_cache.fixtures.targets.server import ServerProcess
    from kryonix_cache.reference_impl.connection import Endpoint

KEYS = 2500


def fill(pools: Pools, database: int, keys: int = KEYS) -> None:
    pools[database].mset({f"key:{number}": "value" for number in range(keys)})


def read_all(pools: Pools) -> None:
    count_keys(pools, [0])
    list(scan(pools, [0]))


def user(server: ServerProcess, *rules: str) -> Endpoint:
    """Make a user with these rules and return the endpoint with its account."""
    with Pools(server.endpoint) as pools:
        pools[0].execute_command("ACL", "SETUSER", "reader", "reset", "on", ">secret", *rules)
    return replace(server.endpoint, username="reader", password="secret")


def test_every_key_comes_with_type_expiry_and_size(pools: Pools) -> None:
    fill(pools, 0)
    pools[0].expire("key:7", 100)
    pools[15].hset("hash", mapping={"a": "1"})

    rows = {
        (batch.database, row[0]): row[1:] for batch in scan(pools, range(16)) for row in batch.rows
    }

    assert len(rows) == KEYS + 1
    kind, ttl, size = rows[0, b"key:7"]
    assert (kind, 0 < ttl <= 100_000, size > 0) == (b"string", True, True)
    assert rows[0, b"key:8"][1] == -1
    assert rows[15, b"hash"][0] == b"hash"


def test_without_sizes_memory_usage_is_not_sent(pools: Pools) -> None:
    fill(pools, 0)
    pools[0].config_resetstat()

    rows = [row for batch in scan(pools, [0], sizes=False) for row in batch.rows]

    assert {row[3] for row in rows} == {0}
    assert not [name for name in pools[0].info("commandstats") if "memory" in name]


def test_keys_is_never_sent(pools: Pools) -> None:
    fill(pools, 0)
    pools[0].config_resetstat()

    assert sum(len(batch.rows) for batch in scan(pools, range(16))) == KEYS

    sent = {name.removeprefix("cmdstat_") for name in pools[0].info("commandstats")}
    assert "keys" not in sent
    assert "scan" in sent


def test_keys_that_vanish_are_counted_and_not_judged(pools: Pools) -> None:
    fill(pools, 0)
    seen, vanished = 0, 0
    for batch in scan(pools, [0]):
        if not seen:
            pools[0].delete(*(f"key:{number}" for number in range(KEYS)))
        seen += len(batch.rows)
        vanished += batch.vanished

    assert vanished > 0
    assert seen < KEYS


def test_an_expired_key_is_a_vanished_key(pools: Pools) -> None:
    pools[0].execute_command("DEBUG", "SET-ACTIVE-EXPIRE", "0")
    pools[0].set("gone", "x", px=1)
    deadline = time.monotonic() + 5
    while pools[0].exists("gone") and time.monotonic() < deadline:
        pass
    rows = [row for batch in scan(pools, [0]) for row in batch.rows]

    assert rows == []


def test_a_pass_that_is_left_early_spoils_no_connection(pools: Pools) -> None:
    fill(pools, 0)
    for batch in scan(pools, [0]):
        assert batch.rows
        break

    assert pools[0].get("key:1") == b"value"


def test_pacing_keeps_the_server_idle_most_of_the_time(pools: Pools) -> None:
    fill(pools, 0)
    started = time.perf_counter()
    list(scan(pools, [0]))
    at_full_speed = time.perf_counter() - started
    started = time.perf_counter()
    list(scan(pools, [0], max_impact=0.05))
    paced = time.perf_counter() - started

    assert paced > 4 * at_full_speed


@pytest.mark.parametrize(("text", "share"), [("low", 0.1), ("high", 1.0), ("0.25", 0.25)])
def test_an_impact_is_a_word_or_a_share(text: str, share: float) -> None:
    assert impact_of(text) == share


@pytest.mark.parametrize("text", ["0", "1.5", "-1", "nan", "much", ""])
def test_an_impact_that_is_no_share_is_refused(text: str) -> None:
    with pytest.raises(ImpactInvalidError, match="low, medium, high"):
        impact_of(text)


@pytest.mark.parametrize("command", ["SCAN", "TYPE", "PTTL", "MEMORY USAGE", "DBSIZE"])
def test_a_command_that_the_user_may_not_run_is_named(server: ServerProcess, command: str) -> None:
    denied = "-" + command.lower().replace(" ", "|")
    endpoint = user(server, "~*", "+@all", denied)
    with Pools(server.endpoint) as pools:
        fill(pools, 0, 10)
    with Pools(endpoint) as pools, pytest.raises(ReadDeniedError, match=command) as error:
        read_all(pools)

    assert error.value.command == command
    assert error.value.exit_code == 4


def test_keys_that_the_user_may_not_read_are_no_silent_gap(server: ServerProcess) -> None:
    with Pools(server.endpoint) as pools:
        fill(pools, 0, 10)
    with Pools(user(server, "~tenant:*", "+@all")) as pools, pytest.raises(ReadDeniedError):
        list(scan(pools, [0]))


def test_a_database_that_is_not_there_is_named(pools: Pools) -> None:
    with pytest.raises(DatabaseUnavailableError, match="Database 99"):
        list(scan(pools, [99]))


def test_a_server_that_dies_in_the_middle_is_a_lost_target(
    server: ServerProcess, pools: Pools
) -> None:
    fill(pools, 0, 20_000)
    batches = scan(pools, [0])
    next(batches)
    server.kill()

    with pytest.raises(ScanLostError, match="was lost while database 0 was read") as error:
        list(batches)

    assert error.value.exit_code == 12


def test_reading_leaves_access_clocks_alone_where_the_server_can(pools: Pools) -> None:
    pools[0].config_set("maxmemory-policy", "allkeys-lfu")
    pools[0].set("key", "x")
    before = pools[0].object("FREQ", "key")
    with reader(pools[0], untouched=True) as connection:
        replies = connection.exchange([(b"GET", b"key")] * 200)
        (answer,) = connection.exchange([(b"CLIENT", b"NO-TOUCH", b"ON")])
    grown = pools[0].object("FREQ", "key") > before

    assert set(replies) == {b"x"}
    assert grown is isinstance(answer, redis.ResponseError)
