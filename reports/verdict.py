# SPDX-License-Identifier: Apache-2.0
"""
From checks to results, from results to a verdict, from a verdict to an exit code.

Everything here is a pure function of the record, so whoever holds a record can repeat the
judgement; `kryonix-cache verify` does.
"""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import groupby

from kryonix_cache.reports.errors import RecordInconsistentError
from kryonix_cache.reports.lines import (
    EVIDENCE_LIMIT,
    Check,
    Finding,
    Outcome,
    Requirement,
    Result,
    Verdict,
    Waiver,
)

WORST_FIRST = (
    Outcome.ERROR,
    Outcome.FAIL,
    Outcome.INCONCLUSIVE,
    Outcome.SKIPPED,
    Outcome.NOT_OFFERED,
    Outcome.PASS,
    Outcome.NOT_APPLICABLE,
)
"""
How several checks of one requirement combine. No check is waived: waivers act on results.

An error comes first: a failure can be waived or may not gate, and must not hide that the suite
stumbled, or that the run did harm.
"""

WAIVABLE = frozenset(
    {Outcome.FAIL, Outcome.INCONCLUSIVE, Outcome.SKIPPED, Outcome.NOT_OFFERED},
)
INCOMPLETE = frozenset({Outcome.SKIPPED, Outcome.WAIVED, Outcome.NOT_OFFERED})
JUDGED = frozenset(
    {Outcome.PASS, Outcome.FAIL, Outcome.ERROR, Outcome.INCONCLUSIVE, Outcome.WAIVED},
)

EXIT_CODES: Mapping[Verdict, int] = {
    Verdict.CONFORMANT: 0,
    Verdict.NON_CONFORMANT: 1,
    Verdict.NOTHING_RAN: 5,
    Verdict.PARTIAL: 10,
    Verdict.INCONCLUSIVE: 11,
    Verdict.ERROR: 12,
}


def judge(
    requirements: Sequence[Requirement],
    checks: Sequence[Check],
    waivers: Sequence[Waiver],
) -> tuple[Result, ...]:
    """
    Return one result for each requirement in scope, in the order of the registry.

    Raises RecordInconsistentError for a check of a requirement that is unknown or out of
    scope: dropping it could drop a failure.
    """
    by_requirement: dict[str, list[Check]] = {r.id: [] for r in requirements if r.in_scope}
    for check in checks:
        if check.requirement not in by_requirement:
            raise RecordInconsistentError(
                f"the test {check.test} ran for {check.requirement}, which is not in scope"
            )
        by_requirement[check.requirement].append(check)
    waiver_of = {waiver.requirement: waiver for waiver in waivers}
    return tuple(
        _result(requirement, by_requirement[requirement.id], waiver_of.get(requirement.id))
        for requirement in requirements
        if requirement.in_scope
    )


def verdict_of(results: Collection[Result]) -> Verdict:
    """Return the verdict; an error of any level counts, everything else only where it gates."""
    if not any(result.outcome in JUDGED for result in results):
        return Verdict.NOTHING_RAN
    gating = {result.outcome for result in results if result.gating}
    if Outcome.FAIL in gating:
        return Verdict.NON_CONFORMANT
    if any(result.outcome is Outcome.ERROR for result in results):
        return Verdict.ERROR
    if Outcome.INCONCLUSIVE in gating:
        return Verdict.INCONCLUSIVE
    return Verdict.PARTIAL if gating & INCOMPLETE else Verdict.CONFORMANT


def exit_code(verdict: Verdict, accept: Collection[str]) -> int:
    """Return the exit code; `accept` can turn `partial` into 0, and no other verdict."""
    return 0 if is_accepted(verdict, accept) else EXIT_CODES[verdict]


def is_accepted(verdict: Verdict, accept: Collection[str]) -> bool:
    """Tell whether the run was told to live with this verdict."""
    return verdict is Verdict.PARTIAL and Verdict.PARTIAL in accept


