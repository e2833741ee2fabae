# SPDX-License-Identifier: Apache-2.0
"""
The summary on the terminal: areas, what needs attention, hazards, and the verdict last.

Colour only repeats what the words say, and nothing from the record is read as markup.
"""

from collections.abc import Iterable, Iterator, Sequence

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from kryonix_cache.reports.lines import Finding, Footprint, Outcome, Result, Verdict
from kryonix_cache.reports.record import Record
from kryonix_cache.reports.summary import (
    ON_THE_BENCH,
    SEVEREST_FIRST,
    areas_of,
    attention_of,
    bench_words,
    counts_words,
    hazards_of,
    scope_words,
    verdict_words,
)

_MOST_FINDINGS = 3
_STYLES = {
    Outcome.PASS: "green",
    Outcome.FAIL: "bold red",
    Outcome.ERROR: "bold magenta",
    Outcome.INCONCLUSIVE: "yellow",
    Outcome.WAIVED: "yellow",
    Outcome.SKIPPED: "cyan",
    Outcome.NOT_OFFERED: "cyan",
    Outcome.NOT_APPLICABLE: "dim",
}
_VERDICT_STYLES = {
    Verdict.CONFORMANT: "bold green",
    Verdict.PARTIAL: "bold yellow",
    Verdict.INCONCLUSIVE: "bold yellow",
}


def render_terminal(record: Record, console: Console) -> None:
    """Print the summary of a record; the last line is the verdict with its exit code."""
    header = record.header
    _print_indented(
        f"{header.target.product} {header.target.version} at {header.target.address}, "
        f"contract {header.contract.name} {header.contract.version}, run {header.run}",
        console,
        by=0,
    )
    _print_areas(record, console)
    _print_results("What needs attention", attention_of(record), record, console)
    _print_results("Hazards (reported, never gating)", hazards_of(record), record, console)
    if record.footprint is not None:
        console.print()
        loud = record.footprint.foreign_keys_written or record.footprint.keys_left
        style = "bold red" if loud else ""
        _print_indented(footprint_words(record.footprint), console, by=0, style=style)
    console.print()
    if bench := bench_words(record):
        _print_indented(bench, console, by=0)
    _print_indented(
        f"{counts_words(record.footer.counts)} over {scope_words(record)}", console, by=0
    )
    _print_indented(
        f"Verdict: {verdict_words(record)}, exit code {record.footer.exit_code}",
        console,
        by=0,
        style=_VERDICT_STYLES.get(record.verdict, "bold red"),
    )


def footprint_words(trace: Footprint) -> str:
    """Return the footprint as one sentence."""
    return (
        f"Footprint: {trace.commands} commands, {trace.foreign_keys_written} foreign keys written, "
        f"{trace.keys_created} keys created, {trace.keys_removed} removed, {trace.keys_left} left, "
        f"{len(trace.refused)} commands refused, digest of foreign keys {trace.digest}"
    )


def _print_areas(record: Record, console: Console) -> None:
    areas = areas_of(record)
    shown = [o for o in SEVEREST_FIRST if any(area.counts[o] for area in areas)]
    if not shown:
        return
    rows = [[Text("area"), *(Text(outcome.value, style="bold") for outcome in shown)]]
    for area in areas:
        cells = (Text(str(area.counts[o] or ""), style=_STYLES[o]) for o in shown)
        rows.append([Text(area.name), *cells])
    console.print()
    for line in _aligned(rows):
        console.print(line, soft_wrap=True)


def _aligned(rows: Sequence[Sequence[Text]]) -> Iterator[Text]:
    """Yield rows as lines: the first column to the left, numbers to the right."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    for row in rows:
        for number, (cell, width) in enumerate(zip(row, widths, strict=True)):
            cell.align("right" if number else "left", width)
        line = Text("  ").join(row)
        line.rstrip()
        yield line


def _print_results(title: str, results: Iterable[Result], record: Record, console: Console) -> None:
    results = tuple(results)
    if not results:
        return
    console.print()
    console.print(Text(title, style="bold"), soft_wrap=True)
    for result in results:
        console.print()
        head = Text(f"{result.outcome} ", style=_STYLES[result.outcome])
        head.append(result.requirement, style="bold")
        where = f", {ON_THE_BENCH}" if result.ran_on == "bench" else ""
        head.append(f" ({result.level}{where})", style="not bold")
        console.print(head, soft_wrap=True)
        _print_indented(record.requirements[result.requirement].statement, console)
        if result.reason:
            _print_indented(result.reason, console)
        for finding in result.evidence[:_MOST_FINDINGS]:
            _print_finding(finding, console)
        hidden = result.evidence_total - min(len(result.evidence), _MOST_FINDINGS)
        if hidden > 0:
            _print_indented(f"and {hidden} more in report.html", console)
        if result.reproduce:
            # Never wrapped or broken: it is there to be copied.
            console.print(Text(f"  reproduce: {result.reproduce}"), soft_wrap=True)


def _print_finding(finding: Finding, console: Console) -> None:
    erratum = f" ({finding.erratum})" if finding.erratum else ""
    _print_indented(f"{finding.where}{erratum}", console)
    _print_indented(f"found:  {finding.found}", console, by=4)
    _print_indented(f"wanted: {finding.wanted}", console, by=4)
    if finding.remedy:
        _print_indented(f"remedy: {finding.remedy}", console, by=4)


def _print_indented(text: str, console: Console, *, by: int = 2, style: str = "") -> None:
    if console.is_terminal:
        console.print(Padding(Text(text, style=style), (0, 0, 0, by), expand=False))
    else:
        # A file has no width: a broken line would hide an id or a number from every search.
        console.print(Text(f"{' ' * by}{text}", style=style), soft_wrap=True)
