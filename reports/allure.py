# SPDX-License-Identifier: Apache-2.0
"""
Allure results, made from the record.

Tests carry no Allure decorators: labels come from the registry (epic = area, feature =
requirement, severity by level). Allure shows, it does not judge: fails that do not gate are
failed here too, and its own exit code means nothing to us.
"""

import json
import uuid
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from allure_commons.model2 import Label, Parameter, Status, StatusDetails, TestResult
from allure_commons.types import LabelType, Severity
from attr import asdict

from kryonix_cache.reports.lines import Finding, Outcome, Requirement, Result
from kryonix_cache.reports.record import Record
from kryonix_cache.reports.summary import gist_of, verdict_words

_STATUS: Mapping[Outcome, str] = {
    Outcome.PASS: Status.PASSED,
    Outcome.FAIL: Status.FAILED,
    Outcome.ERROR: Status.BROKEN,
    Outcome.INCONCLUSIVE: Status.UNKNOWN,
    Outcome.SKIPPED: Status.SKIPPED,
    Outcome.WAIVED: Status.SKIPPED,
    Outcome.NOT_OFFERED: Status.SKIPPED,
    Outcome.NOT_APPLICABLE: Status.SKIPPED,
}
_SEVERITY: Mapping[str, Severity] = {
    "MUST": Severity.CRITICAL,
    "SHOULD": Severity.NORMAL,
    "HAZARD": Severity.MINOR,
}
_CATEGORIES = (
    ("Not conformant", Status.FAILED, ".*"),
    ("Suite or target broke", Status.BROKEN, ".*"),
    ("Inconclusive", Status.UNKNOWN, ".*"),
    ("Waived", Status.SKIPPED, "waived.*"),
    ("Not offered by the implementation", Status.SKIPPED, "not-offered.*"),
    ("Not applicable", Status.SKIPPED, "not-applicable.*"),
    ("Skipped", Status.SKIPPED, "skipped.*"),
)


def render_allure(record: Record) -> dict[str, bytes]:
    """Return the files of an Allure results folder by name; the same record, the same bytes."""
    files = {
        "environment.properties": "".join(_environment(record)).encode("latin-1"),
        "categories.json": _json(
            [
                {"name": name, "matchedStatuses": [status], "messageRegex": f"(?s){regex}"}
                for name, status, regex in _CATEGORIES
            ]
        ),
    }
    start = int(datetime.fromisoformat(record.header.started).timestamp() * 1000)
    for result in record.results:
        stop = start + int(result.seconds * 1000)
        entry = _entry(record, result, start, stop)
        name = entry.file_pattern.format(prefix=entry.uuid)
        files[name] = _json(asdict(entry, filter=lambda _, value: bool(value) or value is False))
        start = stop
    return files


def _entry(record: Record, result: Result, start: int, stop: int) -> TestResult:
    requirement = record.requirements[result.requirement]
    identity = uuid.uuid5(uuid.NAMESPACE_URL, f"{record.header.run}/{result.requirement}")
    return TestResult(
        uuid=str(identity),
        # History joins runs of one requirement against one target and profile.
        historyId=str(
            uuid.uuid5(
                uuid.NAMESPACE_URL,
                f"{record.header.target.address}/{record.header.profile}/{result.requirement}",
            )
        ),
        testCaseId=result.requirement,
        fullName=result.requirement,
        name=f"{result.requirement}: {requirement.statement}",
        description=requirement.statement,
        status=_STATUS[result.outcome],
        statusDetails=StatusDetails(
            message=f"{result.outcome}: {gist_of(result)}", trace="\n".join(_trace(result))
        ),
        stage="finished",
        labels=list(_labels(requirement)),
        parameters=[Parameter(name="ran on", value=result.ran_on)],
        start=start,
        stop=stop,
    )


def _labels(requirement: Requirement) -> Iterator[Label]:
    yield Label(name=LabelType.EPIC, value=requirement.area)
    yield Label(name=LabelType.FEATURE, value=requirement.id)
    yield Label(name=LabelType.SEVERITY, value=_SEVERITY[requirement.level].value)
    yield Label(name=LabelType.PARENT_SUITE, value="kryonix-cache")
    yield Label(name=LabelType.SUITE, value=requirement.area)
    yield Label(name="requirement", value=requirement.id)
    yield Label(name="level", value=requirement.level)
    for erratum in requirement.errata:
        yield Label(name=LabelType.TAG, value=erratum)


def _trace(result: Result) -> Iterator[str]:
    for finding in result.evidence:
        yield from _finding(finding)
    hidden = result.evidence_total - len(result.evidence)
    if hidden > 0:
        yield f"and {hidden} more"
    if result.reproduce:
        yield f"reproduce: {result.reproduce}"


def _finding(finding: Finding) -> Iterator[str]:
    yield finding.where
    yield f"  found:  {finding.found}"
    yield f"  wanted: {finding.wanted}"
    if finding.remedy:
        yield f"  remedy: {finding.remedy}"


def _environment(record: Record) -> Iterator[str]:
    header = record.header
    properties = {
        "Verdict": verdict_words(record),
        "Profile": header.profile,
        "Run": header.run,
        "Target": header.target.address,
        "Server": f"{header.target.product} {header.target.version}",
        "Suite": header.suite.version,
        "Contract": f"{header.contract.name} {header.contract.version}",
        "Seed": str(header.seed),
        "Depth": header.depth,
    }
    for name, value in properties.items():
        yield f"{name}={_property(value)}\n"


def _property(value: str) -> str:
    """Escape by the rules of Java properties, which are Latin-1 files."""
    escaped = value.replace("\\", "\\\\").replace("\n", "\\n").replace("\t", "\\t")
    units = escaped.encode("utf-16-be")
    codes = (int.from_bytes(units[i : i + 2], "big") for i in range(0, len(units), 2))
    return "".join(chr(code) if code < 0x7F else f"\\u{code:04x}" for code in codes)  # noqa: PLR2004 - ASCII


def _json(document: Any) -> bytes:
    return json.dumps(document, indent=2, ensure_ascii=False).encode() + b"\n"
