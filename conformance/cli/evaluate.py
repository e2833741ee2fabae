# SPDX-License-Identifier: Apache-2.0
"""`kryonix-cache evaluate`: what preloading is worth, on replayed demand."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console

from kryonix_cache.conformance.cli.tables import print_rows
from kryonix_cache.conformance.cli.target_options import CONTRACT
from kryonix_cache.fixtures.targets.bench import Bench
from kryonix_cache.reference_impl.connection import Pools
from kryonix_cache.reference_impl.contract import load_contract
from kryonix_cache.reference_impl.demand.logs import AccessLog
from kryonix_cache.reference_impl.demand.series import SECONDS_OF_HOUR
from kryonix_cache.reference_impl.evaluation.arms import Setting
from kryonix_cache.reference_impl.evaluation.experiment import Evaluation, play_all
from kryonix_cache.reference_impl.evaluation.generator import (
    Population,
    generate,
    made_up_series,
)
from kryonix_cache.reference_impl.evaluation.plots import require_plots, write_plots
from kryonix_cache.reference_impl.evaluation.replay import replay
from kryonix_cache.reference_impl.evaluation.report import (
    replay_rows,
    rows,
    sentences,
    to_json,
)
from kryonix_cache.reference_impl.evaluation.series import read_series
from kryonix_cache.reference_impl.evaluation.workload import from_accesses

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from kryonix_cache.reference_impl.contract import Contract
    from kryonix_cache.reference_impl.contract.model import OptimiserRule
    from kryonix_cache.reference_impl.demand.logs import Access
    from kryonix_cache.reference_impl.evaluation.arms import Plan
    from kryonix_cache.reference_impl.evaluation.replay import Replayed
    from kryonix_cache.reference_impl.evaluation.workload import Workload

DISAGREES = 1
_FILE = click.Path(path_type=Path, dir_okay=False)
_SEEDS = (1, 2, 3)
_DAY_SECONDS = 86_400


@click.command()
@click.option(
    "--demand", type=_FILE, multiple=True, metavar="FILE", help="An hourly series: hour,requests."
)
@click.option("--log", type=_FILE, multiple=True, metavar="FILE", help="An access log.")
@click.option(
    "--ttl",
    type=click.IntRange(1, _DAY_SECONDS),
    default=SECONDS_OF_HOUR,
    show_default=True,
    help="Seconds that a cached or preloaded item lives.",
)
@click.option(
    "--budget",
    type=click.IntRange(1, 10_000),
    metavar="N",
    help="Preloads for each hour; default: what the contract allows the runs of an hour.",
)
@click.option(
    "--seed",
    "seeds",
    type=click.IntRange(0, 2**32 - 1),
    multiple=True,
    metavar="N",
    help="A number that made-up keys follow from; default 1, 2 and 3.",
)
@click.option(
    "--replay/--no-replay",
    "replayed",
    default=True,
    show_default=True,
    help="Check the simulator on a real server that the command starts.",
)
@CONTRACT
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON, nothing else.")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Folder for plots.")
def evaluate(
    *,
    demand: tuple[Path, ...],
    log: tuple[Path, ...],
    ttl: int,
    budget: int | None,
    seeds: tuple[int, ...],
    replayed: bool,
    contract: Path | None,
    as_json: bool,
    out: Path | None,
) -> int:
    """Measure what preloading saves on replayed demand, against no preload and an oracle.

    Requests of an hourly series are given made-up keys; those of an access log are taken as they
    are. With neither, made-up series are evaluated. The exit code is 1 where simulator and real
    server disagree.
    """
    keyspace = load_contract(contract)
    if out is not None:
        require_plots()
    rule = keyspace.optimiser
    if rule is None:
        raise click.UsageError("The contract has no section [optimiser]: add it, or leave it away.")
    setting = Setting(float(ttl), budget or hourly_budget(rule), rule.history_items)
    numbers = tuple(dict.fromkeys(seeds or _SEEDS))
    evaluation = _evaluate(
        _series(demand, log), _logs(log, keyspace), setting, numbers, replayed=replayed
    )
    if as_json:
        click.echo(json.dumps(to_json(evaluation), indent=2))
    else:
        _print(evaluation)
    if out is not None:
        _write(evaluation, out)
    return 0 if evaluation.agrees else DISAGREES


def hourly_budget(rule: OptimiserRule) -> int:
    """Return the preloads that the contract allows the runs of one hour."""
    return max(1, rule.preload_items * SECONDS_OF_HOUR // rule.interval_s)


def _evaluate(
    series: Sequence[Callable[[int], Workload]],
    logs: Sequence[Workload],
    setting: Setting,
    seeds: tuple[int, ...],
    *,
    replayed: bool,
) -> Evaluation:
    # Nothing of a log is drawn: without a series another seed would say the same.
    seeds = seeds if series else seeds[:1]
    subjects: list[Callable[[int], Workload]] = [
        *series,
        *(partial(_same, one) for one in logs),
    ]
    with Console(stderr=True).status("") as status:
        played, cases = play_all(
            subjects, seeds, setting, lambda text: status.update(f"Playing {text}")
        )
        status.update("Replaying on a real server")
        compared = _replay(cases, setting) if replayed else None
    return Evaluation(setting, seeds, played, compared)


def _same(workload: Workload, seed: int) -> Workload:
    del seed
    return workload


def _replay(
    cases: Sequence[tuple[Workload, Mapping[str, Plan]]], setting: Setting
) -> tuple[Replayed, ...]:
    with Bench() as bench, Pools(bench.server("evaluation").endpoint) as clients:
        return replay(cases, setting, clients)


def _series(demand: Sequence[Path], log: Sequence[Path]) -> list[Callable[[int], Workload]]:
    population = Population()
    if demand:
        return [partial(generate, read_series(path), population) for path in demand]
    if log:
        return []
    return [partial(_made_up, index, population) for index in range(len(made_up_series(0)))]


def _made_up(index: int, population: Population, seed: int) -> Workload:
    return generate(made_up_series(seed)[index], population, seed)


def _logs(paths: Sequence[Path], contract: Contract) -> list[Workload]:
    reads: dict[str, list[Access]] = {}
    for path in paths:
        log = AccessLog(contract, path)
        for access in log:
            reads.setdefault(access.tenant, []).append(access)
        for problem in log.problems:
            click.echo(f"Warning: {problem.where}: {problem.what}.", err=True)
    if paths and not reads:
        raise click.ClickException(
            f"No read is told of in {', '.join(map(str, paths))}: give an access log."
        )
    return [from_accesses(tenant, own) for tenant, own in sorted(reads.items())]


def _print(evaluation: Evaluation) -> None:
    print_rows(rows(evaluation))
    if evaluation.replayed:
        click.echo()
        print_rows(replay_rows(evaluation))
    click.echo()
    for sentence in sentences(evaluation):
        click.echo(sentence)


def _write(evaluation: Evaluation, out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
        written = out / "evaluation.json"
        written.write_text(json.dumps(to_json(evaluation), indent=2) + "\n", encoding="utf-8")
        files = [written, *write_plots(evaluation, out)]
    except OSError as error:
        raise click.ClickException(
            f"{out} cannot be written ({error.strerror}): give --out a writable folder."
        ) from None
    click.echo(f"Wrote {', '.join(path.name for path in files)} to {out}.", err=True)
