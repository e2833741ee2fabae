# SPDX-License-Identifier: Apache-2.0
"""What `kryonix-cache optimise` says of a run: a page for people, and the whole report as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from kryonix_cache.reference_impl.optimiser.analysis import Analysis
    from kryonix_cache.reference_impl.optimiser.report import (
        Change,
        Report,
        TenantReport,
    )
    from kryonix_cache.reference_impl.optimiser.undo import UndoReport
    from kryonix_cache.reference_impl.problems import Problem

MOST_TENANTS = 20
MOST_LINES = 20
"""Changes, and problems, of one tenant."""


def report_json(report: Report) -> str:
    """Return everything that a run says."""
    return _json(
        {
            "run": report.run,
            "at": report.at.isoformat(),
            "dry_run": report.dry_run,
            "keys": report.keys,
            "problems": [asdict(problem) for problem in report.problems],
            "tenants": {
                tenant: {
                    "analysis": None if each.analysis is None else asdict(each.analysis),
                    "changes": [_change(change) for change in each.changes],
                    "problems": [asdict(problem) for problem in each.problems],
                }
                for tenant, each in report.tenants.items()
            },
        }
    )


def report_text(report: Report, address: str) -> str:
    """Return what somebody who started the run wants to read."""
    return "\n".join(_lines(report, address))


def undo_json(report: UndoReport) -> str:
    """Return everything that an undoing says."""
    return _json(
        {
            "run": report.run,
            "undone": [_change(change) for change in report.undone],
            "already": report.already,
            "skipped": [asdict(problem) for problem in report.skipped],
        }
    )


def undo_text(report: UndoReport, address: str, *, dry_run: bool) -> str:
    """Return what became of a run's changes."""
    done = "Would take back" if dry_run else "Took back"
    head = (
        f"{done} {_count(len(report.undone), 'change')} of the run {report.run} on {address}: "
        f"{report.already} were taken back before, "
        f"{len(report.skipped)} were changed since and left alone."
    )
    lines = [f"  db {each.database} {_text(each.key)}" for each in report.undone[:MOST_LINES]]
    if len(report.undone) > MOST_LINES:
        lines.append(f"  and {len(report.undone) - MOST_LINES} changes more")
    return "\n".join((head, *lines, *_problems(report.skipped, "  ")))


def _json(report: object) -> str:
    text = json.dumps(report, indent=2, ensure_ascii=False)
    # Half a character, as JSON may hold it, is no UTF-8: it is written as JSON escapes it.
    return text.encode(errors="backslashreplace").decode()


def _lines(report: Report, address: str) -> Iterator[str]:
    changes = sum(len(each.changes) for each in report.tenants.values())
    problems = len(report.problems) + sum(len(t.problems) for t in report.tenants.values())
    would = "would be " if report.dry_run else ""
    yield (
        f"Run {report.run} on {address}: {_count(len(report.tenants), 'tenant')}, "
        f"{_count(report.keys, 'key')}; {_count(changes, 'change')} {would}made, "
        f"{_count(problems, 'problem')}."
    )
    yield from _problems(report.problems, "  ")
    told = [each for each in report.tenants.values() if each.changes or each.problems]
    for each in told[:MOST_TENANTS]:
        yield from _tenant(each)
    if len(told) > MOST_TENANTS:
        yield f"  and {len(told) - MOST_TENANTS} tenants more; --json names them all"
    if changes and not report.dry_run:
        yield f"kryonix-cache optimise --undo {report.run} takes the changes back."


def _tenant(report: TenantReport) -> Iterator[str]:
    figures = "could not be analysed" if report.analysis is None else _figures(report.analysis)
    yield f"  {report.tenant}: {figures}"
    for change in report.changes[:MOST_LINES]:
        place = f"db {change.database} {_text(change.key)}"
        until = change.expires_after.isoformat(timespec="seconds")
        yield f"    {change.rule}: {change.action} {place} until {until} ({change.reason})"
    if len(report.changes) > MOST_LINES:
        yield f"    and {len(report.changes) - MOST_LINES} changes more"
    yield from _problems(report.problems, "    ")


def _figures(analysis: Analysis) -> str:
    cache, share = analysis.cache, analysis.mobile.share_percent
    forecast = analysis.forecast
    return ", ".join(
        (
            f"hit rate {_figure(cache.hit_rate_percent, ' %')}",
            f"response {_figure(cache.response_ms, ' ms')}",
            f"calls {_figure(cache.api_calls, '')}",
            f"mobile {_figure(share, ' %')}",
            f"score {_figure(cache.score, '')}",
            f"{_count(analysis.api.answers, 'answer')}",
            f"prediction {forecast.model} with {_count(len(forecast.items), 'item')}",
        )
    )


def _problems(problems: Sequence[Problem], indent: str) -> Iterator[str]:
    for problem in problems[:MOST_LINES]:
        yield f"{indent}problem: {_shown(problem.where)}: {_shown(problem.what)}"
    if len(problems) > MOST_LINES:
        yield f"{indent}and {len(problems) - MOST_LINES} problems more"


def _figure(value: float | None, unit: str) -> str:
    return "unknown" if value is None else f"{value:g}{unit}"


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"


def _change(change: Change) -> dict[str, object]:
    before = change.expires_before
    return {
        "rule": change.rule,
        "action": change.action,
        "database": change.database,
        "key": _text(change.key),
        "expires_before": None if before is None else before.isoformat(),
        "expires_after": change.expires_after.isoformat(),
        "reason": change.reason,
    }


def _text(raw: bytes) -> str:
    """Return other people's bytes so that a terminal shows them and obeys none."""
    return _shown(raw.decode(errors="backslashreplace"))


def _shown(text: str) -> str:
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)
