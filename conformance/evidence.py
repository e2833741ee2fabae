# SPDX-License-Identifier: Apache-2.0
"""Evidence: what one conformance test saw and found, as its check in the run record holds it."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NoReturn, ParamSpec, TypeVar

import pytest
import redis.exceptions

from kryonix_cache.conformance.outcomes import (
    Inconclusive,
    NotApplicable,
    NotOffered,
    RequirementNotMetError,
    SystemRaisedError,
)
from kryonix_cache.reports.lines import EVIDENCE_LIMIT, Finding, Outcome

if TYPE_CHECKING:
    from collections.abc import Callable

    from kryonix_cache.conformance.judging.judgement import Judgement

P = ParamSpec("P")
T = TypeVar("T")


class Evidence:
    """Collects the witnesses and findings of one test.

    `saw` counts what was really looked at: without it a pass means nothing, and the verdict
    makes it inconclusive. `ran_on` is "target" or "bench"; `note` is what a reader must know
    to weigh a pass. `snippet` is a program that shows what was found; it is written beside the
    record of the run.
    """

    def __init__(self) -> None:
        self.observations: Counter[str] = Counter()
        self.findings: list[Finding] = []
        self.total = 0
        self.ran_on = "target"
        self.note = ""
        self.snippet = ""
        self._failed: tuple[tuple[Finding, ...], int] = ((), 0)
        self._shown_before = ""

    def saw(self, what: str, count: int = 1) -> None:
        """Count `count` more observations of `what`."""
        self.observations[what] += count

    def start_over(self) -> None:
        """Forget the findings, for a generated example that is played after another one.

        What remains at the end is then what the last, smallest example found.
        """
        self.findings.clear()
        self.total = 0
        self._shown_before = self.snippet or self._shown_before
        self.snippet = ""

    def shown(self) -> tuple[tuple[Finding, ...], int]:
        """Return the findings and their number.

        A fault that comes and goes leaves none when its example is played again: then those of
        the last example that failed are returned.
        """
        return (tuple(self.findings), self.total) if self.total else self._failed

    def shown_snippet(self) -> str:
        """Return the program that shows the findings, by the same rule; empty for none."""
        return self.snippet or self._shown_before

    def found(
        self,
        where: str,
        *,
        found: object,
        wanted: object,
        erratum: str | None = None,
        remedy: str | None = None,
    ) -> None:
        """Add a finding; `settle` turns findings into the failure."""
        self.total += 1
        if len(self.findings) < EVIDENCE_LIMIT:
            finding = Finding(
                where=where, found=str(found), wanted=str(wanted), erratum=erratum, remedy=remedy
            )
            self.findings.append(finding)

    def settle(self) -> None:
        """Raise RequirementNotMetError if anything was found."""
        __tracebackhide__ = True
        if self.total:
            self._fail(f"{self.total} finding{'s' if self.total != 1 else ''}")

    def judge(self, judgement: Judgement) -> None:
        """Take over a judge's judgement: return for a pass, raise for everything else."""
        __tracebackhide__ = True
        self.observations.update(judgement.observations)
        self.findings += judgement.findings
        self.total += judgement.total
        match judgement.outcome:
            case Outcome.PASS:
                self.note = judgement.reason
            case Outcome.SKIPPED:
                pytest.skip(judgement.reason)
            case Outcome.FAIL:
                self._fail(judgement.reason)
            case Outcome.INCONCLUSIVE:
                raise Inconclusive(judgement.reason)
            case Outcome.NOT_APPLICABLE:
                raise NotApplicable(judgement.reason)
            case Outcome.NOT_OFFERED:
                raise NotOffered(judgement.reason)
            case _:
                raise ValueError(judgement.outcome)

    def _fail(self, reason: str) -> NoReturn:
        __tracebackhide__ = True
        lines = [
            f"{each.where}: found {each.found}, wanted {each.wanted}"
            + (f" ({each.erratum})" if each.erratum else "")
            for each in self.findings
        ]
        self._failed = (tuple(self.findings), self.total)
        raise RequirementNotMetError(reason, lines)


def answer_of(what: str, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Return what the system under test answers to `call`.

    An exception of the system is a failure of the system, and so is a command of it that the
    guard refused. A lost connection stays what it is, for it says nothing about the system.
    """
    try:
        return call(*args, **kwargs)
    except (redis.exceptions.ConnectionError, redis.exceptions.TimeoutError):
        raise
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        # SystemExit and pytest's outcomes are no Exceptions: a system could skip its way past.
        raise SystemRaisedError(f"{what} raised {type(error).__name__}: {error}") from error
