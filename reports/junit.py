# SPDX-License-Identifier: Apache-2.0
"""
JUnit XML for continuous integration.

It is red (holds a failure or an error) exactly when the exit code is not 0, because many
pipelines read nothing else. A gating fail is a failure; an error, and a gating inconclusive, is an
error; whatever else is not a pass is skipped with its reason, fails that do not gate included.
Since a partial run has nothing but skipped cases, one more case, `run`/`verdict`, carries the
verdict itself.
"""

from junitparser import Error, Failure, JUnitXml, Skipped, TestCase, TestSuite

from kryonix_cache.reports.lines import Outcome, Result, Verdict
from kryonix_cache.reports.record import Record
from kryonix_cache.reports.summary import (
    counts_words,
    gist_of,
    meaning_of,
    scope_words,
    verdict_words,
)

_BROKEN = frozenset({Verdict.ERROR, Verdict.INCONCLUSIVE, Verdict.NOTHING_RAN})


def render_junit(record: Record) -> bytes:
    """Return the record as JUnit XML: one case for each requirement in scope, and the verdict."""
    header = record.header
    suite = TestSuite(f"kryonix-cache {header.command}")
    suite.timestamp = header.started
    for name, value in _properties(record).items():
        suite.add_property(name, value)
    suite.add_testcases([*map(_case, record.results), _verdict_case(record)])
    document = JUnitXml("kryonix-cache")
    document.add_testsuite(suite)
    rendered: bytes = document.tostring()  # type: ignore[no-untyped-call]
    return rendered


def _properties(record: Record) -> dict[str, str]:
    header = record.header
    return {
        "verdict": record.verdict.value,
        "exit_code": str(record.footer.exit_code),
        "accepted": ",".join(header.accept),
        "profile": header.profile,
        "run": header.run,
        "target": header.target.address,
        "server": f"{header.target.product} {header.target.version}",
        "suite": header.suite.version,
        "contract": f"{header.contract.name} {header.contract.version} {header.contract.sha256}",
        "seed": str(header.seed),
        "depth": header.depth,
    }


def _case(result: Result) -> TestCase:
    case = TestCase(result.requirement, classname=result.area, time=round(result.seconds, 6))
    label = f"{result.outcome} ({result.level}{'' if result.gating else ', does not gate'})"
    message = f"{label}: {gist_of(result)}"
    if result.outcome is not Outcome.PASS:
        case.result = [_kind(result)(message, result.level)]
    for entry in case.result:
        entry.text = _details(result)
    return case


def _kind(result: Result) -> type[Failure | Error | Skipped]:
    if result.outcome is Outcome.ERROR:
        return Error
    if result.gating and result.outcome is Outcome.FAIL:
        return Failure
    if result.gating and result.outcome is Outcome.INCONCLUSIVE:
        return Error
    return Skipped


def _verdict_case(record: Record) -> TestCase:
    case = TestCase("verdict", classname="run", time=round(record.footer.seconds, 6))
    code = record.footer.exit_code
    message = (
        f"{verdict_words(record)}, exit code {code}, over {scope_words(record)}: "
        f"{counts_words(record.footer.counts)}"
    )
    if code != 0:
        kind = Error if record.verdict in _BROKEN else Failure
        case.result = [kind(message, record.verdict.value)]
    elif record.verdict is not Verdict.CONFORMANT:
        case.result = [Skipped(message, record.verdict.value)]
    case.system_out = f"{message}\n{meaning_of(record)}"
    return case


def _details(result: Result) -> str:
    lines = [result.reason] if result.reason else []
    for finding in result.evidence:
        lines += [finding.where, f"  found:  {finding.found}", f"  wanted: {finding.wanted}"]
        if finding.remedy:
            lines.append(f"  remedy: {finding.remedy}")
        if finding.erratum:
            lines.append(f"  erratum: {finding.erratum}")
    hidden = result.evidence_total - len(result.evidence)
    if hidden > 0:
        lines.append(f"and {hidden} more")
    if result.reproduce:
        lines.append(f"reproduce: {result.reproduce}")
    return "\n".join(lines)
