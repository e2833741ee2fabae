# SPDX-License-Identifier: Apache-2.0
"""The whole run on every server program that can be found, started by the suite and by hand."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import redis

from kryonix_cache.fixtures.targets.server import HOST, free_port, known_directives
from kryonix_cache.fixtures.targets.starters import product_of
from kryonix_cache.reference_impl.connection import Endpoint, connect
from kryonix_cache.reports.lines import Outcome
from kryonix_cache.reports.record import read_record

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kryonix_cache.reports.lines import Result
    from kryonix_cache.reports.record import Record

START_SECONDS = 10.0
SECONDS = 300
OF_THE_SERVER = ("--select", "config,server,security,keyspace")
WHOLE_ELSEWHERE = {
    # tests/conformance/test_registry.py, tests/faults/test_faulty_systems.py, tox -e conformance.
    "started": {"installed", "embedded"},
    # tests/conformance/test_registry.py and test_footprint.py, on a live server.
    "by hand": {"installed"},
}
"""The programs that other tests of the same CI judge whole; here they need what is of a server."""

JUDGED = {Outcome.PASS, Outcome.FAIL, Outcome.NOT_APPLICABLE}


def run(
    *arguments: str | Path, path: Path | None = None, ends_with: int = 0
) -> subprocess.CompletedProcess[str]:
    """Run the command; `path` stands for the whole PATH."""
    environment = {**os.environ, **({"PATH": str(path)} if path else {})}
    result = subprocess.run(
        [Path(sys.executable).with_name("kryonix-cache"), *map(str, arguments)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert result.returncode == ends_with, result.stdout + result.stderr
    return result


def conformance(
    out: Path, *arguments: str | Path, path: Path | None = None, ends_with: int = 0
) -> Record:
    """Run `kryonix-cache conformance`, and return its record."""
    run("conformance", "--out", out, *arguments, path=path, ends_with=ends_with)
    (file,) = out.glob("*/record.jsonl")
    return read_record(file)


def result_of(record: Record, requirement: str) -> Result:
    return next(each for each in record.results if each.requirement == requirement)


def failed(record: Record) -> set[str]:
    return {each.requirement for each in record.results if each.outcome is Outcome.FAIL}


def names_of(program: Path) -> str:
    """Return which names of directives the server knows (E03)."""
    return "modern" if "hash-max-listpack-entries" in known_directives(program) else "legacy"


def selection(request: pytest.FixtureRequest, way: str) -> tuple[str, ...]:
    """Return what selects the requirements that this program is judged by here."""
    name = request.node.callspec.params["program"]
    return OF_THE_SERVER if name in WHOLE_ELSEWHERE[way] else ()


@pytest.fixture
def by_hand(program: Path, tmp_path: Path) -> Iterator[str]:
    """Start the program with the configuration that the suite writes; give its URL."""
    file = tmp_path / "redis.conf"
    names = names_of(program)
    run("contract", "redis-conf", "--profile", "staging", "--names", names, "--out", file)
    yield from started(program, file)


@pytest.fixture
def untouched(program: Path, tmp_path: Path) -> Iterator[str]:
    """Start the program with its own defaults; give its URL."""
    file = tmp_path / "redis.conf"
    file.touch()
    yield from started(program, file)


def started(program: Path, file: Path) -> Iterator[str]:
    port = free_port()
    with (file.parent / "server.log").open("w") as log:
        process = subprocess.Popen(
            [program, file, "--port", str(port), "--bind", HOST, "--dir", file.parent],
            stdout=log,
            stderr=log,
        )
    try:
        wait_until_it_answers(process, port, file.parent / "server.log")
        yield f"redis://{HOST}:{port}"
    finally:
        process.terminate()
        process.wait(START_SECONDS)


def wait_until_it_answers(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    client = connect(Endpoint(scheme="redis", host=HOST, port=port), timeout=0.5)
    try:
        while True:
            try:
                assert client.info("server")["process_id"] == process.pid
            except redis.RedisError:
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.01)
            else:
                return
    finally:
        client.close()


def test_a_server_that_the_suite_starts_is_conformant(
    program: Path, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """What a server lacks is said in the header, and leaves nothing unjudged."""
    product, version = product_of(program)
    folder = tmp_path / "path"
    folder.mkdir()
    (folder / f"{product}-server").symlink_to(program.absolute())
    record = conformance(
        tmp_path / "runs", "--target", "local", *selection(request, "started"), path=folder
    )
    target = record.header.target
    assert (target.kind, target.product, target.version) == ("local", product, version)
    assert ("listpack" in target.capabilities) == (names_of(program) == "modern")
    assert record.footer.verdict == "conformant"
    assert {each.outcome for each in record.results} <= JUDGED


def test_a_server_started_by_hand_is_conformant_and_keeps_its_data(
    program: Path, by_hand: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """The configuration that the suite writes, with synthetic tenants, is judged conformant."""
    run("seed", "--target", by_hand, "--tenants", "20", "--quiet")
    record = conformance(
        tmp_path / "runs",
        *("--target", by_hand, "--profile", "staging"),
        *("--config-file", tmp_path / "redis.conf"),
        *selection(request, "by hand"),
    )
    assert record.header.target.version == product_of(program)[1]
    assert record.footer.verdict == "conformant"
    assert {each.outcome for each in record.results} <= JUDGED
    assert {each.level for each in record.results if each.outcome is Outcome.FAIL} <= {"SHOULD"}
    assert record.footprint is not None
    assert (record.footprint.digest, record.footprint.keys_left) == ("equal", 0)
    assert result_of(record, "keyspace.known-families").observations["keys"] > 20
    run("audit", "--target", by_hand, "--profile", "staging")


def test_a_server_with_its_own_defaults_is_not_conformant(untouched: str, tmp_path: Path) -> None:
    record = conformance(
        tmp_path / "runs",
        *("--target", untouched, "--profile", "staging", "--select", "config"),
        ends_with=1,
    )
    assert {"config.maxmemory", "config.eviction-policy"} <= failed(record)


def test_commands_that_no_directive_locks_are_named(
    program: Path, by_hand: str, tmp_path: Path
) -> None:
    """A server without the locks of Redis 7.0 is told apart by asking it, not by its version."""
    locked = "enable-debug-command" in known_directives(program)
    record = conformance(
        tmp_path / "runs",
        *("--target", by_hand, "--profile", "staging", "--select", "security.admin-commands"),
        ends_with=0 if locked else 1,
    )
    result = result_of(record, "security.admin-commands")
    assert result.outcome is (Outcome.PASS if locked else Outcome.FAIL)
    assert locked or "a server without it" in result.evidence[0].found
