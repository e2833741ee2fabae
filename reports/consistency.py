# SPDX-License-Identifier: Apache-2.0
"""What must agree inside a record beyond the form of its lines."""

from collections import Counter
from collections.abc import Iterable, Sequence

from kryonix_cache.reports.errors import RecordInconsistentError
from kryonix_cache.reports.lines import Check, Footer, Header, Result
from kryonix_cache.reports.verdict import count_outcomes, exit_code, judge, verdict_of


def check_header(header: Header) -> None:
    """Raise RecordInconsistentError where the header contradicts itself."""
    requirements = header.registry.requirements
    _refuse_twice("the registry names", (requirement.id for requirement in requirements))
    _refuse_twice("the waivers name", (waiver.requirement for waiver in header.waivers))
    for requirement in requirements:
        if requirement.gating != (requirement.level in header.gate):
            raise RecordInconsistentError(
                f"{requirement.id} is {requirement.level} and the gate is "
                f"{', '.join(header.gate) or 'empty'}, yet gating is {requirement.gating}"
            )
    known = {requirement.id for requirement in requirements}
    for waiver in header.waivers:
        if waiver.requirement not in known:
            raise RecordInconsistentError(f"{waiver.requirement} is waived and not in the registry")
        if waiver.expires < header.started[: len(waiver.expires)]:
            raise RecordInconsistentError(
                f"the waiver of {waiver.requirement} expired on {waiver.expires}, before the run"
            )


def check_evidence(check: Check) -> None:
    """Raise RecordInconsistentError where a check counts less evidence than it shows."""
    if check.evidence_total < len(check.evidence):
        raise RecordInconsistentError(
            f"{check.test} shows {len(check.evidence)} findings and counts {check.evidence_total}"
        )


def check_conclusion(
    header: Header, checks: Sequence[Check], results: Sequence[Result], footer: Footer
) -> None:
    """Judge again; raise RecordInconsistentError where the record concludes something else."""
    derived = judge(header.registry.requirements, checks, header.waivers)
    if tuple(result.requirement for result in derived) != tuple(r.requirement for r in results):
        raise RecordInconsistentError("its results are not one for each requirement in scope")
    for expected, result in zip(derived, results, strict=True):
        if expected.outcome is not result.outcome:
            raise RecordInconsistentError(
                f"{result.requirement} says {result.outcome} where its checks say "
                f"{expected.outcome}"
            )
        if expected != result:
            raise RecordInconsistentError(
                f"the result of {result.requirement} holds something else than its checks"
            )
    _compare("counts", dict(footer.counts), count_outcomes(derived))
    verdict = verdict_of(derived)
    _compare("verdict", footer.verdict.value, verdict.value)
    _compare("exit code", footer.exit_code, exit_code(verdict, header.accept))


def _compare(what: str, said: object, derived: object) -> None:
    if said != derived:
        raise RecordInconsistentError(f"its {what} says {said} where its results say {derived}")


def _refuse_twice(who: str, names: Iterable[str]) -> None:
    twice = [name for name, times in Counter(names).items() if times > 1]
    if twice:
        raise RecordInconsistentError(f"{who} {', '.join(sorted(twice))} more than once")
