# SPDX-License-Identifier: Apache-2.0
"""The runs below a folder, broken ones with what is wrong with them."""

from dataclasses import dataclass
from pathlib import Path

from kryonix_cache.reports.errors import ReportError, RunsFolderMissingError
from kryonix_cache.reports.record import RECORD_NAME, Record, read_record
from kryonix_cache.reports.summary import verdict_words

DEFAULT_FOLDER = Path("reports/runs")


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run folder: its record, or the reason why it has none that can be trusted."""

    folder: Path
    record: Record | None
    problem: str

    @property
    def verdict(self) -> str:
        """The verdict as every report spells it; `no verdict` for a broken run."""
        return verdict_words(self.record) if self.record else "no verdict"


def list_runs(folder: Path) -> tuple[Run, ...]:
    """Return the runs in `folder`, newest first, broken ones last; RunsFolderMissingError."""
    if not folder.is_dir():
        raise RunsFolderMissingError(folder)
    runs = [_run(path.parent) for path in sorted(folder.glob(f"*/{RECORD_NAME}"))]
    whole = [run for run in runs if run.record]
    broken = [run for run in runs if not run.record]
    whole.sort(key=lambda run: run.record.header.started if run.record else "", reverse=True)
    return (*whole, *broken)


def _run(folder: Path) -> Run:
    try:
        return Run(folder=folder, record=read_record(folder), problem="")
    except ReportError as error:
        return Run(folder=folder, record=None, problem=str(error))
