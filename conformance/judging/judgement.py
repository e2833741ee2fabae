# SPDX-License-Identifier: Apache-2.0
"""A judgement: what one check says of one requirement, with the evidence for it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kryonix_cache.reports.lines import EVIDENCE_LIMIT, Finding, Outcome

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


@dataclass(frozen=True, slots=True)
class Judgement:
    """What one check says of `requirement`.

    `findings` holds at most EVIDENCE_LIMIT examples, `total` counts them all; `observations`
    are the witnesses: how many keys, fields, directives were really looked at.
    """

    requirement: str
    outcome: Outcome
    reason: str
    findings: tuple[Finding, ...] = ()
    total: int = 0
    observations: Mapping[str, int] = field(default_factory=dict)


def judged(
    requirement: str,
    findings: Iterable[Finding],
    observations: Mapping[str, int],
    *,
    total: int | None = None,
) -> Judgement:
    """Return a pass where nothing was found, and a failure that counts what was."""
    found = tuple(findings)
    count = len(found) if total is None else total
    outcome = Outcome.FAIL if count else Outcome.PASS
    reason = f"{count} finding{'s' if count != 1 else ''}" if count else ""
    return Judgement(
        requirement, outcome, reason, found[:EVIDENCE_LIMIT], count, dict(observations)
    )


def not_applicable(requirement: str, reason: str) -> Judgement:
    """Return the judgement that the requirement's condition does not hold."""
    return Judgement(requirement, Outcome.NOT_APPLICABLE, reason)


def inconclusive(requirement: str, reason: str, observations: Mapping[str, int]) -> Judgement:
    """Return the judgement that what would be needed to judge could not be seen."""
    return Judgement(requirement, Outcome.INCONCLUSIVE, reason, observations=dict(observations))
