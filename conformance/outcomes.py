# SPDX-License-Identifier: Apache-2.0
"""What a conformance test raises to say how it came out, other than by passing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import redis.exceptions
from _pytest.outcomes import Skipped

from kryonix_cache.fixtures.errors import FixtureError
from kryonix_cache.reference_impl.errors import TargetLostError
from kryonix_cache.reports.lines import Outcome

if TYPE_CHECKING:
    from collections.abc import Sequence


class RequirementNotMetError(AssertionError):
    """The requirement is not met; `details` are its findings, a line each."""

    def __init__(self, reason: str, details: Sequence[str] = ()) -> None:
        super().__init__("\n".join([reason, *details]))
        self.reason = reason


class Inconclusive(Skipped):
    """What would be needed to judge could not be seen."""


class NotApplicable(Skipped):
    """The requirement's condition does not hold; it counts neither way."""


class NotOffered(Skipped):
    """The system under test does not offer the capability."""


class SystemRaisedError(RequirementNotMetError):
    """The system under test raised where it should have answered."""


# Lost connections are no statement about the target's conformance: the run says "error".
TARGET_LOST = (redis.exceptions.ConnectionError, redis.exceptions.TimeoutError, TargetLostError)


def outcome_of(error: BaseException) -> tuple[Outcome, str]:
    """Return the outcome that `error` stands for, and its reason in one line.

    Only a failed assertion is a failure of the target; whatever else the suite trips over is
    an error of the suite or a lost target, and never hides as a failure or as a skip.
    """
    if isinstance(error, BaseExceptionGroup):
        return _outcome_of_group(error)
    text = error.reason if isinstance(error, RequirementNotMetError) else str(error)
    reason = " ".join(text.split()) or type(error).__name__
    if isinstance(error, TARGET_LOST):
        return Outcome.ERROR, f"the target was lost: {reason}"
    for kind, outcome in (
        (Inconclusive, Outcome.INCONCLUSIVE),
        (NotApplicable, Outcome.NOT_APPLICABLE),
        (NotOffered, Outcome.NOT_OFFERED),
        (Skipped, Outcome.SKIPPED),
        (AssertionError, Outcome.FAIL),
    ):
        if isinstance(error, kind):
            return outcome, reason
    if isinstance(error, FixtureError):
        return Outcome.ERROR, reason
    return Outcome.ERROR, f"{type(error).__name__}: {reason}"


def _outcome_of_group(group: BaseExceptionGroup) -> tuple[Outcome, str]:
    """Return the outcome of a generated test whose failures differ from play to play.

    A breach that comes and goes is still a breach, unless the target was lost meanwhile.
    """
    outcomes = [outcome_of(error) for error in group.exceptions]
    for outcome, reason in outcomes:
        if outcome is not Outcome.FAIL:
            return outcome, reason
    reason = outcomes[0][1]
    return Outcome.FAIL, f"{reason}; it did not show each time that the same steps were played"
