# SPDX-License-Identifier: Apache-2.0
"""A counterexample is a program that shows the breach again, and nothing on a correct system."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from kryonix_cache.fixtures.faults.catalogue import PACKAGE, PLAIN
from kryonix_cache.fixtures.targets.configuration import ServerPlan
from kryonix_cache.fixtures.targets.server import ServerProcess
from kryonix_cache.reference_impl.connection import Pools
from tests.conformance.runs import conformance
from tests.conformance.servers import url_of
from tests.targets.servers import redis_binary

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["redis_binary"]

FAULTS = [
    ("isolation.read", "isolation:looks_next_door", "found {'of': 'ab', 'n': 0}, wanted None"),
    ("isolation.read", "times:expires_late", "found {'of': 'a', 'n': 0}, wanted None"),
    ("isolation.read", "times:current_tenant", "found "),
    ("isolation.read", "times:async_current_tenant", "found "),
    ("isolation.read", "times:meets_between_two_lines", "found "),
    ("isolation.read", "times:key_on_the_handle", "found "),
    ("isolation.read", "times:shows_the_neighbour", "found ['user_ab_0'], wanted []"),
    ("isolation.read", "areas:borrows_records", "wanted {}"),
    ("isolation.list", "isolation:lists_by_prefix", "wanted []"),
    ("isolation.write", "isolation:writes_next_door", "found {'of': 'a', 'n': 0}"),
    ("isolation.delete", "isolation:deletes_in_memory", "found True, wanted False"),
    ("isolation.queues", "areas:last_in_first_out", "wanted {'of': 'a', "),
    ("isolation.websockets", "areas:ping_brings_back", "found True, wanted False"),
]


@pytest.fixture(scope="module")
def server(redis_binary: Path) -> Iterator[ServerProcess]:
    with ServerProcess(redis_binary, ServerPlan(open_access=True)) as running:
        yield running


def played(program: Path, server: ServerProcess) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(program)],
        env=os.environ | {"KRYONIX_TARGET": f"redis://127.0.0.1:{server.port}"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize(("requirement", "fault", "shown"), FAULTS, ids=[f for _, f, _ in FAULTS])
def test_the_program_of_a_finding_shows_it_again(
    requirement: str, fault: str, shown: str, server: ServerProcess, tmp_path: Path
) -> None:
    """The correct system in the place of the faulty one is all that it takes to end it."""
    system = f"{PACKAGE}.{fault}"
    run = conformance(
        *("--target", "embedded", "--select", requirement, "--system", system), out=tmp_path
    )
    assert run.outcomes == {requirement: "fail"}
    program = run.folder / f"counterexample-{requirement}.py"
    assert f"{program.name} shows it" in run.result(requirement).reason
    assert f"Counterexample: {program}" in run.output
    again = played(program, server)
    assert again.returncode == 1, again.stdout + again.stderr
    assert shown in again.stderr.splitlines()[-1]
    program.write_text(program.read_text().replace(system, PLAIN))
    mended = played(program, server)
    assert (mended.returncode, mended.stdout) == (0, "nothing to be seen\n"), mended.stderr
    with Pools(server.endpoint) as pools:
        assert [pools[number].dbsize() for number in range(16)] == [0] * 16


def test_the_program_of_a_call_that_raised_raises_again(
    server: ServerProcess, tmp_path: Path
) -> None:
    run = conformance(
        *("--target", "embedded", "--select", "isolation.read"),
        *("--system", f"{PACKAGE}.commands:flushes"),
        out=tmp_path,
    )
    again = played(run.folder / "counterexample-isolation.read.py", server)
    assert again.returncode == 1
    assert "ForbiddenCommandError" in again.stderr.splitlines()[-1]


def test_a_run_that_passes_leaves_no_program(tmp_path: Path) -> None:
    run = conformance("--target", "embedded", "--select", "isolation.pubsub", out=tmp_path)
    assert run.outcomes == {"isolation.pubsub": "pass"}
    assert not list(run.folder.glob("*.py"))


def test_no_password_stands_in_a_program(redis_binary: Path, tmp_path: Path) -> None:
    """What a system puts into its errors passes the same gate as the record."""
    with ServerProcess(redis_binary) as guarded:
        run = conformance(
            *("--select", "isolation.read"),
            *("--system", f"{PACKAGE}.wiring:shows_the_password"),
            out=tmp_path,
            KRYONIX_TARGET=url_of(guarded.endpoint),
        )
        (program,) = run.folder.glob("counterexample-*.py")
        assert guarded.endpoint.password
        assert guarded.endpoint.password not in program.read_text()
        assert str(guarded.port) not in program.read_text()
