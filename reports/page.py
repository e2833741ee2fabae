# SPDX-License-Identifier: Apache-2.0
"""
The report as one HTML file that needs no network.

Style and script stand inside the file, and its content security policy allows those two by hash
and nothing else: even markup that slipped through the escaping could not run or call home.
"""

import base64
import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from importlib import resources

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from kryonix_cache.reports.checklist import Answer, answer_checklist
from kryonix_cache.reports.lines import Check, Outcome, Requirement, Verdict
from kryonix_cache.reports.record import Record
from kryonix_cache.reports.summary import (
    SEVEREST_FIRST,
    areas_of,
    counts_words,
    hazards_of,
    meaning_of,
    scope_words,
    verdict_words,
)

_GLYPHS: Mapping[str, str] = {
    Outcome.PASS: "✓",
    Outcome.FAIL: "✕",
    Outcome.ERROR: "!",
    Outcome.INCONCLUSIVE: "?",
    Outcome.WAIVED: "w",
    Outcome.SKIPPED: "s",
    Outcome.NOT_OFFERED: "o",
    Outcome.NOT_APPLICABLE: "·",
}
_VERDICT_TONES: Mapping[Verdict, str] = {
    Verdict.CONFORMANT: "pass",
    Verdict.NON_CONFORMANT: "fail",
    Verdict.ERROR: "error",
    Verdict.INCONCLUSIVE: "inconclusive",
    Verdict.PARTIAL: "waived",
    Verdict.NOTHING_RAN: "not-offered",
}
_ANSWER_TONES: Mapping[Answer, str] = {
    Answer.PASSED: "pass",
    Answer.FAILED: "fail",
    Answer.ERROR: "error",
    Answer.INCONCLUSIVE: "inconclusive",
    Answer.WAIVED: "waived",
    Answer.PARTLY_JUDGED: "skipped",
    Answer.NOT_JUDGED: "not-offered",
}


def render_page(record: Record) -> str:
    """Return the HTML page of a record; everything from the record is escaped."""
    style, script = _asset("report.css"), _asset("report.js")
    policy = (
        f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )
    return (
        _environment()
        .get_template("report.html.jinja")
        .render(
            # Markup: the two assets are ours, and nothing from the record is in them.
            style=Markup(style),  # noqa: S704
            script=Markup(script),  # noqa: S704
            policy=policy,
            record=record,
            header=record.header,
            footer=record.footer,
            footprint=record.footprint,
            verdict=verdict_words(record),
            verdict_tone=_VERDICT_TONES[record.verdict],
            meaning=meaning_of(record),
            scope=scope_words(record),
            counts=record.footer.counts,
            counts_words=counts_words(record.footer.counts),
            outcomes=[outcome.value for outcome in SEVEREST_FIRST],
            glyphs=_GLYPHS,
            areas=areas_of(record),
            hazards=hazards_of(record),
            requirements=record.requirements,
            out_of_scope=_out_of_scope(record),
            checks=_checks_of(record),
            checklist=answer_checklist(record),
            answer_tones=_ANSWER_TONES,
        )
    )


def _out_of_scope(record: Record) -> list[Requirement]:
    return [r for r in record.header.registry.requirements if not r.in_scope]


def _checks_of(record: Record) -> dict[str, list[Check]]:
    checks: dict[str, list[Check]] = {result.requirement: [] for result in record.results}
    for check in record.checks:
        checks[check.requirement].append(check)
    return checks


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FunctionLoader(_asset),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(moment=_moment, number=_number, duration=_duration)
    return environment


def _asset(name: str) -> str:
    return resources.files("kryonix_cache.reports").joinpath(name).read_text("utf-8")


def _hash(content: str) -> str:
    digest = hashlib.sha256(content.encode()).digest()
    return f"sha256-{base64.b64encode(digest).decode()}"


def _moment(text: str) -> str:
    return f"{datetime.fromisoformat(text).astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def _number(number: int) -> str:
    return f"{number:,}"


def _duration(seconds: float) -> str:
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    minutes, rest = divmod(seconds, 60)
    return f"{minutes:.0f} min {rest:.0f} s" if minutes else f"{rest:.1f} s"
