# SPDX-License-Identifier: Apache-2.0
"""What a run leaves on a live server that holds somebody else's data: nothing."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections import Counter
from contextlib import closing, contextmanager
from importlib.resources import files
from typing import TYPE_CHECKING, cast

import pytest

from kryonix_cache.reference_impl.connection import connect
from kryonix_cache.reference_impl.contract import default_contract
from tests.conformance.runs import SECONDS, finish, start, surroundings
from tests.conformance.runs import installed_command as command
from tests.conformance.runs import installed_conformance as conformance
from tests.conformance.servers import (
    count_keys,
    digest,
    seeded_server,
    url_of,
    wait_for_disconnection,
    wait_for_own_keys,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from kryonix_cache.fixtures.targets.server import ServerProcess
    from tests.conformance.runs import Run

ISOLATION = ("--select", "isolation.read,isolation.own-namespace")
RUN_ID = "20260131t120000-0a1b2c"


@pytest.fixture
def server(redis_binary: Path) -> Iterator[ServerProcess]:
    """Start a server with clean tenants and with data of nobody the contract knows."""
    with seeded_server(redis_binary, tenants=2) as running:
        with closing(connect(running.endpoint, 3)) as client:
            client.set("legacy:counter", 7)
            client.set(b"\x00\xff binary", b"\xfe\x00")
            client.set("session", "x", ex=100_000)
            client.hset("tenant:acme:unknown", mapping={"a": "1"})
            client.expire("tenant:acme:unknown", 100_000)
            client.rpush("a list", "1", "2")
            client.zadd("scores", {"m": 1.5})
            client.sadd("set", "a")
            # They look like a run's keys, and are none: no run's id, and no expiry.
            client.set("tenant:ct-yesterday-a:api:crm:users", "{}")
        with closing(connect(running.endpoint, 1)) as client:
            client.set(f"tenant:ct-{RUN_ID[:-1]}f-a:api:crm:users", "{}")
        yield running


def leaves_nothing(run: Run) -> bool:
    """Check what a whole run says of its footprint."""
    trace = run.record.footprint
    assert trace is not None
    assert (trace.digest, trace.foreign_keys_written, trace.keys_left) == ("equal", 0, 0)
    assert trace.keys_created == trace.keys_removed > 0
    assert run.outcomes["keyspace.known-families"] == "fail"
    assert run.outcomes["isolation.own-namespace"] == "pass"
    return True


def test_a_killed_run_leaves_only_keys_that_expire_and_that_clean_removes(
    server: ServerProcess, tmp_path: Path
) -> None:
    before, persistent = digest(server.endpoint), count_keys(server.endpoint, expiring=False)
    process = start(*ISOLATION, out=tmp_path, KRYONIX_TARGET=url_of(server.endpoint))
    wait_for_own_keys(server.endpoint, process)
    os.killpg(process.pid, signal.SIGKILL)
    finish(process, tmp_path)
    wait_for_disconnection(server.endpoint)
    assert count_keys(server.endpoint, expiring=False) == persistent
    assert digest(server.endpoint) != before
    cleaned = command("runs", "clean", KRYONIX_TARGET=url_of(server.endpoint))
    assert cleaned.returncode == 0, cleaned.stderr
    assert "1 keys never expire, so no run wrote them: kept" in cleaned.stdout
    assert digest(server.endpoint) == before


def test_two_runs_at_once_do_not_disturb_each_other(server: ServerProcess, tmp_path: Path) -> None:
    """Each comes to the verdict that it comes to alone, and removes its own keys only."""
    before = digest(server.endpoint)
    url = url_of(server.endpoint)
    select = (
        "--select",
        "isolation.read,isolation.own-namespace,keyspace,config.encodings-effective",
    )
    pair = [start(*select, out=tmp_path / name, KRYONIX_TARGET=url) for name in ("first", "second")]
    first, second = (
        finish(process, tmp_path / name)
        for process, name in zip(pair, ("first", "second"), strict=True)
    )
    alone = conformance(*select, out=tmp_path / "alone", KRYONIX_TARGET=url)
    assert first.outcomes == second.outcomes == alone.outcomes
    assert digest(server.endpoint) == before
    for run in (first, second):
        trace = run.record.footprint
        assert trace is not None
        assert (trace.foreign_keys_written, trace.keys_left) == (0, 0)
        assert trace.digest in {"equal", "not comparable"}


def test_a_run_id_that_is_in_use_is_refused(server: ServerProcess, tmp_path: Path) -> None:
    with closing(connect(server.endpoint, 1)) as client:
        client.set(f"tenant:ct-{RUN_ID}-a:api:crm:users", "{}", ex=1000)
    before = digest(server.endpoint)
    configuration = files("kryonix_cache.conformance").joinpath("pytest.toml")
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-c", str(configuration)),
            f"--rootdir={configuration}/..",
            *(f"--kryonix-run={RUN_ID}", f"--kryonix-out={tmp_path}"),
            str(files("kryonix_cache.conformance")),
        ],
        env=surroundings({"KRYONIX_TARGET": url_of(server.endpoint)}),
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
    )
    assert done.returncode == 4, done.stdout + done.stderr
    assert f"The run id {RUN_ID} already has 1 keys on the target" in done.stdout + done.stderr
    assert not list(tmp_path.iterdir())
    assert digest(server.endpoint) == before


@contextmanager
def somebody_else_writing(server: ServerProcess) -> Iterator[None]:
    """Write new keys with another client until the end."""
    stop = threading.Event()

    def write() -> None:
        with closing(connect(server.endpoint, 4)) as client:
            number = 0
            while not stop.wait(0.005):
                client.set(f"other:{number}", "x")
                number += 1

    writer = threading.Thread(target=write)
    writer.start()
    try:
        yield
    finally:
        stop.set()
        writer.join()


def test_a_digest_is_not_comparable_while_somebody_else_writes(
    server: ServerProcess, tmp_path: Path
) -> None:
    with somebody_else_writing(server):
        run = conformance(*ISOLATION, out=tmp_path, KRYONIX_TARGET=url_of(server.endpoint))
    assert (run.code, set(run.outcomes.values())) == (0, {"pass"}), run.output
    trace = run.record.footprint
    assert trace is not None
    assert trace.digest == "not comparable"
    assert "did not send" in trace.note


def redis_cli() -> str:
    """Return the path of redis-cli, a witness that is not ours."""
    found = shutil.which("redis-cli")
    if found is None:
        if os.environ.get("CI"):
            pytest.fail("redis-cli is not installed")
        pytest.skip("redis-cli is not installed")
    return found


@contextmanager
def monitored(server: ServerProcess, log: Path) -> Iterator[None]:
    """Let redis-cli write down every command that the server processes."""
    account = server.account
    assert account is not None
    with (
        log.open("wb") as file,
        subprocess.Popen(
            [redis_cli(), "-p", str(server.port), "--user", account.username, "MONITOR"],
            env=os.environ | {"REDISCLI_AUTH": account.password},
            stdout=file,
        ) as witness,
    ):
        while not log.read_bytes().startswith(b"OK"):
            assert witness.poll() is None
        try:
            yield
        finally:
            with closing(connect(server.endpoint)) as client:
                client.echo("the end")
            while b"the end" not in log.read_bytes()[-1000:]:
                assert witness.poll() is None
            witness.terminate()


WORD = re.compile(rb'"((?:[^"\\]|\\.)*)"')


def commands_in(log: Path) -> Iterator[list[bytes]]:
    """Yield the words of each command that MONITOR showed; the run's own need no unescaping."""
    for line in log.read_bytes().splitlines():
        if not line.startswith(b"OK"):
            yield WORD.findall(line)


