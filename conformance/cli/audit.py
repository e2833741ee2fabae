# SPDX-License-Identifier: Apache-2.0
"""`kryonix-cache audit`: live data and configuration, judged by reading, in one pass."""

from __future__ import annotations

import json
import re
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from kryonix_cache.conformance.errors import UsageError
from kryonix_cache.conformance.judging.judges import server_judges
from kryonix_cache.conformance.judging.keyspace import WITNESSES, audit_keyspace
from kryonix_cache.conformance.judging.server_facts import collect
from kryonix_cache.conformance.run import RunRequest, plan_run
from kryonix_cache.conformance.stamps import header_of, now
from kryonix_cache.fixtures.journal import Journal
from kryonix_cache.fixtures.powers import Power, PowerGuard
from kryonix_cache.fixtures.targets.bench import Bench
from kryonix_cache.fixtures.targets.specification import TargetSpec
from kryonix_cache.fixtures.targets.target import open_target
from kryonix_cache.reference_impl.scan import impact_of
from kryonix_cache.reports.lines import Check, Footprint, RefusedCommand, to_json
from kryonix_cache.reports.record import RECORD_NAME, RecordWriter
from kryonix_cache.reports.redaction import Redactor
from kryonix_cache.reports.rendering import write_reports
from kryonix_cache.reports.terminal import render_terminal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from kryonix_cache.conformance.judging.judgement import Judgement
    from kryonix_cache.conformance.judging.sampling import Reading
    from kryonix_cache.conformance.judging.server_facts import DeploymentFacts
    from kryonix_cache.conformance.run import RunPlan
    from kryonix_cache.fixtures.targets.target import Target
    from kryonix_cache.reference_impl.connection import Pools
    from kryonix_cache.reports.record import Record

DEFAULT_PROFILE = "production"
_DATABASE = re.compile(r"db([0-9]+)")


@click.command()
@click.option("--target", metavar="URL", help="The server; default KRYONIX_TARGET.")
@click.option(
    "--target-file",
    type=click.Path(path_type=Path),
    help="TOML file with url, username, password, ca_file, cert_file, key_file.",
)
@click.option(
    "--profile",
    default=DEFAULT_PROFILE,
    show_default=True,
    help="ci, staging, production or hardened.",
)
@click.option("--contract", type=click.Path(path_type=Path), help="A contract file of your own.")
@click.option(
    "--select", "select", metavar="ID,...", multiple=True, help="These requirements or areas only."
)
@click.option(
    "--fields",
    type=click.Choice(["all", "sample", "none"]),
    default="sample",
    show_default=True,
    help="Whose values to read; reading touches access clocks on servers without NO-TOUCH.",
)
@click.option(
    "--max-impact",
    default="high",
    show_default=True,
    metavar="SHARE",
    help="low, medium, high, or the share of time in which the server may be busy.",
)
@click.option(
    "--config-file",
    type=click.Path(path_type=Path),
    help="The server's configuration file, to compare with what runs.",
)
@click.option("--allow-replica", is_flag=True, help="Accept a target that is a replica.")
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
    impact = impact_of(max_impact)
    spec = TargetSpec.resolve(target, target_file=target_file)
    if spec.endpoint is None:
        raise UsageError(
            f"An audit needs a server that holds data, and {spec.kind} (from {spec.origin}) is one "
            "that the suite would start empty: give --target redis://host:6379."
        )
    with _folder(out) as folder:
        plan = _plan(
            RunRequest(
                target_file=target_file,
                profile=profile,
                contract=contract,
                system="none",
                select=tuple(part.strip() for value in select for part in value.split(",")),
                config_file=config_file,
                replica_allowed=allow_replica,
                out=folder,
            )
        )
        record = _audited(plan, spec, cast("Reading", fields), impact)
        if out is not None:
            write_reports(plan.folder / RECORD_NAME, plan.folder)
        _show(record, plan.folder if out is not None else None, as_json=as_json)
    return record.footer.exit_code


@dataclass(frozen=True, slots=True)
class _Part:
    """Some judgements that came from one look at the target, and what that look cost."""

    judgements: Mapping[str, Judgement]
    seconds: float
    operations: int


def _plan(request: RunRequest) -> RunPlan:
    """Plan the audit; what it cannot judge is refused, not left out in silence."""
    plan = plan_run(request)
    decided = {*server_judges(plan.contract), *WITNESSES}
    foreign = [each for each in plan.selection if each not in decided]
    if foreign and not all(_is_of_area(each, request.select) for each in foreign):
        raise UsageError(
            f"An audit does not judge {', '.join(foreign)}, which needs more than reading: "
            "use `kryonix-cache conformance`."
        )
    scope = tuple(each for each in plan.scope if each in decided)
    if not scope:
        raise UsageError("An audit judges nothing of what --select names.")
    return replace(plan, scope=scope)


