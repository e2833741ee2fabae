# SPDX-License-Identifier: Apache-2.0
"""`kryonix-cache audit`: live data and configuration, judged by reading, in one pass."""

from __future__ import annotations

import json
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, cast

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from kryonix_cache.conformance.auditing import plan_audit, run_audit
from kryonix_cache.conformance.cli.target_options import (
    ALLOW_REPLICA,
    CONFIG_FILE,
    CONTRACT,
    FIELDS,
    MAX_IMPACT,
    SELECT,
    TARGET_FILE,
    TARGET_URL,
    profile_option,
)
from kryonix_cache.conformance.errors import UsageError
from kryonix_cache.conformance.run import RunRequest, split_ids
from kryonix_cache.fixtures.targets.specification import TargetSpec
from kryonix_cache.reports.lines import to_json
from kryonix_cache.reports.record import RECORD_NAME
from kryonix_cache.reports.rendering import write_reports
from kryonix_cache.reports.terminal import render_terminal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from kryonix_cache.conformance.judging.sampling import Reading
    from kryonix_cache.reports.record import Record

DEFAULT_PROFILE = "production"


@click.command()
@TARGET_URL
@TARGET_FILE
@profile_option(DEFAULT_PROFILE)
@CONTRACT
@SELECT
@FIELDS
@MAX_IMPACT
@CONFIG_FILE
@ALLOW_REPLICA
@click.option("--json", "as_json", is_flag=True, help="Print the results as JSON, nothing else.")
@click.option("--out", type=click.Path(path_type=Path), help="Keep record and reports here.")
def audit(
    *,
    target: str | None,
    target_file: Path | None,
    profile: str,
    contract: Path | None,
    select: tuple[str, ...],
    fields: str,
    max_impact: str,
    config_file: Path | None,
    allow_replica: bool,
    as_json: bool,
    out: Path | None,
) -> int:
    """Judge a server's configuration, health, security and keys; nothing is written.

    Every key is looked at once: its name, type, time to live and size. Values are read of all
    keys, of a sample of tenants, or of none.
    """
    spec = TargetSpec.resolve(target, target_file=target_file)
    if spec.endpoint is None:
        raise UsageError(
            f"An audit needs a server that holds data, and {spec.kind} (from {spec.origin}) is one "
            "that the suite would start empty: give --target redis://host:6379."
        )
    with _folder(out) as folder:
        plan = plan_audit(
            RunRequest(
                target_file=target_file,
                profile=profile,
                contract=contract,
                system="none",
                select=split_ids(select),
                config_file=config_file,
                replica_allowed=allow_replica,
                fields=cast("Reading", fields),
                max_impact=max_impact,
                out=folder,
            )
        )
        with _progress() as progress:
            record = run_audit(plan, spec, progress=progress)
        if out is not None:
            write_reports(plan.folder / RECORD_NAME, plan.folder)
        _show(record, plan.folder if out is not None else None, as_json=as_json)
    return record.footer.exit_code


def _show(record: Record, folder: Path | None, *, as_json: bool) -> None:
    if as_json:
        document = {
            "verdict": record.verdict.value,
            "exit_code": record.footer.exit_code,
            "run": record.header.run,
            "profile": record.header.profile,
            "contract": to_json(record.header.contract),
            "target": to_json(record.header.target),
            "counts": to_json(record.footer.counts),
            "results": [to_json(result) for result in record.results],
            "footprint": to_json(record.footprint),
        }
        click.echo(json.dumps(document, indent=2, ensure_ascii=False))
        return
    render_terminal(record, Console())
    if folder is not None:
        click.echo(f"Report: {folder / 'report.html'}")


@contextmanager
def _folder(out: Path | None) -> Iterator[Path]:
    """Give the folder that was asked for, or one that goes away again."""
    if out is not None:
        yield out
        return
    with tempfile.TemporaryDirectory(prefix="kryonix-audit-") as folder:
        yield Path(folder)


@contextmanager
def _progress() -> Iterator[Callable[[int, int], None] | None]:
    """Show how far the scan is, where somebody looks."""
    console = Console(stderr=True)
    if not sys.stderr.isatty():
        yield None
        return
    columns = (
        TextColumn("keys"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bars:
        task = bars.add_task("keys", total=None)
        yield lambda done, total: bars.update(task, completed=done, total=total)