def calls(server: ServerProcess) -> Counter[str]:
    """Return how often each command was sent; MONITOR leaves out the administrative ones."""
    with closing(connect(server.endpoint, decode=True)) as client:
        figures = client.info("commandstats")
    return Counter({name.removeprefix("cmdstat_"): each["calls"] for name, each in figures.items()})


# What reads, or concerns the connection alone, and that the server does not call "readonly".
HARMLESS = {
    *("acl|dryrun", "acl|getuser", "acl|list", "acl|whoami", "auth", "client|list"),
    *("client|setname", "client|no-touch", "command", "command|info", "config|get", "echo"),
    *("exec", "function|list", "hello", "info", "monitor", "multi", "ping", "role", "select"),
}
WRITES = {"del", "expire", "hset", "pexpire", "sadd", "set", "unlink", "zadd"}
ON_CHANNELS = {"publish", "subscribe"}


def test_a_whole_run_leaves_foreign_data_bit_for_bit_and_stays_within_its_powers(
    server: ServerProcess, tmp_path: Path
) -> None:
    """The server itself says what it was sent, and which words of a write are keys."""
    log = tmp_path / "monitor.log"
    before = digest(server.endpoint)
    called = calls(server)
    with monitored(server, log):
        run = conformance(out=tmp_path / "out", KRYONIX_TARGET=url_of(server.endpoint))
    sent = calls(server) - called
    assert digest(server.endpoint) == before
    assert leaves_nothing(run)
    with closing(connect(server.endpoint)) as client:
        table = cast("dict[str, dict[str, list[str]]]", client.command())
    reads = {name for name, entry in table.items() if "readonly" in entry["flags"]}
    reads |= {"memory|usage", "object|encoding", "object|freq", "object|idletime"}
    assert set(sent) <= reads - {"keys"} | HARMLESS | WRITES | ON_CHANNELS
    assert sent["config|get"] > 0
    own = f"ct-{run.record.header.run}-"
    writes = Counter[str]()
    with closing(connect(server.endpoint)) as client:
        for words in commands_in(log):
            name = words[0].decode().lower()
            if name in ON_CHANNELS:
                for word in words[1 : 2 if name == "publish" else None]:
                    channel = default_contract().parse_channel(word)
                    assert channel is not None
                    assert (channel.tenant or "").startswith(own), words
            if name not in WRITES:
                continue
            writes[name] += 1
            keys = cast("list[str]", client.command_getkeys(*words))
            for key in keys:
                parsed = default_contract().parse_anywhere(key.encode())
                assert parsed is not None
                assert (parsed.tenant or "").startswith(own), words
    assert writes == Counter({name: sent[name] for name in WRITES})


