# SPDX-License-Identifier: Apache-2.0
"""
Commands that read run records: `verify`, `diff`, `report`, and the group `runs`.

They judge files, never a server. A RUN is the folder of a run or its record.jsonl.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import click
from rich.console import Console
from rich.text import Text

from kryonix_cache.reports.diff import RecordDiff, compare_records
from kryonix_cache.reports.lines import Json
from kryonix_cache.reports.record import Record, read_record
from kryonix_cache.reports.rendering import STEP_SUMMARY, append_step_summary, write_reports
from kryonix_cache.reports.runs import DEFAULT_FOLDER, Run, list_runs
from kryonix_cache.reports.summary import counts_words, scope_words, verdict_words

_RUN = click.Path(path_type=Path)
_MOST_FINDINGS = 5


@click.command()
@click.argument("run", type=_RUN)
@click.option("--gate", is_flag=True, help="Exit with the exit code of the run itself.")
def verify(run: Path, *, gate: bool) -> None:
    """
    Check that a record is whole and unchanged, and judge it again.

    Exits with 0 for a record that can be trusted, whatever its verdict, and with 4 for any
    other. With --gate a trusted record exits with the code of its run, so that a pipeline can
    let a deployment depend on it.
    """
    record = read_record(run)
    footer = record.footer
    click.echo(
        f"{record.header.run}: whole and unchanged, {footer.lines + 1} lines, "
        f"{len(record.checks)} checks"
    )
    click.echo(f"{counts_words(footer.counts)} over {scope_words(record)}")
    click.echo(f"Verdict: {verdict_words(record)}, exit code {footer.exit_code}")
    if gate:
        raise click.exceptions.Exit(footer.exit_code)


@click.command()
@click.argument("before", metavar="RUN1", type=_RUN)
@click.argument("after", metavar="RUN2", type=_RUN)
@click.option("--json", "as_json", is_flag=True, help="Print the differences as JSON.")
def diff(before: Path, after: Path, *, as_json: bool) -> None:
    """
    Say what changed from RUN1 to RUN2.

    Exits with 1 when something that gates got worse, is not judged any more, or is new and does
    not hold.
    """
    changes = compare_records(read_record(before), read_record(after))
    if as_json:
        click.echo(json.dumps(changes.to_json(), indent=2))
    else:
        for line in _diff_lines(changes):
            click.echo(line)
    raise click.exceptions.Exit(1 if changes.regressions else 0)


@click.command()
@click.argument("run", type=_RUN)
@click.option("--out", type=_RUN, help="Where the reports go; beside the record by default.")
def report(run: Path, out: Path | None) -> None:
    """
    Write every report of a run again: JUnit, HTML, Markdown, badge, Allure.

    Where GITHUB_STEP_SUMMARY is set, the Markdown is appended to that file as well.
    """
    folder = out or (run if run.is_dir() else run.parent)
    for path in write_reports(run, folder):
        click.echo(path)
    summary = os.environ.get(STEP_SUMMARY)
    if summary:
        append_step_summary(read_record(run), Path(summary))


@click.group()
def runs() -> None:
    """List past runs, and remove what a killed run left on a server."""


@runs.command("list")
@click.argument("folder", type=_RUN, default=DEFAULT_FOLDER)
@click.option("--json", "as_json", is_flag=True, help="Print the list as JSON.")
def list_command(folder: Path, *, as_json: bool) -> None:
    """List the runs below FOLDER (default reports/runs), newest first."""
    found = list_runs(folder)
    if as_json:
        click.echo(json.dumps([_run_json(run) for run in found], indent=2))
        return
    if not found:
        click.echo(f"No run is in {folder}.")
        return
    _print_runs(found)


def _diff_lines(changes: RecordDiff) -> Iterator[str]:
    yield f"{changes.before} -> {changes.after}"
    yield f"Verdict: {changes.verdict_before} -> {changes.verdict_after}"
    for stamp in changes.stamps:
        yield f"{stamp.what}: {stamp.before} -> {stamp.after}"
    for change in changes.requirements:
        gates = "" if change.gating else ", does not gate"
        yield (
            f"{change.trend} {change.requirement}: {change.before or 'not judged'} -> "
            f"{change.after or 'not judged'}{gates}"
        )
        for mark, findings in (("+", change.findings_new), ("-", change.findings_gone)):
            for finding in findings[:_MOST_FINDINGS]:
                yield f"  {mark} {finding.where}: {finding.found} (wanted {finding.wanted})"
            if len(findings) > _MOST_FINDINGS:
                yield f"  {mark} and {len(findings) - _MOST_FINDINGS} more"
    worse = len(changes.regressions)
    yield f"{worse} gating requirement{'' if worse == 1 else 's'} got worse"


def _run_json(run: Run) -> Json:
    facts: dict[str, Json] = {"folder": str(run.folder), "verdict": None, "problem": run.problem}
    if run.record:
        facts |= {"verdict": run.record.verdict.value, **_facts(run.record)}
        facts |= {"exit_code": run.record.footer.exit_code}
    return facts


def _facts(record: Record) -> dict[str, str]:
    header = record.header
    return {
        "run": header.run,
        "started": header.started,
        "target": header.target.address,
        "profile": header.profile,
    }


def _print_runs(found: tuple[Run, ...]) -> None:
    console = Console()
    rows = [("run", "verdict", "profile", "started", "target")]
    for run in found:
        if run.record:
            facts = _facts(run.record)
            rows.append(
                (facts["run"], run.verdict, facts["profile"], facts["started"], facts["target"])
            )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows if len(rows) > 1 else ():
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        # Wrapped by the terminal alone, if at all: an id in pieces can be neither read nor copied.
        console.print(Text("  ".join(cells).rstrip()), soft_wrap=True)
    for run in found:
        if not run.record:
            console.print(Text(f"{run.folder.name}: {run.problem}"), soft_wrap=True)
