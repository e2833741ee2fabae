# SPDX-License-Identifier: Apache-2.0
"""`verify`, `diff`, `report` and `runs list` through the real command."""

import json
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests.conformance.runs import command
from tests.reports.records import Run, check, waiver
from tests.reports.sample import deployment_run

GREEN = Run(checks=[check("server.ping")])
RED = Run(checks=[check("server.ping", "fail", "no answer")])


@dataclass(frozen=True)
class Answer:
    """What a command said and how it exited."""

    code: int
    out: str
    err: str


def _command(*arguments: object, **environment: str) -> Answer:
    finished = command(*map(str, arguments), **environment)
    return Answer(finished.returncode, finished.stdout, finished.stderr)


def test_verify_says_that_a_record_is_whole_and_its_verdict(tmp_path: Path) -> None:
    RED.write(tmp_path)
    answer = _command("verify", tmp_path)

    assert answer.code == 0
    assert "whole and unchanged" in answer.out
    assert answer.out.splitlines()[-1] == "Verdict: non-conformant, exit code 1"


@pytest.mark.parametrize(("run", "code"), [(GREEN, 0), (RED, 1), (Run(requirements=[]), 5)])
def test_verify_as_a_gate_exits_with_the_code_of_the_run(
    tmp_path: Path, run: Run, code: int
) -> None:
    run.write(tmp_path)

    assert _command("verify", "--gate", tmp_path).code == code


@pytest.mark.parametrize("arguments", [["verify"], ["verify", "--gate"], ["report"]])
def test_a_truncated_record_exits_with_4_and_one_sentence(
    tmp_path: Path, arguments: list[str]
) -> None:
    path = GREEN.write(tmp_path)
    path.write_bytes(path.read_bytes()[:-200])
    answer = _command(*arguments, path)

    assert answer.code == 4
    assert answer.err.startswith("Error: The run record ")
    assert "Traceback" not in answer.err
    assert answer.out == ""


def test_a_missing_record_exits_with_4(tmp_path: Path) -> None:
    GREEN.write(tmp_path / "run")

    assert _command("verify", tmp_path / "none").code == 4
    assert _command("diff", tmp_path / "run", tmp_path / "none").code == 4


def test_report_writes_every_report_beside_the_record(tmp_path: Path) -> None:
    deployment_run().write(tmp_path)
    answer = _command("report", tmp_path)

    assert answer.code == 0
    assert [Path(line).name for line in answer.out.splitlines()] == [
        "junit.xml",
        "report.html",
        "summary.md",
        "badge.json",
        "allure-results",
    ]
    assert (tmp_path / "report.html").is_file()


def test_report_appends_to_the_summary_of_the_job(tmp_path: Path) -> None:
    GREEN.write(tmp_path)
    summary = tmp_path / "step"
    _command("report", tmp_path, "--out", tmp_path / "out", GITHUB_STEP_SUMMARY=str(summary))

    assert "kryonix-cache: conformant" in summary.read_text()


def test_diff_exits_with_1_when_something_gating_got_worse(tmp_path: Path) -> None:
    GREEN.write(tmp_path / "1")
    RED.write(tmp_path / "2")
    worse = _command("diff", tmp_path / "1", tmp_path / "2")
    better = _command("diff", tmp_path / "2", tmp_path / "1")

    assert worse.code == 1
    assert "worse server.ping: pass -> fail" in worse.out
    assert better.code == 0
    assert "better server.ping: fail -> pass" in better.out


def test_diff_speaks_json(tmp_path: Path) -> None:
    GREEN.write(tmp_path / "1")
    RED.write(tmp_path / "2")
    answer = _command("diff", tmp_path / "1", tmp_path / "2", "--json")

    assert answer.code == 1
    assert json.loads(answer.out)["regressions"] == ["server.ping"]


def test_runs_list_names_each_run_and_what_is_wrong_with_it(tmp_path: Path) -> None:
    GREEN.write(tmp_path / "a")
    later = replace(RED, started="2026-11-21T09:30:00+00:00", run="later")
    later.write(tmp_path / "b")
    accepted = Run(
        checks=[check("server.ping", "fail")],
        waivers=(waiver("server.ping"),),
        accept=("partial",),
        run="accepted",
    )
    accepted.write(tmp_path / "c")
    cut = GREEN.write(tmp_path / "d")
    cut.write_bytes(cut.read_bytes()[:100])
    (tmp_path / "no-run").mkdir()
    answer = _command("runs", "list", tmp_path)
    lines = answer.out.splitlines()

    assert answer.code == 0
    assert lines[1].split()[0] == "later"
    assert lines[1].split()[1] == "non-conformant"
    assert any(line.split()[0] == "accepted" and "partial (accepted)" in line for line in lines)
    assert lines[-1].startswith("d: The run record ")
    assert len(lines) == 5


def test_runs_list_keeps_ids_whole_and_adds_no_blanks_on_a_narrow_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    replace(GREEN, run="20260101t000000-0a1b2c").write(tmp_path / "a")
    lines = _command("runs", "list", tmp_path).out.splitlines()

    assert [line.split()[0] for line in lines] == ["run", "20260101t000000-0a1b2c"]
    assert lines == [line.rstrip() for line in lines]


def test_runs_list_speaks_json(tmp_path: Path) -> None:
    GREEN.write(tmp_path / "a")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "record.jsonl").touch()
    good, bad = json.loads(_command("runs", "list", tmp_path, "--json").out)

    assert (good["verdict"], good["exit_code"], good["problem"]) == ("conformant", 0, "")
    assert bad["verdict"] is None
    assert "is empty" in bad["problem"]


def test_runs_list_of_no_folder_exits_with_4(tmp_path: Path) -> None:
    assert _command("runs", "list", tmp_path / "none").code == 4
    assert _command("runs", "list", tmp_path).out.startswith("No run is in ")
