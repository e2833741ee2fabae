# SPDX-License-Identifier: Apache-2.0
"""The exit code of the real command, and what console, record and reports say beside it."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from junitparser import Error, Failure, JUnitXml

from kryonix_cache.fixtures.faults.catalogue import PACKAGE
from kryonix_cache.fixtures.targets.configuration import ServerPlan
from kryonix_cache.fixtures.targets.server import ServerProcess, free_port
from tests.conformance.runs import SECONDS, finish, start
from tests.conformance.runs import installed_command as command
from tests.conformance.runs import installed_conformance as conformance
from tests.conformance.servers import count_keys, right_directives, url_of, wait_for_own_keys

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conformance.runs import Run

EMBEDDED = ("--target", "embedded")
ON_THE_TARGET = "isolation.read,isolation.list,isolation.write,isolation.delete"
TARGET_AND_BENCH = ("--select", f"{ON_THE_TARGET},isolation.own-namespace")


@pytest.fixture
def server(redis_binary: Path) -> Iterator[ServerProcess]:
    """Start an empty server that passes."""
    with ServerProcess(redis_binary, ServerPlan(directives=right_directives())) as running:
        yield running


def all_say(run: Run, code: int, verdict: str) -> bool:
    """Check that every report of the run tells the same verdict."""
    assert run.code == code, run.output + run.errors
    record = run.record
    assert (record.footer.exit_code, record.verdict.value) == (code, verdict)
    assert f"Verdict: {verdict}, exit code {code}" in run.output.splitlines()
    badge = json.loads((run.folder / "badge.json").read_text())
    assert badge["message"].startswith(verdict)
    assert badge["isError"] == (code != 0)
    assert verdict in (run.folder / "report.html").read_text()
    assert verdict in (run.folder / "summary.md").read_text()
    cases = [case for suite in JUnitXml.fromfile(run.folder / "junit.xml") for case in suite]
    red = any(isinstance(entry, Failure | Error) for case in cases for entry in case.result)
    assert red == (code != 0)
    assert command("verify", str(run.folder), "--gate").returncode == code
    return True


@pytest.mark.parametrize(
    ("code", "verdict", "system", "select"),
    [
        (0, "conformant", "plain:plain_system", "isolation.list"),
        (1, "non-conformant", "isolation:lists_by_prefix", "isolation.list"),
        (5, "nothing-ran", "wiring:offers_nothing", "isolation.list"),
        (10, "partial", "wiring:offers_no_seeding", "isolation.list,seeding.idempotent"),
    ],
)
def test_the_exit_code_follows_the_verdict(
    code: int, verdict: str, system: str, select: str, tmp_path: Path
) -> None:
    run = conformance(
        *(*EMBEDDED, "--select", select, "--system", f"{PACKAGE}.{system}"), out=tmp_path
    )
    assert all_say(run, code, verdict)


def test_a_live_server_without_keys_is_inconclusive(server: ServerProcess, tmp_path: Path) -> None:
    run = conformance(
        *("--target", url_of(server.endpoint), "--select", "keyspace.ttl"), out=tmp_path
    )
    assert all_say(run, 11, "inconclusive")


def test_a_target_that_is_lost_on_the_way_is_an_error(
    server: ServerProcess, tmp_path: Path
) -> None:
    """Nothing that needed the lost target passes or fails; the record is whole."""
    process = start(
        *("--select", f"{ON_THE_TARGET},isolation.key-builder,server"),
        out=tmp_path,
        KRYONIX_TARGET=url_of(server.endpoint),
    )
    wait_for_own_keys(server.endpoint, process)
    server.kill()
    run = finish(process, tmp_path)
    assert all_say(run, 12, "error")
    outcomes = run.outcomes
    lost = {f"isolation.{name}" for name in ("read", "list", "write", "delete")}
    lost |= {name for name in outcomes if name.startswith("server.")}
    assert {outcomes[name] for name in lost} == {"error"}
    assert "the target was lost" in run.result("isolation.list").reason
    assert run.record.footprint is not None
    assert run.record.footprint.digest == "not comparable"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_cleans_up_and_has_no_verdict(
    number: signal.Signals, server: ServerProcess, tmp_path: Path
) -> None:
    process = start(*TARGET_AND_BENCH, out=tmp_path, KRYONIX_TARGET=url_of(server.endpoint))
    wait_for_own_keys(server.endpoint, process)
    if number is signal.SIGINT:
        os.killpg(process.pid, number)
    else:
        # A build system ends the command that it started, and knows of no other process.
        process.send_signal(number)
    run = finish(process, tmp_path)
    assert run.code == 2
    assert "Verdict" not in run.output
    assert count_keys(server.endpoint) == 0
    assert command("verify", str(run.folder)).returncode == 4


def test_a_ctrl_c_that_the_system_swallows_ends_the_run_all_the_same(tmp_path: Path) -> None:
    run = conformance(
        *(*EMBEDDED, "--select", "isolation.read", "--system", f"{PACKAGE}.wiring:loses_ctrl_c"),
        out=tmp_path,
    )
    assert run.code == 2, run.output + run.errors
    assert "Verdict" not in run.output


def test_a_run_that_is_interrupted_while_it_starts_ends_in_order(tmp_path: Path) -> None:
    """Python would show a traceback of its imports, or drop the interruption in one of them."""
    process = start(*EMBEDDED, "--select", "isolation.list", out=tmp_path)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    while not children.read_text():
        assert process.poll() is None
    os.killpg(process.pid, signal.SIGINT)
    output, errors = process.communicate(timeout=SECONDS)
    assert process.returncode == 2, output + errors
    assert "Verdict" not in output
    assert "Traceback" not in errors


def test_a_run_whose_process_dies_has_no_verdict(server: ServerProcess, tmp_path: Path) -> None:
    process = start(*TARGET_AND_BENCH, out=tmp_path, KRYONIX_TARGET=url_of(server.endpoint))
    wait_for_own_keys(server.endpoint, process)
    with open(f"/proc/{process.pid}/task/{process.pid}/children") as file:  # noqa: PTH123
        child = int(file.read().split()[0])
    os.kill(child, signal.SIGKILL)
    run = finish(process, tmp_path)
    assert run.code == 12
    assert "was ended by signal 9 and has no verdict" in run.errors


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--select", "config.aoff"), "There is no requirement 'config.aoff'"),
        (("--profile", "prod"), "prod"),
        (("--target", "elsewhere"), "The target is not valid"),
        (("--contract", "/nonexistent/contract.toml"), "contract.toml"),
        (("--system", "kryonix_cache.nowhere:system"), "cannot be imported"),
        (("--system", f"{PACKAGE}.wiring"), "not of the form module:factory"),
        (("--system", f"{PACKAGE}.wiring:NOT_CALLABLE"), "is not callable"),
        (("--grant", "everything=localhost:1/0"), "The grant is not valid"),
        (("--seed", "-1"), "--seed"),
    ],
)
def test_a_wrong_command_line_is_refused(
    arguments: tuple[str, ...], sentence: str, tmp_path: Path
) -> None:
    run = conformance(
        *(arguments if "--target" in arguments else (*EMBEDDED, *arguments)), out=tmp_path
    )
    assert run.code == 4, run.output + run.errors
    assert sentence in run.errors
    assert "Traceback" not in run.errors
    assert "Verdict" not in run.output


@pytest.mark.parametrize(
    ("factory", "sentence"),
    [
        ("raises", "raised RuntimeError: the configuration of the system is missing"),
        ("returns_nonsense", "returned dict, not"),
    ],
)
def test_an_adapter_that_is_wired_wrongly_has_an_error_of_its_own(
    factory: str, sentence: str, tmp_path: Path
) -> None:
    run = conformance(*EMBEDDED, "--system", f"{PACKAGE}.wiring:{factory}", out=tmp_path)
    assert run.code == 4
    assert sentence in run.errors
    assert "Traceback" not in run.errors


def test_a_target_that_cannot_be_reached_is_refused(tmp_path: Path) -> None:
    run = conformance("--target", f"redis://127.0.0.1:{free_port()}", out=tmp_path)
    assert run.code == 4
    assert "Traceback" not in run.errors


def test_f1_reports_that_cannot_be_written_are_no_success(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    select = (*EMBEDDED, "--select", "isolation.key-builder")
    no_record = conformance(*select, out=blocked)
    assert (no_record.code, "cannot be written" in no_record.errors) == (4, True)
    no_summary = conformance(
        *select, out=tmp_path / "out", GITHUB_STEP_SUMMARY=str(blocked / "summary")
    )
    assert (no_summary.code, "cannot be written" in no_summary.errors) == (4, True)


def test_f4_a_selector_of_pytest_that_matches_nothing_is_no_success(tmp_path: Path) -> None:
    run = conformance(
        *(*EMBEDDED, "--select", "isolation.key-builder", "--", "-k", "no_such_test"), out=tmp_path
    )
    assert all_say(run, 12, "error")
    assert run.result("isolation.key-builder").reason == "no test ran for it"


def test_f10_stopping_at_the_first_failure_stops_and_is_no_success(tmp_path: Path) -> None:
    """What was not judged any more is an error and no pass; the failure decides."""
    run = conformance(
        *(*EMBEDDED, "--select", "isolation.list,isolation.key-builder"),
        *("--system", f"{PACKAGE}.isolation:lists_by_prefix", "--", "-x"),
        out=tmp_path,
    )
    assert all_say(run, 1, "non-conformant")
    assert run.outcomes["isolation.list"] == "fail"
    assert run.outcomes["isolation.key-builder"] == "error"


def test_a_system_that_breaks_when_imported_is_refused(tmp_path: Path) -> None:
    module = tmp_path / "broken.py"
    module.write_text("raise ZeroDivisionError('while it was imported')\n")
    run = conformance(*(*EMBEDDED, "--system", "broken:system"), out=tmp_path / "out", cwd=tmp_path)
    assert run.code == 4
    assert "raised ZeroDivisionError when imported: while it was imported" in run.errors
    assert "Traceback" not in run.errors


def test_a_plugin_that_is_installed_for_other_tests_is_not_loaded(tmp_path: Path) -> None:
    """Whatever pytest finds in an environment, the run is the same."""
    metadata = tmp_path / "plugins" / "stranger-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: stranger\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[pytest11]\nstranger = stranger\n")
    (metadata.parent / "stranger.py").write_text("raise RuntimeError('loaded')\n")
    run = conformance(
        *(*EMBEDDED, "--select", "isolation.key-builder"),
        out=tmp_path / "out",
        PYTHONPATH=str(metadata.parent),
    )
    assert run.code == 0, run.output + run.errors