def count_outcomes(results: Iterable[Result]) -> dict[str, int]:
    """Return how many results each outcome has, zeros included."""
    counts = {outcome.value: 0 for outcome in Outcome}
    for result in results:
        counts[result.outcome] += 1
    return counts


def _result(requirement: Requirement, checks: Sequence[Check], waiver: Waiver | None) -> Result:
    ordered = sorted(checks, key=lambda check: WORST_FIRST.index(check.outcome))
    observations = _sum_observations(checks)
    operations = sum(check.operations for check in checks)
    outcome, reason = _combined(ordered)
    if outcome is Outcome.PASS:
        outcome, reason = _witnessed(requirement, operations, observations, reason)
    if waiver is not None:
        outcome, reason = _waived(waiver, outcome, reason)
    return Result(
        requirement=requirement.id,
        area=requirement.area,
        level=requirement.level,
        gating=requirement.gating,
        outcome=outcome,
        reason=reason,
        seconds=math.fsum(check.seconds for check in checks),
        operations=operations,
        observations=observations,
        ran_on=_ran_on(checks),
        evidence=_shared_out(ordered),
        evidence_total=sum(check.evidence_total for check in checks),
        reproduce=ordered[0].reproduce if ordered else "",
        waiver=waiver,
    )


def _shared_out(ordered: Sequence[Check]) -> tuple[Finding, ...]:
    """Return the findings of the worst checks first; checks of one outcome share what room is left.

    What one test found over and over does not crowd out what another found once.
    """
    room, shown = EVIDENCE_LIMIT, list[Finding]()
    for _, alike in groupby(ordered, key=lambda check: check.outcome):
        checks = list(alike)
        shares = _shares([len(check.evidence) for check in checks], room)
        for check, share in zip(checks, shares, strict=True):
            shown += check.evidence[:share]
        room -= sum(shares)
    return tuple(shown)


def _shares(wanted: Sequence[int], room: int) -> list[int]:
    """Return how much each gets where they take turns, until all have theirs or no room is left."""
    shares = [0] * len(wanted)
    while room and shares != list(wanted):
        for number, most in enumerate(wanted):
            if room and shares[number] < most:
                shares[number] += 1
                room -= 1
    return shares


def _combined(ordered: Sequence[Check]) -> tuple[Outcome, str]:
    if not ordered:
        return Outcome.ERROR, "no test ran for it"
    worst = ordered[0].outcome
    reasons = dict.fromkeys(c.reason for c in ordered if c.outcome is worst and c.reason)
    return worst, "; ".join(reasons)


def _witnessed(
    requirement: Requirement, operations: int, observations: Mapping[str, int], reason: str
) -> tuple[Outcome, str]:
    """Demote a pass that too little stands behind."""
    seen = {**observations, "commands": operations}
    missing = [
        f"{seen.get(name, 0)} of at least {least} {name}"
        for name, least in requirement.witness.items()
        if seen.get(name, 0) < least
    ]
    if not missing:
        return Outcome.PASS, reason
    return Outcome.INCONCLUSIVE, f"no fault was found, but it saw only {', '.join(missing)}"


def _waived(waiver: Waiver, outcome: Outcome, reason: str) -> tuple[Outcome, str]:
    if outcome in {Outcome.PASS, Outcome.NOT_APPLICABLE}:
        return Outcome.FAIL, f"the waiver is not needed ({outcome}): remove it"
    if outcome not in WAIVABLE:
        return outcome, reason
    said = f"{outcome} waived by {waiver.owner} until {waiver.expires}: {waiver.reason}"
    return Outcome.WAIVED, f"{said} ({reason})" if reason else said


def _sum_observations(checks: Iterable[Check]) -> dict[str, int]:
    total: dict[str, int] = {}
    for check in checks:
        for name, number in check.observations.items():
            total[name] = total.get(name, 0) + number
    return total


def _ran_on(checks: Iterable[Check]) -> str:
    places = {check.ran_on for check in checks}
    if not places:
        return "none"
    return places.pop() if len(places) == 1 else "both"
