# SPDX-License-Identifier: Apache-2.0
"""
Ways in which respected suites were green by accident, each as a regression test.

The numbers are those of the project's list of such defects: F1, F2, F3, F5 and F11 are the ones
that happen in the reporter.
"""

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from kryonix_cache.reports.junit import render_junit
from kryonix_cache.reports.record import RECORD_NAME, RecordWriter, read_record
from kryonix_cache.reports.redaction import Redactor
from tests.conformance.runs import command
from tests.reports.records import FINISHED, Run, check, requirement, waiver


def _exit_code(*arguments: object) -> int:
    return command(*map(str, arguments)).returncode


def _red(junit: bytes) -> dict[str, str]:
    """Return the cases that any JUnit reader shows as red, with the element that makes them so."""
    return {
        str(case.get("name")): child.tag
        for case in ET.fromstring(junit).iter("testcase")
        for child in case
        if child.tag in {"failure", "error"}
    }


def test_f1_reports_that_cannot_be_written_do_not_exit_with_0(tmp_path: Path) -> None:
    Run(checks=[check("server.ping")]).write(tmp_path)
    (tmp_path / "report.html").mkdir()

    assert _exit_code("report", tmp_path) == 4


def test_f1_a_record_that_cannot_be_read_does_not_exit_with_0(tmp_path: Path) -> None:
    (tmp_path / RECORD_NAME).write_text("{}\n")

    for words in (["verify"], ["verify", "--gate"], ["report"], ["diff", tmp_path]):
        assert _exit_code(*words, tmp_path) == 4


@pytest.mark.parametrize(
    ("outcome", "element"), [("fail", "failure"), ("error", "error"), ("inconclusive", "error")]
)
def test_f2_junit_uses_the_elements_that_every_reader_knows(
    tmp_path: Path, outcome: str, element: str
) -> None:
    record = Run(checks=[check("server.ping", outcome)]).record(tmp_path)

    assert _red(render_junit(record))["server.ping"] == element


@pytest.mark.parametrize("outcome", ["skipped", "not-offered"])
def test_f3_one_pass_beside_what_was_not_judged_is_no_success(tmp_path: Path, outcome: str) -> None:
    entries = [requirement(f"server.r{number}") for number in range(5)]
    checks = [check("server.r0"), *(check(entry.id, outcome) for entry in entries[1:])]
    record = Run(requirements=entries, checks=checks).record(tmp_path)

    assert record.verdict == "partial"
    assert record.footer.exit_code == 10
    assert _red(render_junit(record)) == {"verdict": "failure"}


def test_f3_a_waived_requirement_is_no_success(tmp_path: Path) -> None:
    run = Run(checks=[check("server.ping", "fail")], waivers=(waiver("server.ping"),))

    assert run.record(tmp_path).footer.exit_code == 10


def test_f5_a_fail_is_never_written_as_an_error_nor_an_error_as_a_fail(tmp_path: Path) -> None:
    run = Run(
        requirements=[requirement("server.a"), requirement("server.b")],
        checks=[check("server.a", "fail"), check("server.b", "error")],
    )

    assert _red(render_junit(run.record(tmp_path))) == {
        "server.a": "failure",
        "server.b": "error",
        "verdict": "failure",
    }


def test_f5_every_case_has_a_name_and_a_class(tmp_path: Path) -> None:
    record = Run(checks=[check("server.ping", "fail")]).record(tmp_path)
    cases = list(ET.fromstring(render_junit(record)).iter("testcase"))

    assert cases
    assert all(case.get("name") and case.get("classname") for case in cases)


def test_f11_a_run_that_died_is_not_a_run_without_failures(tmp_path: Path) -> None:
    """A run without its footer has no verdict, whatever its checks say so far."""
    with RecordWriter(tmp_path / RECORD_NAME, Redactor()) as writer:
        writer.header(Run().header())
        writer.check(check("server.ping"))

    assert _exit_code("verify", tmp_path) == 4


def test_f11_a_requirement_whose_test_never_ran_is_an_error(tmp_path: Path) -> None:
    entries = [requirement("server.a"), requirement("server.b")]
    record = Run(requirements=entries, checks=[check("server.a")]).record(tmp_path)

    assert (record.verdict, record.footer.exit_code) == ("error", 12)


def test_f11_an_unknown_outcome_does_not_stay_below_a_pass(tmp_path: Path) -> None:
    """An outcome that the format does not know makes the record invalid, not green."""
    path = Run(checks=[check("server.ping")]).write(tmp_path)
    path.write_bytes(path.read_bytes().replace(b'"outcome":"pass"', b'"outcome":"unknown"'))

    assert _exit_code("verify", path) == 4


def test_f11_looking_at_failures_can_gate(tmp_path: Path) -> None:
    Run(checks=[check("server.ping", "fail")]).write(tmp_path)

    assert _exit_code("verify", "--gate", tmp_path) == 1


def test_a_run_in_which_nothing_ran_is_red_everywhere(tmp_path: Path) -> None:
    path = tmp_path / RECORD_NAME
    with RecordWriter(path, Redactor()) as writer:
        writer.header(Run(requirements=[]).header())
        writer.finish(finished=FINISHED, seconds=0)
    record = read_record(path)

    assert record.footer.exit_code == 5
    assert _red(render_junit(record)) == {"verdict": "error"}