# All that a run does on a live target; the rest of it is the bench's, whatever the account.
ON_THE_TARGET = (
    *("--select", "isolation.read,isolation.list,isolation.write,isolation.delete"),
    *("--select", "isolation.pubsub,isolation.key-builder,config,keyspace,server,security"),
)
READING = ["+@read", "+@connection", "+info", "+config|get", "+client|list", "-@dangerous"]


def test_an_account_that_may_only_read_gets_an_audit_and_no_false_verdict(
    server: ServerProcess, tmp_path: Path
) -> None:
    """What could not be judged is an error that names the refused command; nothing is written."""
    with closing(connect(server.endpoint)) as client:
        client.acl_setuser(
            "reader", enabled=True, passwords=["+word"], keys=["*"], commands=READING
        )
        client.execute_command("ACL", "SETUSER", "reader", "+info", "+config|get")
    url = url_of(server.endpoint, username="reader", password="word")
    before = digest(server.endpoint)
    audit = command("audit", "--json", KRYONIX_TARGET=url)
    assert audit.returncode in {0, 1}, audit.stderr
    run = conformance(*ON_THE_TARGET, out=tmp_path, KRYONIX_TARGET=url)
    assert digest(server.endpoint) == before
    outcomes = run.outcomes
    assert {outcomes[f"isolation.{name}"] for name in ("read", "list", "write", "delete")} == {
        "error"
    }
    assert "no permissions" in run.result("isolation.read").reason
    assert outcomes["config.encodings-effective"] == "error"
    assert outcomes["keyspace.known-families"] == "fail"
    assert run.record.footprint is not None
    assert run.record.footprint.keys_left == 0
