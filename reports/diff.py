# SPDX-License-Identifier: Apache-2.0
"""What changed between two runs: requirements, findings, and what was tested by what."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from kryonix_cache.reports.lines import Finding, Header, Json, Outcome, Result, to_json
from kryonix_cache.reports.record import Record
from kryonix_cache.reports.summary import verdict_words

_RANK: Mapping[Outcome, int] = {
    Outcome.PASS: 0,
    Outcome.NOT_APPLICABLE: 0,
    Outcome.NOT_OFFERED: 1,
    Outcome.SKIPPED: 1,
    Outcome.WAIVED: 1,
    Outcome.INCONCLUSIVE: 2,
    Outcome.ERROR: 3,
    Outcome.FAIL: 4,
}


class Trend(StrEnum):
    """Which way a requirement went."""

    WORSE = "worse"
    BETTER = "better"
    CHANGED = "changed"
    NEW = "new"
    GONE = "gone"


@dataclass(frozen=True, slots=True, kw_only=True)
class RequirementChange:
    """
    One requirement that differs; `before` or `after` is None where it was not judged.

    `gating` is true where it gates in the run that judged it last.
    """

    requirement: str
    trend: Trend
    gating: bool
    before: Outcome | None
    after: Outcome | None
    findings_new: tuple[Finding, ...] = ()
    findings_gone: tuple[Finding, ...] = ()

    @property
    def is_regression(self) -> bool:
        """
        Whether something that gates got worse.

        A gating requirement that is not judged any more counts, and so does a new one that
        does not hold: a run with less in scope must not look better than the one before.
        """
        if not self.gating:
            return False
        bad_news = self.trend is Trend.NEW and _RANK[self.after or Outcome.PASS] > 0
        return bad_news or self.trend in {Trend.WORSE, Trend.GONE}


@dataclass(frozen=True, slots=True, kw_only=True)
class StampChange:
    """A fact of the header that differs between the runs."""

    what: str
    before: str
    after: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordDiff:
    """Everything that differs between two records, in the order of the registry."""

    before: str
    after: str
    verdict_before: str
    verdict_after: str
    stamps: tuple[StampChange, ...]
    requirements: tuple[RequirementChange, ...]

    @property
    def regressions(self) -> tuple[RequirementChange, ...]:
        """The changes that make `kryonix-cache diff` exit with 1."""
        return tuple(change for change in self.requirements if change.is_regression)

    def to_json(self) -> Json:
        """Return the plain JSON form, with the ids of the regressions."""
        document = to_json(self)
        assert isinstance(document, dict)
        return {**document, "regressions": [change.requirement for change in self.regressions]}


def compare_records(before: Record, after: Record) -> RecordDiff:
    """Return what changed from one record to the other."""
    return RecordDiff(
        before=before.header.run,
        after=after.header.run,
        verdict_before=verdict_words(before),
        verdict_after=verdict_words(after),
        stamps=tuple(_stamp_changes(before.header, after.header)),
        requirements=tuple(_requirement_changes(before, after)),
    )


def _requirement_changes(before: Record, after: Record) -> Iterator[RequirementChange]:
    old = {result.requirement: result for result in before.results}
    new = {result.requirement: result for result in after.results}
    for identifier in {**new, **old}:
        change = _change(old.get(identifier), new.get(identifier))
        if change is not None:
            yield change


def _change(old: Result | None, new: Result | None) -> RequirementChange | None:
    last = new or old
    assert last is not None
    old_findings = old.evidence if old else ()
    new_findings = new.evidence if new else ()
    appeared = tuple(finding for finding in new_findings if finding not in old_findings)
    vanished = tuple(finding for finding in old_findings if finding not in new_findings)
    trend = _trend(old, new)
    if trend is None and (appeared or vanished):
        trend = Trend.CHANGED
    if trend is None:
        return None
    return RequirementChange(
        requirement=last.requirement,
        trend=trend,
        gating=last.gating,
        before=old.outcome if old else None,
        after=new.outcome if new else None,
        findings_new=appeared,
        findings_gone=vanished,
    )


def _trend(old: Result | None, new: Result | None) -> Trend | None:
    if old is None:
        return Trend.NEW
    if new is None:
        return Trend.GONE
    step = _RANK[new.outcome] - _RANK[old.outcome]
    if step:
        return Trend.WORSE if step > 0 else Trend.BETTER
    return None if new.outcome is old.outcome else Trend.CHANGED


def _stamp_changes(old: Header, new: Header) -> Iterator[StampChange]:
    after = _stamps(new)
    for what, before in _stamps(old).items():
        if before != after[what]:
            yield StampChange(what=what, before=before, after=after[what])


def _stamps(header: Header) -> dict[str, str]:
    return {
        "target": header.target.address,
        "server": f"{header.target.product} {header.target.version}",
        "capabilities": ", ".join(header.target.capabilities),
        "bench": f"{header.bench.product} {header.bench.version}" if header.bench else "none",
        "system": header.system,
        "profile": header.profile,
        "gate": ", ".join(header.gate),
        "selection": ", ".join(header.selection) or "all",
        "contract": f"{header.contract.name} {header.contract.version}",
        "contract sha256": header.contract.sha256,
        "registry sha256": header.registry.sha256,
        "suite": header.suite.version,
        "waivers": ", ".join(waiver.requirement for waiver in header.waivers) or "none",
    }
