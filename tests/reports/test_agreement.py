# SPDX-License-Identifier: Apache-2.0
"""Record, JUnit, HTML, Markdown, badge, terminal and exit code tell one story."""

import io
import json
import re
import tempfile
from html.parser import HTMLParser
from pathlib import Path

from hypothesis import given, settings
from junitparser import Error, Failure, JUnitXml, Skipped, TestCase
from rich.console import Console

from kryonix_cache.reports.allure import render_allure
from kryonix_cache.reports.badge import render_badge
from kryonix_cache.reports.junit import render_junit
from kryonix_cache.reports.lines import Outcome, Verdict
from kryonix_cache.reports.markdown import render_markdown
from kryonix_cache.reports.page import render_page
from kryonix_cache.reports.record import Record, read_record
from kryonix_cache.reports.terminal import render_terminal
from tests.reports.records import Run
from tests.reports.strategies import runs


def _record(run: Run) -> Record:
    with tempfile.TemporaryDirectory() as folder:
        record = run.record(Path(folder))
        assert read_record(Path(folder)) == record
        return record


def _cases(record: Record) -> dict[str, TestCase]:
    document = JUnitXml.fromstring(render_junit(record))
    return {f"{case.classname}/{case.name}": case for suite in document for case in suite}


class _Cards(HTMLParser):
    """Collects the outcome of each requirement's card, and the heading."""

    def __init__(self) -> None:
        super().__init__()
        self.outcomes: dict[str, str] = {}
        self.elements: set[str] = set()
        self.heading = ""
        self._in_heading = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        self.elements.add(tag)
        self._in_heading = tag == "h1"
        if tag == "details" and named.get("data-outcome"):
            self.outcomes[str(named["id"]).removeprefix("r-")] = str(named["data-outcome"])

    def handle_endtag(self, tag: str) -> None:
        del tag
        self._in_heading = False

    def handle_data(self, data: str) -> None:
        if self._in_heading:
            self.heading += data


def _cards(record: Record) -> _Cards:
    cards = _Cards()
    cards.feed(render_page(record))
    return cards


@settings(max_examples=60, deadline=None)
@given(runs())
def test_junit_is_red_exactly_when_the_exit_code_is_not_zero(run: Run) -> None:
    record = _record(run)
    cases = _cases(record)
    shown = [entry for case in cases.values() for entry in case.result]
    is_red = any(isinstance(entry, Failure | Error) for entry in shown)

    assert is_red == (record.footer.exit_code != 0)
    assert len(cases) == len(record.results) + 1


@settings(max_examples=60, deadline=None)
@given(runs())
def test_junit_shows_no_requirement_as_passed_that_did_not_pass(run: Run) -> None:
    record = _record(run)
    cases = _cases(record)
    for result in record.results:
        shown = cases[f"{result.area}/{result.requirement}"].result
        assert bool(shown) == (result.outcome is not Outcome.PASS)
        if result.outcome is Outcome.FAIL and result.gating:
            assert isinstance(shown[0], Failure)
        elif result.outcome is Outcome.ERROR:
            assert isinstance(shown[0], Error)
        elif result.outcome is not Outcome.PASS:
            assert isinstance(shown[0], Error | Skipped)


@settings(max_examples=60, deadline=None)
@given(runs())
def test_the_page_shows_every_result_with_its_outcome_and_the_verdict(run: Run) -> None:
    record = _record(run)
    cards = _cards(record)

    assert cards.outcomes == {r.requirement: r.outcome.value for r in record.results}
    assert cards.heading.startswith(record.verdict.value)
    assert ("(accepted)" in cards.heading) == _is_accepted(record)
    assert cards.elements.isdisjoint({"img", "iframe", "object"})


@settings(max_examples=60, deadline=None)
@given(runs())
def test_badge_and_markdown_say_what_the_record_says(run: Run) -> None:
    record = _record(run)
    badge = json.loads(render_badge(record))
    heading = render_markdown(record).splitlines()[0]

    assert re.sub(r" \(.*", "", badge["message"]) == record.verdict
    assert badge["isError"] == (record.footer.exit_code != 0)
    assert (badge["color"] == "brightgreen") == (record.verdict is Verdict.CONFORMANT)
    assert f"kryonix-cache: {record.verdict}" in heading
    assert ("(accepted)" in heading) == _is_accepted(record)
    assert f"Exit code {record.footer.exit_code}." in render_markdown(record)


@settings(max_examples=60, deadline=None)
@given(runs())
def test_the_last_line_on_the_terminal_is_verdict_and_exit_code(run: Run) -> None:
    record = _record(run)
    printed = io.StringIO()
    render_terminal(record, Console(file=printed, width=80))
    accepted = " (accepted)" if _is_accepted(record) else ""

    assert printed.getvalue().splitlines()[-1] == (
        f"Verdict: {record.verdict}{accepted}, exit code {record.footer.exit_code}"
    )


@settings(max_examples=30, deadline=None)
@given(runs())
def test_allure_shows_passed_only_what_passed(run: Run) -> None:
    record = _record(run)
    shown = {
        entry["testCaseId"]: entry["status"]
        for name, content in render_allure(record).items()
        if name.endswith("-result.json")
        for entry in [json.loads(content)]
    }

    assert shown.keys() == {result.requirement for result in record.results}
    for result in record.results:
        assert (shown[result.requirement] == "passed") == (result.outcome is Outcome.PASS)


@settings(max_examples=30, deadline=None)
@given(runs())
def test_the_same_record_gives_the_same_reports(run: Run) -> None:
    record = _record(run)

    assert render_junit(record) == render_junit(record)
    assert render_page(record) == render_page(record)
    assert render_allure(record) == render_allure(record)


def _is_accepted(record: Record) -> bool:
    return record.verdict is Verdict.PARTIAL and record.footer.exit_code == 0
