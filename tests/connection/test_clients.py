# SPDX-License-Identifier: Apache-2.0
"""Clients: bound to one database, bounded in time, never repeating, fast in bulk."""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
import redis

from kryonix_cache.fixtures.targets.configuration import ServerPlan
from kryonix_cache.fixtures.targets.server import ServerProcess
from kryonix_cache.reference_impl.connection import Endpoint, KeyTemplate, Pools, bulk, connect
from kryonix_cache.reference_impl.errors import DatabaseSwitchError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def client(server: ServerProcess) -> Iterator[redis.Redis]:
    client = connect(server.endpoint, 3, name="config.maxmemory")
    yield client
    client.close()


def select_calls(client: redis.Redis) -> int:
    return int(client.info("commandstats").get("cmdstat_select", {}).get("calls", 0))


def test_a_client_writes_into_its_own_database_only(
    client: redis.Redis, server: ServerProcess
) -> None:
    client.set("bound", "3")
    others = [connect(server.endpoint, database) for database in (0, 2, 4)]
    assert client.get("bound") == b"3"
    assert [other.get("bound") for other in others] == [None, None, None]
    for other in others:
        other.close()


@pytest.mark.parametrize("command", [("SELECT", 0), ("select 0",), (b"Select", b"0")])
def test_select_is_not_sent_after_the_set_up(
    client: redis.Redis, command: tuple[str | bytes | int, ...]
) -> None:
    client.ping()
    before = select_calls(client)
    with pytest.raises(DatabaseSwitchError, match="database 3"):
        client.execute_command(*command)
    with pytest.raises(DatabaseSwitchError):
        client.pipeline().set("a", 1).execute_command(*command).execute()
    with pytest.raises(DatabaseSwitchError):
        client.select(0)
    assert select_calls(client) == before


def test_a_client_stays_in_its_database_after_the_server_dropped_it(
    client: redis.Redis, server: ServerProcess
) -> None:
    client.set("bound", "3")
    killer = connect(server.endpoint)
    killer.client_kill_filter(_type="normal", skipme=True)
    killer.close()
    assert client.get("bound") == b"3"
    assert client.client_info()["db"] == 3


def test_a_command_is_never_repeated(redis_binary: Path) -> None:
    """An answer that comes too late is an error, and the command was applied once."""
    # Without an account nothing but the command itself would have to be repeated.
    with ServerProcess(redis_binary, ServerPlan(open_access=True)) as server:
        client = connect(server.endpoint, timeout=0.3)
        patient = connect(server.endpoint)
        client.ping()
        os.kill(server.pid, signal.SIGSTOP)
        try:
            with pytest.raises(redis.TimeoutError):
                client.incr("counter")
        finally:
            os.kill(server.pid, signal.SIGCONT)
        assert patient.get("counter") == b"1"
        client.close()
        patient.close()


def test_the_wait_for_an_answer_is_bounded() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        client = connect(Endpoint("redis", "127.0.0.1", silent.getsockname()[1]), timeout=0.2)
        began = time.monotonic()
        with pytest.raises(redis.TimeoutError):
            client.ping()
        assert time.monotonic() - began < 2
        client.close()


def test_the_wait_for_a_connection_is_bounded(server: ServerProcess) -> None:
    client = connect(server.endpoint, timeout=0.2, max_connections=1)
    with bulk(client), pytest.raises(redis.ConnectionError, match="No connection available"):
        client.ping()
    client.close()


