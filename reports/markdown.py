# SPDX-License-Identifier: Apache-2.0
"""
Markdown for the summary page of a CI job.

Everything that comes from the record is escaped: a key name can be neither markup nor HTML.
What is shown is bounded, because such pages have a size limit (1 MiB on GitHub) and drop the
whole text beyond it.
"""

import html
import re
from collections.abc import Iterable, Iterator, Sequence

from kryonix_cache.reports.checklist import Answer, answer_checklist
from kryonix_cache.reports.lines import Finding, Result, Verdict
from kryonix_cache.reports.record import Record
from kryonix_cache.reports.summary import (
    ON_THE_BENCH,
    SEVEREST_FIRST,
    Area,
    areas_of,
    attention_of,
    bench_words,
    counts_words,
    hazards_of,
    meaning_of,
    scope_words,
    verdict_words,
)

_MOST_RESULTS = 60
_MOST_FINDINGS = 5
_LONGEST_TEXT = 300
_MARKS = {
    Verdict.CONFORMANT: "✅",
    Verdict.NON_CONFORMANT: "❌",
    Verdict.ERROR: "💥",
    Verdict.INCONCLUSIVE: "❔",
    Verdict.PARTIAL: "🟡",
    Verdict.NOTHING_RAN: "⚪",
}
_SPECIAL = re.compile(r"([\\`*_\[\]{}()#+\-!|~>$@:]|(?<=\d)\.(?=\s))")


def render_markdown(record: Record) -> str:
    """Return the summary of a record as GitHub-flavoured Markdown."""
    return "\n".join(_blocks(record)) + "\n"


def escape(text: str, *, limit: int = _LONGEST_TEXT) -> str:
    """Return text that Markdown shows as it is, on one line."""
    line = " ".join(text.split())
    line = line if len(line) <= limit else line[: limit - 1] + "…"
    return _SPECIAL.sub(r"\\\1", html.escape(line, quote=False))


def _blocks(record: Record) -> Iterator[str]:
    header, footer = record.header, record.footer
    yield f"## {_MARKS[record.verdict]} kryonix-cache: {verdict_words(record)}"
    yield ""
    yield f"{meaning_of(record)} Exit code {footer.exit_code}."
    yield ""
    yield f"- Over {escape(scope_words(record))}: {counts_words(footer.counts)}"
    yield (
        f"- Target {_code(header.target.address)}, {escape(header.target.product)} "
        f"{escape(header.target.version)}, contract {escape(header.contract.name)} "
        f"{escape(header.contract.version)}"
    )
    if bench := bench_words(record):
        yield f"- {bench}"
    yield f"- Run {_code(header.run)}, {escape(header.started)}, {footer.seconds:.1f} s"
    yield from _areas(areas_of(record))
    yield from _section("What needs attention", attention_of(record), record)
    yield from _section("Hazards (reported, never gating)", hazards_of(record), record)
    yield from _checklist(record)
    yield from _waivers(record)
    yield from _footprint(record)


def _areas(areas: Sequence[Area]) -> Iterator[str]:
    shown = [o for o in SEVEREST_FIRST if any(area.counts[o] for area in areas)]
    if areas:
        yield from ["", *_table(["Area", *shown], _area_rows(areas, [o.value for o in shown]))]


def _area_rows(areas: Sequence[Area], outcomes: Sequence[str]) -> Iterator[list[str]]:
    for area in areas:
        yield [escape(area.name), *(str(area.counts[outcome] or "") for outcome in outcomes)]


def _section(title: str, results: Sequence[Result], record: Record) -> Iterator[str]:
    if not results:
        return
    yield from ["", f"### {title}", ""]
    for result in results[:_MOST_RESULTS]:
        yield from _result(result, record.requirements[result.requirement].statement)
    if len(results) > _MOST_RESULTS:
        yield f"and {len(results) - _MOST_RESULTS} more in report.html"


def _result(result: Result, statement: str) -> Iterator[str]:
    # An HTML line, in which Markdown's escapes do not count.
    where = f", {ON_THE_BENCH}" if result.ran_on == "bench" else ""
    head = f"<code>{_html(result.requirement)}</code> {result.outcome} ({result.level}{where})"
    yield f"<details><summary>{head}: {_html(statement)}</summary>"
    yield ""
    if result.reason:
        yield from [escape(result.reason), ""]
    yield from _findings(result.evidence[:_MOST_FINDINGS])
    hidden = result.evidence_total - min(len(result.evidence), _MOST_FINDINGS)
    if hidden > 0:
        yield from [f"and {hidden} more findings", ""]
    if result.reproduce:
        yield from _fenced(result.reproduce)
    yield from ["</details>", ""]


def _findings(findings: Sequence[Finding]) -> Iterator[str]:
    if findings:
        rows = (
            [escape(f.where), escape(f.found), escape(f.wanted), escape(_mend(f))] for f in findings
        )
        yield from [*_table(["Where", "Found", "Wanted", "How to mend it"], rows), ""]


def _mend(finding: Finding) -> str:
    return " ".join(part for part in (finding.remedy, finding.erratum) if part)


def _checklist(record: Record) -> Iterator[str]:
    answered = answer_checklist(record)
    if not answered:
        return
    passed = sum(entry.answer is Answer.PASSED for entry in answered)
    yield from ["", f"### The source's own list: {passed} of {len(answered)} passed", ""]
    rows = (
        [f"{e.item.kind} {e.item.number}", escape(e.item.statement), e.answer.value]
        for e in answered
    )
    yield from _table(["Item", "Asks for", "Answer"], rows)


def _waivers(record: Record) -> Iterator[str]:
    waivers = record.header.waivers
    if waivers:
        yield from ["", "### Waivers", ""]
        rows = (
            [_code(w.requirement), escape(w.reason), escape(w.owner), w.expires] for w in waivers
        )
        yield from _table(["Requirement", "Reason", "Owner", "Expires"], rows)


def _footprint(record: Record) -> Iterator[str]:
    trace = record.footprint
    if trace is None:
        return
    yield from ["", "### Footprint", ""]
    yield (
        f"{trace.commands} commands, {trace.foreign_keys_written} foreign keys written, "
        f"{trace.keys_created} keys created, {trace.keys_removed} removed, {trace.keys_left} left, "
        f"{trace.values_read} values read, {len(trace.refused)} commands refused; "
        f"digest of foreign keys: {trace.digest}."
    )
    if trace.note:
        yield from ["", escape(trace.note)]


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(heads)} |"
    yield f"|{' --- |' * len(heads)}"
    for row in rows:
        yield f"| {' | '.join(row)} |"


def _html(text: str) -> str:
    return html.escape(" ".join(text.split())[:_LONGEST_TEXT], quote=False)


def _code(text: str) -> str:
    """Return an HTML code element: unlike backticks it needs no rule for backticks within."""
    return f"<code>{escape(text)}</code>"


def _fenced(text: str) -> Iterator[str]:
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    yield from [f"{fence}sh", text, fence, ""]
