# SPDX-License-Identifier: Apache-2.0
"""The run of an audit: a server and its live data, judged by reading, in one pass."""

from __future__ import annotations

import re
import shlex
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

from kryonix_cache.conformance.errors import UsageError
from kryonix_cache.conformance.judging.judges import server_judges
from kryonix_cache.conformance.judging.keyspace import WITNESSES, audit_keyspace
from kryonix_cache.conformance.judging.server_facts import collect
from kryonix_cache.conformance.run import plan_run
from kryonix_cache.conformance.stamps import header_of, now
from kryonix_cache.fixtures.journal import Journal
from kryonix_cache.fixtures.powers import Power, PowerGuard
from kryonix_cache.fixtures.targets.bench import Bench
from kryonix_cache.fixtures.targets.target import open_target
from kryonix_cache.reference_impl.scan import impact_of
from kryonix_cache.reports.lines import Check, Footprint, RefusedCommand
from kryonix_cache.reports.record import RECORD_NAME, RecordWriter
from kryonix_cache.reports.redaction import Redactor

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from kryonix_cache.conformance.judging.judgement import Judgement
    from kryonix_cache.conformance.judging.server_facts import DeploymentFacts
    from kryonix_cache.conformance.run import RunPlan, RunRequest
    from kryonix_cache.fixtures.targets.specification import TargetSpec
    from kryonix_cache.fixtures.targets.target import Target
    from kryonix_cache.reference_impl.connection import Pools
    from kryonix_cache.reports.record import Record

Progress: TypeAlias = Callable[[int, int], None]
"""Called with the number of keys done and the number of all."""

_DATABASE = re.compile(r"db([0-9]+)")


@dataclass(frozen=True, slots=True)
class _Part:
    """Some judgements that came from one look at the target, and what that look cost."""

    judgements: Mapping[str, Judgement]
    seconds: float
    operations: int


def plan_audit(request: RunRequest) -> RunPlan:
    """Plan the audit; what it cannot judge is refused, not left out in silence.

    Raises:
        UsageError: `select` names what an audit does not judge.

    """
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


def run_audit(plan: RunPlan, spec: TargetSpec, *, progress: Progress | None = None) -> Record:
    """Judge what the plan asks for and write the record into the plan's folder.

    Raises:
        KryonixError: the server cannot be reached or read; one sentence says why.

    """
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
                _keyspace_part(plan, pools, databases, journal=journal, progress=progress),
            ]
            for part in parts:
                for requirement in plan.scope:
                    if requirement in part.judgements:
                        writer.check(_check(part, requirement, _command(plan, spec)))
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
    journal: Journal,
    progress: Progress | None,
) -> _Part:
    if not WITNESSES.keys() & set(plan.scope):
        return _Part({}, 0, 0)
    started, mark = time.monotonic(), journal.mark()
    found = audit_keyspace(
        pools,
        plan.contract,
        reading=plan.request.fields,
        max_impact=impact_of(plan.request.max_impact),
        databases=databases,
        progress=progress,
    )
    seconds = time.monotonic() - started
    return _Part(found.judgements, seconds, journal.since(mark).commands)


def _check(part: _Part, requirement: str, command: Sequence[str]) -> Check:
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
        reproduce=shlex.join([*command, "--select", requirement]),
    )


def _command(plan: RunPlan, spec: TargetSpec) -> list[str]:
    """Return the words of a command line that judges the same in the same way."""
    return ["kryonix-cache", "audit", *_options(plan, spec)]


def _options(plan: RunPlan, spec: TargetSpec) -> Iterator[str]:
    request = plan.request
    if request.target_file:
        yield from ("--target-file", str(request.target_file))
    if spec.endpoint is not None and not spec.from_file:
        yield from ("--target", spec.endpoint.address)
    yield from ("--profile", plan.profile.name)
    for option, path in (("--contract", request.contract), ("--config-file", request.config_file)):
        if path:
            yield from (option, str(path))
    if request.replica_allowed:
        yield "--allow-replica"
    if request.fields != "sample":
        yield from ("--fields", request.fields)


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
