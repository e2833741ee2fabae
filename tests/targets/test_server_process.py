# SPDX-License-Identifier: Apache-2.0
"""Servers of the suite's own: private, on a port of their own, and gone afterwards."""

from __future__ import annotations

import os
import signal
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import redis

from kryonix_cache.fixtures.errors import ServerStartError, TargetSpecError
from kryonix_cache.fixtures.targets import server as module
from kryonix_cache.fixtures.targets.configuration import ServerPlan
from kryonix_cache.fixtures.targets.server import ServerProcess, free_port, known_directives
from kryonix_cache.reference_impl.connection import Endpoint, connect

if TYPE_CHECKING:
    from collections.abc import Callable

PATIENCE = 10.0


def eventually(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.01)
    return False


def is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    # A child that nobody waited for is a zombie: dead, and still listed.
    state = Path(f"/proc/{pid}/stat")
    return state.exists() and state.read_text().rpartition(")")[2].split()[0] == "Z"


def test_a_server_is_private_to_its_account(binary: Path) -> None:
    with ServerProcess(binary) as server:
        folder = server.folder
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert stat.S_IMODE((folder / "redis.conf").stat().st_mode) == 0o600
        password = server.endpoint.password
        assert password
        assert password not in (folder / "redis.conf").read_text()
        stranger = connect(Endpoint("redis", "127.0.0.1", server.port))
        with pytest.raises(redis.AuthenticationError):
            stranger.ping()
        stranger.close()
        admin = connect(server.endpoint, 15)
        assert admin.set("a", 1)
        admin.close()
    assert not folder.exists()


def test_a_server_that_runs_is_not_started_again(redis_binary: Path) -> None:
    with ServerProcess(redis_binary) as server:
        pid = server.pid
        assert server.start().pid == pid


def test_an_open_server_asks_for_nothing(binary: Path) -> None:
    with ServerProcess(binary, ServerPlan(open_access=True)) as server:
        client = connect(Endpoint("redis", "127.0.0.1", server.port))
        assert client.ping()
        client.close()


def test_directives_are_in_force(binary: Path) -> None:
    plan = ServerPlan(
        directives={"save": "300 10 60 1000", "maxmemory": "64mb", "notify-keyspace-events": ""},
        optional={"hash-max-listpack-entries": "1024", "no-such-directive": "1"},
    )
    with ServerProcess(binary, plan) as server:
        client = connect(server.endpoint, decode=True)
        found = client.config_get("save", "maxmemory", "hash-max-listpack-entries")
        assert found == {
            "save": "300 10 60 1000",
            "maxmemory": str(64 << 20),
            "hash-max-listpack-entries": "1024",
        }
        assert client.info("server")["config_file"]
        client.config_rewrite()
        client.close()


def test_no_snapshots_is_a_plan_like_others(binary: Path) -> None:
    with ServerProcess(binary, ServerPlan({"save": ""})) as server:
        client = connect(server.endpoint, decode=True)
        assert client.config_get("save") == {"save": ""}
        client.close()


@pytest.mark.parametrize(
    ("name", "value"), [("save", "1 1\nrequirepass x"), ("a b", "1"), ("a\nb", "1")]
)
def test_a_directive_cannot_bring_another_line(redis_binary: Path, name: str, value: str) -> None:
    with pytest.raises(TargetSpecError, match="one line"):
        ServerProcess(redis_binary, ServerPlan({name: value})).start()


def test_a_server_that_does_not_start_shows_its_log(binary: Path) -> None:
    server = ServerProcess(binary, ServerPlan({"no-such-directive": "1"}))
    folder = server.folder
    with pytest.raises(ServerStartError, match="no-such-directive"):
        server.start()
    assert not folder.exists()
    assert server.pid is None


def test_a_program_that_is_no_server_is_refused() -> None:
    with pytest.raises(ServerStartError, match="false did not start: it ended at once"):
        ServerProcess(Path("/bin/false")).start()


def test_a_taken_port_is_no_failure(binary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        taken = holder.getsockname()[1]
        ports = iter((taken, taken))
        monkeypatch.setattr(module, "free_port", lambda: next(ports, None) or free_port())
        with ServerProcess(binary) as server:
            assert server.port != taken
            assert server.running


def test_somebody_elses_server_is_not_taken_for_ours(
    redis_binary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ServerProcess(redis_binary, ServerPlan(open_access=True)) as other:
        ports = iter((other.port,))
        monkeypatch.setattr(module, "free_port", lambda: next(ports, None) or free_port())
        with ServerProcess(redis_binary, ServerPlan(open_access=True)) as ours:
            assert ours.port != other.port


def test_a_restart_keeps_data_port_and_account(binary: Path) -> None:
    with ServerProcess(binary, ServerPlan({"save": "3600 1"})) as server:
        client = connect(server.endpoint)
        client.set("a", 1)
        before = (server.port, server.endpoint, server.pid)
        server.restart()
        assert (server.port, server.endpoint) == before[:2]
        assert server.pid != before[2]
        assert client.get("a") == b"1"
        client.close()


def test_a_restart_finds_what_config_rewrite_wrote(binary: Path) -> None:
    with ServerProcess(binary) as server:
        client = connect(server.endpoint, decode=True)
        client.config_set("maxmemory-samples", 7)
        client.config_rewrite()
        server.restart()
        assert client.config_get("maxmemory-samples") == {"maxmemory-samples": "7"}
        client.close()


def test_a_killed_server_loses_what_was_not_saved(binary: Path) -> None:
    with ServerProcess(binary, ServerPlan({"save": "3600 1"})) as server:
        client = connect(server.endpoint)
        client.set("a", 1)
        server.kill()
        assert not server.running
        server.start()
        assert client.get("a") is None
        client.close()


def test_a_stopped_server_that_does_not_obey_is_killed(
    redis_binary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "STOP_SECONDS", 0.2)
    with ServerProcess(redis_binary) as server:
        pid = server.pid
        assert pid
        os.kill(pid, signal.SIGSTOP)
        server.stop()
        assert is_gone(pid)


def test_nothing_is_left_after_sigkill_of_the_parent(binary: Path) -> None:
    """Neither server nor folder outlives the process that started it."""
    program = (
        "import sys, time; from pathlib import Path\n"
        "from kryonix_cache.fixtures.targets.server import ServerProcess\n"
        "server = ServerProcess(Path(sys.argv[1])).start()\n"
        "print(server.pid, server.folder, flush=True)\n"
        "time.sleep(60)\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", program, str(binary)], stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout
    pid, folder = parent.stdout.readline().split()
    assert not is_gone(int(pid))
    parent.kill()
    parent.wait()
    parent.stdout.close()
    assert eventually(lambda: is_gone(int(pid)))
    assert eventually(lambda: not Path(folder).exists())


def test_a_server_says_which_directives_it_knows(binary: Path) -> None:
    known = known_directives(binary)
    assert {"maxmemory", "hash-max-listpack-entries"} <= known
    assert "tcp-user-timeout" not in known