def _is_of_area(requirement: str, select: Sequence[str]) -> bool:
    return requirement.partition(".")[0] in select


def _audited(plan: RunPlan, spec: TargetSpec, reading: Reading, impact: float) -> Record:
    started = time.monotonic()
    journal = Journal()
    guard = PowerGuard(Power.OBSERVE, journal)
    allowed = plan.request.replica_allowed
    with open_target(spec, policy=guard, replica_allowed=allowed) as target:
        redactor = Redactor(target.secrets)
        name = f"kryonix:{plan.request.run}:audit"
        with (
            target.pools(policy=guard, name=name) as pools,
            RecordWriter(plan.folder / RECORD_NAME, redactor) as writer,
        ):
            facts = _facts(plan, target, pools, guard)
            databases = _databases(plan, facts)
            writer.header(
                header_of(plan, target, Bench(target), command="audit", databases=len(databases))
            )
            parts = [
                _server_part(plan, facts),
                _keyspace_part(
                    plan, pools, databases, reading=reading, impact=impact, journal=journal
                ),
            ]
            for part in parts:
                for requirement in plan.scope:
                    if requirement in part.judgements:
                        writer.check(_check(part, requirement, plan, target))
            return writer.finish(
                finished=now(),
                seconds=round(time.monotonic() - started, 3),
                footprint=_footprint(journal),
            )


def _facts(plan: RunPlan, target: Target, pools: Pools, guard: PowerGuard) -> DeploymentFacts:
    return collect(
        pools[target.endpoint.database],
        target.endpoint,
        config_file=plan.request.config_file,
        replica_allowed=plan.request.replica_allowed,
        policy=guard,
    )


def _databases(plan: RunPlan, facts: DeploymentFacts) -> list[int]:
    """Return the databases to read: the contract's that are there, and others with keys."""
    numbers = {database.number for database in plan.contract.databases}
    there = facts.directives.get("databases", "")
    if there.isdigit():
        numbers = {number for number in numbers if number < int(there)}
    in_use = {int(match[1]) for name in facts.info if (match := _DATABASE.fullmatch(name))}
    return sorted(numbers | in_use)


def _server_part(plan: RunPlan, facts: DeploymentFacts) -> _Part:
    started = time.monotonic()
    judgements = {
        requirement: judge(facts, plan.contract, plan.profile)
        for requirement, judge in server_judges(plan.contract).items()
        if requirement in plan.scope
    }
    return _Part(judgements, time.monotonic() - started, facts.commands)


def _keyspace_part(
    plan: RunPlan,
    pools: Pools,
    databases: list[int],
    *,
    reading: Reading,
    impact: float,
    journal: Journal,
) -> _Part:
    if not WITNESSES.keys() & set(plan.scope):
        return _Part({}, 0, 0)
    started, mark = time.monotonic(), journal.mark()
    with _progress() as progress:
        found = audit_keyspace(
            pools,
            plan.contract,
            reading=reading,
            max_impact=impact,
            databases=databases,
            progress=progress,
        )
    seconds = time.monotonic() - started
    return _Part(found.judgements, seconds, journal.since(mark).commands)


def _check(part: _Part, requirement: str, plan: RunPlan, target: Target) -> Check:
    judgement = part.judgements[requirement]
    return Check(
        requirement=requirement,
        test="audit",
        outcome=judgement.outcome,
        reason=judgement.reason,
        seconds=round(part.seconds, 6),
        operations=part.operations,
        observations=judgement.observations,
        evidence=judgement.findings,
        evidence_total=judgement.total,
        reproduce=f"kryonix-cache audit --target {target.address} "
        f"--profile {plan.profile.name} --select {requirement}",
    )


def _footprint(journal: Journal) -> Footprint:
    sent = journal.total()
    return Footprint(
        commands=sent.commands,
        foreign_keys_written=sent.foreign_keys_written,
        keys_created=sent.keys_written,
        keys_removed=sent.keys_removed,
        keys_left=sent.keys_left,
        values_read=sent.values_read,
        refused=tuple(
            RefusedCommand(command=each.command, reason=each.reason) for each in sent.refusals
        ),
        note="an audit only reads, so the keys were not looked at twice",
    )


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
