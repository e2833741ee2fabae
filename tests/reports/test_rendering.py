# SPDX-License-Identifier: Apache-2.0
"""Report files appear whole or not at all, and only for a record that can be trusted."""

import os
from pathlib import Path

import pytest

from kryonix_cache.reports.errors import RecordEditedError, ReportNotWritableError
from kryonix_cache.reports.record import read_record
from kryonix_cache.reports.rendering import append_step_summary, write_reports
from tests.reports.records import Run, check
from tests.reports.sample import deployment_run

NAMES = ["allure-results", "badge.json", "junit.xml", "report.html", "summary.md"]


def test_every_report_is_written_and_nothing_else_is_left(tmp_path: Path) -> None:
    path = deployment_run().write(tmp_path / "run")
    written = write_reports(path, tmp_path / "out" / "deep")

    assert sorted(p.name for p in written) == NAMES
    assert sorted(p.name for p in (tmp_path / "out" / "deep").iterdir()) == NAMES


def test_writing_again_replaces_what_was_there(tmp_path: Path) -> None:
    path = deployment_run().write(tmp_path)
    write_reports(path, tmp_path)
    stale = tmp_path / "allure-results" / "stale-result.json"
    stale.touch()
    before = _contents(tmp_path)
    write_reports(path, tmp_path)

    assert not stale.exists()
    assert {**_contents(tmp_path), stale: b""} == before


def _contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_no_report_is_made_of_an_edited_record(tmp_path: Path) -> None:
    path = deployment_run().write(tmp_path)
    path.write_bytes(path.read_bytes().replace(b"noeviction", b"allkeys-lru"))

    with pytest.raises(RecordEditedError):
        write_reports(path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_report_that_cannot_be_written_is_one_clear_error(tmp_path: Path) -> None:
    path = deployment_run().write(tmp_path)
    (tmp_path / "file").touch()

    with pytest.raises(ReportNotWritableError, match="cannot be written"):
        write_reports(path, tmp_path / "file" / "out")


@pytest.mark.skipif(os.name != "posix", reason="a folder in the way is POSIX's refusal")
def test_a_report_that_fails_midway_leaves_no_half_file(tmp_path: Path) -> None:
    path = deployment_run().write(tmp_path)
    (tmp_path / "report.html").mkdir()

    with pytest.raises(ReportNotWritableError, match=r"report\.html"):
        write_reports(path, tmp_path)
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".")]


def test_the_step_summary_is_appended(tmp_path: Path) -> None:
    record = read_record(Run(checks=[check("server.ping")]).write(tmp_path))
    summary = tmp_path / "summary"
    summary.write_text("before\n")
    append_step_summary(record, summary)

    assert summary.read_text().startswith("before\n## ✅ kryonix-cache: conformant\n")


def test_a_step_summary_that_cannot_be_written_is_one_clear_error(tmp_path: Path) -> None:
    record = read_record(Run(checks=[check("server.ping")]).write(tmp_path))

    with pytest.raises(ReportNotWritableError):
        append_step_summary(record, tmp_path)
