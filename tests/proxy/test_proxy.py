# SPDX-License-Identifier: Apache-2.0
"""The proxy: what passes, what it holds back, what it cuts, and that it ends with its parent."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
import redis

from kryonix_cache.fixtures.errors import (
    ProxyLostError,
    ProxyRefusedError,
    ProxyStartError,
    ProxyWaitError,
)
from kryonix_cache.fixtures.proxy.process import ProxyProcess
from kryonix_cache.fixtures.targets.configuration import ServerPlan
from kryonix_cache.fixtures.targets.server import ServerProcess
from kryonix_cache.reference_impl.connection import Pools, connect
from kryonix_cache.reference_impl.endpoint import Endpoint
from tests.connection.certificates import make_certificate
from tests.proxy.conftest import Echo

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PATIENCE = 10.0


@contextlib.contextmanager
def dialled(proxy: ProxyProcess) -> Iterator[socket.socket]:
    address = (proxy.endpoint.host, proxy.endpoint.port)
    with socket.create_connection(address, timeout=PATIENCE) as opened:
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield opened


def exactly(opened: socket.socket, count: int) -> bytes:
    found = b""
    while len(found) < count:
        data = opened.recv(count - len(found))
        if not data:
            break
        found += data
    return found


def nothing_comes(opened: socket.socket, seconds: float = 0.1) -> bool:
    opened.settimeout(seconds)
    try:
        return not opened.recv(1, socket.MSG_PEEK)
    except TimeoutError:
        return True
    finally:
        opened.settimeout(PATIENCE)


def is_closed(opened: socket.socket) -> bool:
    try:
        return opened.recv(1) == b""
    except ConnectionError:
        return True


def gone(pid: int) -> bool:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.01)
    return False


def test_a_client_works_through_it_as_without_it(proxy: ProxyProcess) -> None:
    with Pools(proxy.endpoint) as pools:
        pools[1].set("a", "1")
        pools[2].set("a", "2")
        assert (pools[1].get("a"), pools[2].get("a")) == (b"1", b"2")
    assert proxy.endpoint.host == "127.0.0.1"
    assert proxy.endpoint.port != proxy.upstream.port


def test_a_unix_socket_is_an_upstream_too(redis_binary: Path, tmp_path: Path) -> None:
    path = tmp_path / "s.sock"
    plan = ServerPlan(directives={"unixsocket": str(path)}, open_access=True)
    with (
        ServerProcess(redis_binary, plan),
        ProxyProcess(Endpoint.parse(f"unix://{path}")) as proxy,
    ):
        client = connect(proxy.endpoint)
        assert client.echo("hello") == b"hello"
        client.close()


def test_tls_passes_as_bytes(redis_binary: Path, tmp_path: Path) -> None:
    with (
        ServerProcess(redis_binary, ServerPlan(tls=make_certificate(tmp_path))) as server,
        ProxyProcess(server.endpoint) as proxy,
    ):
        assert proxy.endpoint.scheme == "rediss"
        client = connect(proxy.endpoint, 4)
        assert client.echo("hello") == b"hello"
        proxy.cut()
        assert client.echo("again") == b"again"
        client.close()


def test_bytes_and_connections_are_counted_each_way(before_echo: ProxyProcess) -> None:
    with dialled(before_echo) as first, dialled(before_echo):
        first.sendall(b"12345")
        assert exactly(first, 5) == b"12345"
        counters = before_echo.wait_for("opened", 2)
        assert (counters.requests, counters.requests_passed) == (5, 5)
        assert (counters.replies, counters.replies_passed) == (5, 5)
        assert counters.open == 2
    # Both have said goodbye, and that was carried though nobody reads it.
    deadline = time.monotonic() + PATIENCE
    while before_echo.counters().open and time.monotonic() < deadline:
        time.sleep(0.005)
    assert before_echo.counters().open == 0
    assert before_echo.counters().opened == 2


@pytest.mark.parametrize("direction", ["requests", "replies"])
def test_a_delay_holds_each_byte_back(before_echo: ProxyProcess, direction: str) -> None:
    with dialled(before_echo) as opened:
        before_echo.delay(0.2, direction)
        began = time.monotonic()
        opened.sendall(b"x")
        before_echo.wait_for("requests", 1)
        assert nothing_comes(opened, 0.05)
        assert exactly(opened, 1) == b"x"
        assert time.monotonic() - began >= 0.2


def test_a_delay_that_is_taken_back_holds_nothing(before_echo: ProxyProcess) -> None:
    with dialled(before_echo) as opened:
        before_echo.delay(1000)
        opened.sendall(b"x")
        before_echo.wait_for("requests", 1)
        before_echo.delay(0)
        assert exactly(opened, 1) == b"x"


def test_a_delay_is_no_limit_of_the_speed(before_echo: ProxyProcess) -> None:
    """Bytes that come together are late together: a delay does not add up."""
    with dialled(before_echo) as opened:
        before_echo.delay(0.05)
        sent = secrets.token_bytes(1 << 20)
        threading.Thread(target=opened.sendall, args=(sent,), daemon=True).start()
        began = time.monotonic()
        assert exactly(opened, len(sent)) == sent
        # 32 chunks of a delay each, in two directions, would be 3.2 seconds.
        assert time.monotonic() - began < 2.5


def test_what_is_split_arrives_in_small_pieces(before_echo: ProxyProcess) -> None:
    sent = bytes(range(60))
    with dialled(before_echo) as opened:
        before_echo.split(3, "replies")
        opened.sendall(sent)
        pieces: list[bytes] = []
        while sum(map(len, pieces)) < len(sent):
            pieces.append(opened.recv(100))
        assert b"".join(pieces) == sent
        assert len(pieces) > 5
        before_echo.split(0)
        opened.sendall(sent)
        assert exactly(opened, len(sent)) == sent


@pytest.mark.parametrize(
    ("direction", "seen"), [("requests", (4, 0, 0, 0)), ("replies", (4, 4, 4, 0))]
)
def test_what_is_frozen_is_held_and_lost_by_nobody(
    before_echo: ProxyProcess, direction: str, seen: tuple[int, ...]
) -> None:
    with dialled(before_echo) as opened:
        before_echo.freeze(direction)
        opened.sendall(b"held")
        counters = before_echo.wait_for(direction, 4)
        assert nothing_comes(opened)
        counters = before_echo.counters()
        assert (
            counters.requests,
            counters.requests_passed,
            counters.replies,
            counters.replies_passed,
        ) == seen
        before_echo.thaw(direction)
        assert exactly(opened, 4) == b"held"


def test_a_part_passes_before_the_frost(before_echo: ProxyProcess) -> None:
    with dialled(before_echo) as opened:
        before_echo.freeze("replies", after=3)
        opened.sendall(b"abcdef")
        assert exactly(opened, 3) == b"abc"
        assert nothing_comes(opened)
        before_echo.thaw()
        assert exactly(opened, 3) == b"def"


def test_a_frost_holds_for_connections_that_come_later(before_echo: ProxyProcess) -> None:
    before_echo.freeze("replies")
    with dialled(before_echo) as opened:
        opened.sendall(b"x")
        before_echo.wait_for("replies", 1)
        assert nothing_comes(opened)
        before_echo.let_pass()
        assert exactly(opened, 1) == b"x"


def test_a_cut_closes_every_connection_at_both_ends(
    proxy: ProxyProcess, server: ServerProcess
) -> None:
    name = "cut-through"
    client = connect(proxy.endpoint, name=name)
    raw = connect(server.endpoint)
    client.ping()
    with dialled(proxy) as opened:
        proxy.wait_for("opened", 2)
        proxy.cut()
        assert is_closed(opened)
    assert proxy.counters().open == 0
    deadline = time.monotonic() + PATIENCE
    while name in str(raw.client_list()) and time.monotonic() < deadline:
        time.sleep(0.005)
    assert name not in str(raw.client_list())
    assert client.echo("again") == b"again"
    client.close()
    raw.close()


def test_a_connection_that_is_cut_as_soon_as_it_is_taken_is_closed(
    before_echo: ProxyProcess,
) -> None:
    """A cut that comes before a connection is carried leaves its client waiting for nothing."""
    stopped = threading.Event()

    def dial() -> int:
        opened = 0
        while not stopped.is_set():
            with contextlib.suppress(ConnectionError), dialled(before_echo) as client:
                opened += 1
                client.sendall(b"x")
                # A time-out is no ConnectionError, and fails the test.
                client.recv(1)
        return opened

    with ThreadPoolExecutor(4) as threads:
        dialling = [threads.submit(dial) for _ in range(4)]
        for _ in range(100):
            before_echo.cut()
            time.sleep(0.005)
        stopped.set()
        assert all(each.result() for each in dialling)


def test_what_a_cut_finds_held_is_lost(before_echo: ProxyProcess) -> None:
    before_echo.freeze("requests")
    with dialled(before_echo) as opened:
        opened.sendall(b"lost")
        before_echo.wait_for("requests", 4)
        before_echo.cut()
        before_echo.thaw()
        assert is_closed(opened)
    assert before_echo.counters().requests_passed == 0


@pytest.mark.parametrize("count", [0, 1, 3, 6])
def test_a_cut_in_the_middle_of_a_reply(before_echo: ProxyProcess, count: int) -> None:
    with dialled(before_echo) as opened, dialled(before_echo) as other:
        before_echo.cut_after(count)
        opened.sendall(b"abcdef")
        assert exactly(opened, 6) == b"abcdef"[:count]
        assert is_closed(opened)
        # It happens once, and to one connection.
        other.sendall(b"abcdef")
        assert exactly(other, 6) == b"abcdef"


def test_a_cut_in_the_middle_of_a_request(proxy: ProxyProcess, server: ServerProcess) -> None:
    client = connect(proxy.endpoint, 5)
    raw = connect(server.endpoint, 5)
    client.set("a", "old")
    proxy.cut_after(20, "requests")
    with pytest.raises(redis.ConnectionError):
        client.set("a", "new")
    assert raw.get("a") == b"old"
    assert client.get("a") == b"old"
    client.close()
    raw.close()


def test_a_cut_that_has_not_happened_is_taken_back(before_echo: ProxyProcess) -> None:
    with dialled(before_echo) as opened:
        before_echo.cut_after(2)
        before_echo.let_pass()
        opened.sendall(b"abc")
        assert exactly(opened, 3) == b"abc"


def test_waiting_ends_when_the_bytes_are_there(before_echo: ProxyProcess) -> None:
    with dialled(before_echo) as opened, ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(before_echo.wait_for, "requests", 3, seconds=PATIENCE)
        opened.sendall(b"ab")
        opened.sendall(b"c")
        assert waiting.result().requests == 3


def test_waiting_in_vain_is_an_error(before_echo: ProxyProcess) -> None:
    with pytest.raises(ProxyWaitError, match="'replies' stands at 0 and not at 1"):
        before_echo.wait_for("replies", 1, seconds=0.05)
    assert before_echo.counters().replies == 0


def test_many_connections_keep_their_bytes_apart(before_echo: ProxyProcess) -> None:
    def talk(number: int) -> bool:
        with dialled(before_echo) as opened:
            for turn in range(20):
                said = b"%d:%d;" % (number, turn) * 50
                opened.sendall(said)
                if exactly(opened, len(said)) != said:
                    return False
        return True

    before_echo.delay(0.001)
    with ThreadPoolExecutor(50) as threads:
        assert all(threads.map(talk, range(200)))
    assert before_echo.counters().opened == 200


def test_a_big_payload_arrives_whole(proxy: ProxyProcess) -> None:
    client = connect(proxy.endpoint, timeout=30)
    payload = secrets.token_bytes(20 << 20)
    client.set("big", payload)
    assert client.get("big") == payload
    client.delete("big")
    client.close()


def test_a_sender_waits_while_its_bytes_are_held(before_echo: ProxyProcess) -> None:
    """What is frozen is held in bounded memory; the rest waits at the sender."""
    before_echo.freeze("requests")
    with dialled(before_echo) as opened:
        opened.settimeout(0.3)
        with pytest.raises(TimeoutError):
            opened.sendall(bytes(64 << 20))
        assert before_echo.counters().requests < 8 << 20


def test_who_has_finished_still_hears_the_rest(before_echo: ProxyProcess) -> None:
    with dialled(before_echo) as opened:
        opened.sendall(b"all of it")
        opened.shutdown(socket.SHUT_WR)
        wanted = b"all of it" + Echo.GOODBYE
        assert exactly(opened, len(wanted)) == wanted
        assert is_closed(opened)


def test_the_end_of_a_stream_waits_for_what_is_held(before_echo: ProxyProcess) -> None:
    before_echo.freeze("requests")
    with dialled(before_echo) as opened:
        opened.sendall(b"first")
        opened.shutdown(socket.SHUT_WR)
        before_echo.wait_for("requests", 5)
        assert nothing_comes(opened)
        before_echo.thaw()
        assert exactly(opened, 5) == b"first"


def test_a_request_arrives_though_its_sender_has_gone(
    proxy: ProxyProcess, server: ServerProcess
) -> None:
    raw = connect(server.endpoint, 6)
    raw.delete("late")
    client = connect(proxy.endpoint, 6, timeout=0.2)
    client.ping()
    proxy.freeze("requests")
    with pytest.raises(redis.TimeoutError):
        client.set("late", "1")
    client.close()
    assert raw.get("late") is None
    proxy.thaw()
    deadline = time.monotonic() + PATIENCE
    while raw.get("late") is None and time.monotonic() < deadline:
        time.sleep(0.005)
    assert raw.get("late") == b"1"
    raw.close()


def test_without_a_server_connections_are_closed_at_once(redis_binary: Path) -> None:
    with ServerProcess(redis_binary) as server, ProxyProcess(server.endpoint) as proxy:
        client = connect(proxy.endpoint)
        client.ping()
        server.stop()
        with pytest.raises(redis.ConnectionError):
            client.ping()
        with dialled(proxy) as opened:
            assert is_closed(opened)
        server.start()
        assert client.echo("back") == b"back"
        assert proxy.counters().open == 1
        client.close()


@pytest.mark.parametrize(
    ("method", "arguments"),
    [
        ("delay", (-1,)),
        ("delay", (float("nan"),)),
        ("split", (-1,)),
        ("split", (0.5,)),
        ("freeze", ("sideways",)),
        ("cut_after", (-1,)),
        ("wait_for", ("sheep", 1)),
    ],
)
def test_what_it_cannot_do_is_refused_and_changes_nothing(
    before_echo: ProxyProcess, method: str, arguments: tuple[object, ...]
) -> None:
    with pytest.raises(ProxyRefusedError):
        getattr(before_echo, method)(*arguments)
    with dialled(before_echo) as opened:
        opened.sendall(b"x")
        assert exactly(opened, 1) == b"x"


def test_it_ends_when_it_is_closed(echo: Echo) -> None:
    proxy = ProxyProcess(echo.endpoint).start()
    pid = proxy.pid
    with dialled(proxy) as opened:
        opened.sendall(b"x")
        assert exactly(opened, 1) == b"x"
        proxy.close()
        assert is_closed(opened)
    assert pid is not None
    assert gone(pid)
    assert proxy.pid is None
    proxy.close()
    with pytest.raises(ProxyLostError):
        proxy.counters()


@pytest.mark.parametrize("command", ["pass", "proxy.wait_for('requests', 99, seconds=600)"])
def test_it_ends_with_a_parent_that_is_killed(echo: Echo, command: str) -> None:
    program = (
        "import sys, threading, time\n"
        "from kryonix_cache.fixtures.proxy.process import ProxyProcess\n"
        "from kryonix_cache.reference_impl.endpoint import Endpoint\n"
        "proxy = ProxyProcess(Endpoint('redis', '127.0.0.1', int(sys.argv[1]))).start()\n"
        "proxy.freeze('requests')\n"
        "print(proxy.pid, proxy.endpoint.port, flush=True)\n"
        f"{command}\n"
        "time.sleep(600)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(echo.endpoint.port)], stdout=subprocess.PIPE
    ) as parent:
        pid, port = map(int, parent.stdout.readline().split())
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as opened:
            opened.sendall(b"held")
            parent.send_signal(signal.SIGKILL)
            assert gone(pid)
            assert is_closed(opened)


def test_a_proxy_that_was_killed_says_so(before_echo: ProxyProcess) -> None:
    assert before_echo.pid is not None
    os.kill(before_echo.pid, signal.SIGKILL)
    with pytest.raises(ProxyLostError):
        before_echo.freeze("replies")
    with pytest.raises(ProxyLostError):
        before_echo.counters()


def test_one_that_cannot_start_says_so(echo: Echo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(ProxyStartError, match="it has ended"):
        ProxyProcess(echo.endpoint).start()