@pytest.mark.skipif(sys.platform != "linux", reason="TCP_USER_TIMEOUT is an option of Linux")
def test_the_socket_carries_user_timeout_and_keepalive(client: redis.Redis) -> None:
    with bulk(client) as connection:
        assert connection.socket_option(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 30_000
        assert connection.socket_option(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 60
        assert connection.socket_option(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1


def test_a_connection_carries_its_name(client: redis.Redis) -> None:
    assert client.client_getname() in {"config.maxmemory", b"config.maxmemory"}


def test_a_user_who_may_not_name_a_connection_can_still_use_it(server: ServerProcess) -> None:
    admin = connect(server.endpoint)
    admin.execute_command("ACL", "SETUSER", "plain", "reset", "on", ">pw", "~*", "+get", "+select")
    endpoint = Endpoint("redis", server.endpoint.host, server.port, username="plain", password="pw")
    client = connect(endpoint, 2, name="keyspace.types")
    assert client.get("nothing") is None
    client.close()
    admin.close()


def test_a_unix_socket_is_a_transport_like_the_others(redis_binary: Path, tmp_path: Path) -> None:
    path = tmp_path / "s.sock"
    plan = ServerPlan(directives={"unixsocket": str(path)}, open_access=True)
    with ServerProcess(redis_binary, plan):
        client = connect(Endpoint.parse(f"unix://{path}?db=4"), 4)
        client.set("a", 1)
        assert client.client_info()["db"] == 4
        client.close()


def test_pools_keep_one_client_for_each_database(server: ServerProcess) -> None:
    with Pools(server.endpoint) as pools, ThreadPoolExecutor(8) as threads:
        clients = list(threads.map(lambda n: pools[n % 4], range(64)))
        assert len({id(client) for client in clients}) == 4
        assert all(pools[n].client_info()["db"] == n for n in range(4))


def test_a_bulk_read_answers_like_single_reads(client: redis.Redis) -> None:
    client.set("text", "v", ex=100)
    client.hset("hash", mapping={"a": 1})
    template = KeyTemplate((b"TYPE", None), (b"TTL", None), (b"MEMORY", b"USAGE", None))
    with bulk(client) as connection:
        replies = connection.exchange_keys(template, [b"text", b"hash", b"absent"])
    assert replies[:2] == [b"string", 100]
    assert replies[3:5] == [b"hash", -1]
    assert replies[6:] == [b"none", -2, None]


@pytest.mark.parametrize(
    "key", [b"", b"%b %d %%", b"a\r\n*1\r\n$8\r\nFLUSHALL\r\n", bytes(range(256)), b"\xff" * 9000]
)
def test_no_key_can_turn_into_a_command(client: redis.Redis, key: bytes) -> None:
    client.set("witness", 1)
    client.set(key, "mine")
    with bulk(client) as connection:
        assert connection.exchange_keys(KeyTemplate((b"GET", None)), [key] * 3) == [b"mine"] * 3
    assert client.get("witness") == b"1"
    client.delete(key)


@pytest.mark.parametrize(
    "command",
    [
        (b"SET", None, b"v"),
        (b"DEL", None),
        (b"FLUSHALL",),
        (None,),
        (b"GET",),
        (b"GET", None, None),
    ],
)
def test_a_template_holds_plain_reads_of_one_key_only(command: object) -> None:
    with pytest.raises(ValueError, match="no read command"):
        KeyTemplate(command)


def test_an_error_reply_stands_in_its_place(client: redis.Redis) -> None:
    client.set("text", "v")
    with bulk(client) as connection:
        replies = connection.exchange([(b"GET", b"text"), (b"LPOP", b"text"), (b"GET", b"text")])
    assert replies[0] == replies[2] == b"v"
    assert isinstance(replies[1], redis.ResponseError)
    assert str(replies[1]).startswith("WRONGTYPE")


def test_a_template_may_hold_any_argument() -> None:
    template = KeyTemplate((b"OBJECT", b"%b%d", None), (b"GET", None))
    expected = b"*3\r\n$6\r\nOBJECT\r\n$4\r\n%b%d\r\n$1\r\nk\r\n*2\r\n$3\r\nGET\r\n$1\r\nk\r\n"
    assert template.packed([b"k"]) == expected


def test_replies_that_were_not_read_reach_nobody_else(server: ServerProcess) -> None:
    """A connection whose replies are still under way is closed, not handed on."""
    client = connect(server.endpoint, max_connections=1)
    client.set("mine", "first")

    def leave_early() -> None:
        with bulk(client) as connection:
            connection.send_batch([(b"BLPOP", b"nothing", b"0.2"), (b"GET", b"mine")])
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        leave_early()
    assert client.echo("hello") == b"hello"
    client.close()


def test_a_reply_that_came_too_late_is_not_taken_for_the_next(server: ServerProcess) -> None:
    client = connect(server.endpoint, timeout=0.2)
    with bulk(client) as connection:
        with pytest.raises(redis.TimeoutError):
            connection.exchange([(b"BLPOP", b"nothing", b"0.4")])
        assert connection.exchange([(b"ECHO", b"hello")]) == [b"hello"]
    client.close()
