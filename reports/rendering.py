# SPDX-License-Identifier: Apache-2.0
"""
All report files of a run, written beside its record.

Each file appears whole or not at all: it is written under another name and renamed. The record
is read back from the disk first, so a report can never say what the record does not.
"""

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from kryonix_cache.reports.allure import render_allure
from kryonix_cache.reports.badge import render_badge
from kryonix_cache.reports.errors import ReportNotWritableError
from kryonix_cache.reports.junit import render_junit
from kryonix_cache.reports.markdown import render_markdown
from kryonix_cache.reports.page import render_page
from kryonix_cache.reports.record import Record, read_record

ALLURE_FOLDER = "allure-results"

STEP_SUMMARY = "GITHUB_STEP_SUMMARY"
"""The environment variable that names GitHub's file for a job's summary."""


def write_reports(record_path: Path, out_dir: Path) -> tuple[Path, ...]:
    """
    Write every report of the record at `record_path` into `out_dir` and return their paths.

    Raises what `read_record` raises, and ReportNotWritableError.
    """
    record = read_record(record_path)
    try:
        out_dir.mkdir(parents=True, exist_ok=True)
        written = [_write_file(out_dir / name, content) for name, content in _files(record).items()]
        written.append(_write_folder(out_dir / ALLURE_FOLDER, render_allure(record)))
    except OSError as cause:
        raise ReportNotWritableError(Path(cause.filename or out_dir), cause) from cause
    return tuple(written)


def append_step_summary(record: Record, summary: Path) -> None:
    """Append the Markdown summary to the file that a CI system shows for the job."""
    try:
        with summary.open("a", encoding="utf-8") as file:
            file.write(render_markdown(record))
    except OSError as cause:
        raise ReportNotWritableError(summary, cause) from cause


def _files(record: Record) -> Mapping[str, bytes]:
    return {
        "junit.xml": render_junit(record),
        "report.html": render_page(record).encode(),
        "summary.md": render_markdown(record).encode(),
        "badge.json": render_badge(record),
    }


def _write_file(path: Path, content: bytes) -> Path:
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_bytes(content)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return path


def _write_folder(path: Path, files: Mapping[str, bytes]) -> Path:
    """Replace a folder of ours; a folder cannot be renamed over one that holds files."""
    part = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    try:
        new, old = part / "new", part / "old"
        new.mkdir()
        for name, content in files.items():
            (new / name).write_bytes(content)
        if path.exists():
            path.replace(old)
        new.replace(path)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return path
