# SPDX-License-Identifier: Apache-2.0
"""`kryonix-cache optimise`: analyse the tenants of a server, and act within bounds."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from kryonix_cache.conformance.cli.optimiser_pages import (
    report_json,
    report_text,
    undo_json,
    undo_text,
)
from kryonix_cache.conformance.cli.target_options import (
    CONTRACT,
    MAX_IMPACT,
    TARGET_FILE,
    TARGET_URL,
)
from kryonix_cache.fixtures.declared_writes import OPTIMISING, DeclaredWrites
from kryonix_cache.fixtures.errors import LoaderUnusableError
from kryonix_cache.fixtures.plug_ins import import_callable
from kryonix_cache.fixtures.targets.specification import TargetSpec
from kryonix_cache.reference_impl.connection import Endpoint, Pools
from kryonix_cache.reference_impl.contract import Contract, load_contract
from kryonix_cache.reference_impl.demand import history, logs
from kryonix_cache.reference_impl.optimiser.optimiser import Optimiser
from kryonix_cache.reference_impl.optimiser.undo import undo
from kryonix_cache.reference_impl.reachability import reach
from kryonix_cache.reference_impl.scan import count_keys, impact_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Report = Callable[[str, int, int | None], None]
    Loader = Callable[[str, str], object | None]

PARTIAL = 10
"""Exit code where a tenant could not be analysed, or a change could not be undone."""

CLIENT_NAME = "kryonix-cache:optimise"


@click.command()
@TARGET_URL
@TARGET_FILE
@click.option(
    "--tenant", "tenants", metavar="T", multiple=True, help="This tenant only; may be repeated."
)
@click.option("--dry-run", is_flag=True, help="Analyse and say what would be changed.")
@click.option("--json", "as_json", is_flag=True, help="The whole report as JSON.")
@click.option("--undo", "run", metavar="RUN", help="Put back what this run changed.")
@click.option(
    "--loader",
    metavar="MODULE:FUNCTION",
    help="A function of tenant and item that returns the item's real value, or None.",
)
@click.option(
    "--access-log",
    type=click.Path(path_type=Path),
    help="A CSV or JSONL file of reads to learn from first.",
)
@CONTRACT
@MAX_IMPACT
@click.option("--quiet", is_flag=True, help="No progress bar.")
def optimise(
    *,
    target: str | None,
    target_file: Path | None,
    tenants: tuple[str, ...],
    dry_run: bool,
    as_json: bool,
    run: str | None,
    loader: str | None,
    access_log: Path | None,
    contract: Path | None,
    max_impact: str,
    quiet: bool,
) -> int:
    """Analyse each tenant, and let what its users ask for live longer or be there beforehand.

    Only cached answers get longer times to live, never older than the contract allows; only real
    values are written. Every change is recorded, and --undo takes a run back. The exit code is 10
    if a tenant could not be analysed.
    """
    keyspace = load_contract(contract)
    share = impact_of(max_impact)
    if run is not None and (loader or access_log):
        raise click.UsageError("--undo only takes back: leave --loader and --access-log away.")
    if dry_run and access_log:
        raise click.UsageError("--access-log writes what it learns, which --dry-run must not.")
    function = _loader(loader)
    endpoint = _endpoint(target, target_file, keyspace)
    at = datetime.now(UTC)
    policy = DeclaredWrites(keyspace, OPTIMISING)
    with Pools(endpoint, policy=policy, name=CLIENT_NAME) as pools:
        if run is not None:
            undone = undo(keyspace, pools, run, at=at, tenants=tenants or None, dry_run=dry_run)
            text = undo_text(undone, endpoint.address, dry_run=dry_run)
            click.echo(undo_json(undone) if as_json else text)
            return PARTIAL if undone.skipped else 0
        if access_log is not None:
            _learn(pools, keyspace, access_log, at)
        with _progress(pools, keyspace, quiet=quiet or as_json) as progress:
            report = Optimiser(
                keyspace, pools, loader=function, progress=progress, max_impact=share
            ).optimise(at=at, tenants=tenants or None, dry_run=dry_run)
    click.echo(report_json(report) if as_json else report_text(report, endpoint.address))
    analysed = all(each.analysis is not None for each in report.tenants.values())
    return 0 if analysed else PARTIAL


def _learn(pools: Pools, contract: Contract, path: Path, at: datetime) -> None:
    log = logs.AccessLog(contract, path)
    problems = history.learn(pools, contract, log, at)
    for problem in (*log.problems, *problems):
        click.echo(f"{problem.where}: {problem.what}", err=True)


def _loader(reference: str | None) -> Loader | None:
    if reference is None:
        return None
    found: Loader = import_callable(reference, "loader", "function", LoaderUnusableError)
    return found


def _endpoint(target: str | None, target_file: Path | None, contract: Contract) -> Endpoint:
    spec = TargetSpec.resolve(target, target_file=target_file)
    if spec.endpoint is None:
        raise click.UsageError(
            f"Optimising needs a server that stays, and {spec.kind} (from {spec.origin}) is one "
            "that the suite starts and stops; give --target redis://host:6379."
        )
    # The last database shows whether the server has them all.
    reach(replace(spec.endpoint, database=max(each.number for each in contract.databases)))
    return spec.endpoint


@contextmanager
def _progress(pools: Pools, contract: Contract, *, quiet: bool) -> Iterator[Report | None]:
    """Show a bar for the keys and one for the tenants, where somebody looks."""
    console = Console(stderr=True)
    if quiet or not console.is_terminal:
        yield None
        return
    keys = sum(count_keys(pools, [each.number for each in contract.databases]).values())
    columns = (
        TextColumn("{task.description:9}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bars:
        tasks = {"keys": bars.add_task("keys", total=keys)}

        def advance(stage: str, done: int, total: int | None) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage, total=total)
            bars.advance(tasks[stage], done)

        yield advance
