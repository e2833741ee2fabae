# SPDX-License-Identifier: Apache-2.0
"""JUnit, Markdown, Allure, badge and terminal show what a reader needs, and nothing as markup."""

import io
import json
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from kryonix_cache.reports.allure import render_allure
from kryonix_cache.reports.badge import render_badge
from kryonix_cache.reports.junit import render_junit
from kryonix_cache.reports.lines import Finding
from kryonix_cache.reports.markdown import escape, render_markdown
from kryonix_cache.reports.page import render_page
from kryonix_cache.reports.record import Record
from kryonix_cache.reports.terminal import render_terminal
from tests.reports.records import Run, check, requirement, waiver
from tests.reports.sample import HOSTILE_KEY, deployment_run


@pytest.fixture
def record(tmp_path: Path) -> Record:
    return deployment_run().record(tmp_path)


def _printed(record: Record, **options: object) -> str:
    file = io.StringIO()
    render_terminal(record, Console(file=file, width=80, **options))
    return file.getvalue()


def test_junit_names_each_case_by_area_and_requirement(record: Record) -> None:
    root = ET.fromstring(render_junit(record))
    cases = [(case.get("classname"), case.get("name")) for case in root.iter("testcase")]

    assert cases == [*((r.area, r.requirement) for r in record.results), ("run", "verdict")]


def test_junit_counts_what_it_holds(record: Record) -> None:
    root = ET.fromstring(render_junit(record))
    suite = next(root.iter("testsuite"))
    held = {
        name: len(list(suite.iter(tag)))
        for name, tag in [("failures", "failure"), ("errors", "error"), ("skipped", "skipped")]
    }

    assert {name: int(str(suite.get(name))) for name in held} == held
    assert suite.get("tests") == str(len(record.results) + 1)


def test_junit_carries_verdict_profile_and_run(record: Record) -> None:
    root = ET.fromstring(render_junit(record))
    properties = {p.get("name"): p.get("value") for p in root.iter("property")}

    assert properties["verdict"] == "non-conformant"
    assert properties["exit_code"] == "1"
    assert properties["profile"] == "production"
    assert properties["run"] == record.header.run


def test_junit_failures_say_found_wanted_remedy_and_how_to_reproduce(record: Record) -> None:
    root = ET.fromstring(render_junit(record))
    failure = root.find(".//testcase[@name='config.tcp-backlog']/failure")

    assert failure is not None
    assert failure.text is not None
    for part in ("found:  511", "wanted: 2048", "restart", "E01", "--select config.tcp-backlog"):
        assert part in failure.text


def test_junit_shows_a_fail_that_does_not_gate_as_skipped_with_its_reason(record: Record) -> None:
    root = ET.fromstring(render_junit(record))
    skipped = root.find(".//testcase[@name='security.secrets-at-rest']/skipped")

    assert skipped is not None
    assert str(skipped.get("message")).startswith("fail (HAZARD, does not gate): ")


@pytest.mark.parametrize(
    "hostile",
    ["<b>x</b>", "a|b", "`code`", "*x* _y_ [z](u) #1 ~~s~~", "![i](u)", "$$x$$", "@team", "# h"],
)
def test_markdown_shows_hostile_text_as_it_is(hostile: str) -> None:
    from_markdown = escape(hostile)

    assert "<" not in from_markdown
    for special in "|`*_[]#~!@$":
        assert from_markdown.count(special) == from_markdown.count(f"\\{special}")


def test_markdown_keeps_each_cell_on_one_line_and_in_bounds() -> None:
    assert "\n" not in escape("a\n\nb\tc")
    assert len(escape("x" * 10_000)) <= 300


def test_markdown_stays_below_the_limit_of_job_summaries(tmp_path: Path) -> None:
    long = "x" * 5_000
    findings = tuple(Finding(where=long, found=long, wanted=long) for _ in range(20))
    ids = [f"config.r{number}" for number in range(300)]
    run = Run(
        requirements=[requirement(identifier, long) for identifier in ids],
        checks=[check(identifier, "fail", long, evidence=findings) for identifier in ids],
    )
    text = render_markdown(run.record(tmp_path))

    assert len(text.encode()) < 1024 * 1024
    assert "and 240 more in report.html" in text


def test_markdown_names_attention_hazards_list_waivers_and_footprint(record: Record) -> None:
    text = render_markdown(record)

    for heading in (
        "## ❌ kryonix-cache: non-conformant",
        "### What needs attention",
        "### Hazards (reported, never gating)",
        "### The source's own list: 6 of 22 passed",
        "### Waivers",
        "### Footprint",
    ):
        assert heading in text.splitlines()
    assert "<img" not in text


def test_markdown_fences_are_longer_than_any_in_the_command(tmp_path: Path) -> None:
    run = Run(checks=[check("server.ping", "fail", reproduce="echo '````'\n```")])

    assert "`````sh\necho '````'\n```\n`````" in render_markdown(run.record(tmp_path))


def test_allure_labels_come_from_the_registry(record: Record) -> None:
    files = render_allure(record)
    entries = [json.loads(files[name]) for name in files if name.endswith("-result.json")]
    entry = next(e for e in entries if e["testCaseId"] == "security.secrets-at-rest")
    labels = {(label["name"], label["value"]) for label in entry["labels"]}

    assert {
        ("epic", "security"),
        ("feature", "security.secrets-at-rest"),
        ("requirement", "security.secrets-at-rest"),
        ("severity", "minor"),
        ("tag", "E26"),
        ("tag", "E29"),
    } <= labels
    assert "found:  a value in clear" in entry["statusDetails"]["trace"]
    assert "and 1203 more" in entry["statusDetails"]["trace"]


def test_allure_environment_is_a_properties_file(tmp_path: Path) -> None:
    run = Run(address="unix:///tmp/é\\x.sock", checks=[check("server.ping")])
    environment = render_allure(run.record(tmp_path))["environment.properties"].decode("ascii")

    assert "Target=unix:///tmp/\\u00e9\\\\x.sock\n" in environment
    assert "Verdict=conformant\n" in environment


def test_a_badge_over_a_selection_says_so(tmp_path: Path) -> None:
    run = Run(checks=[check("server.ping")], selection=("server.ping",))

    assert json.loads(render_badge(run.record(tmp_path)))["message"] == "conformant (selection)"


def test_the_terminal_needs_neither_colour_nor_more_than_80_columns(record: Record) -> None:
    printed = _printed(record, force_terminal=True, color_system=None)

    assert "\x1b" not in printed
    too_long = [line for line in printed.splitlines() if len(line) > 80]
    assert all(line.startswith("  reproduce: ") for line in too_long)


def test_the_terminal_says_found_wanted_remedy_and_how_to_reproduce(record: Record) -> None:
    printed = _printed(record)

    assert (
        "fail config.eviction-samples (MUST)\n"
        "  maxmemory-samples is 10\n"
        "  directive maxmemory-samples\n"
        "    found:  5\n"
        "    wanted: 10\n"
        "    remedy: CONFIG SET maxmemory-samples 10, then CONFIG REWRITE\n"
        "  reproduce: kryonix-cache conformance --select config.eviction-samples\n"
    ) in "\n".join(line.rstrip() for line in printed.splitlines())


def test_the_terminal_lists_hazards_apart_and_errors_with_what_needs_attention(
    record: Record,
) -> None:
    before, _, hazards = _printed(record).partition("Hazards (reported, never gating)")

    assert "fail security.secrets-at-rest (HAZARD)" in hazards
    assert "error durability.eviction (HAZARD)" in before


def test_the_terminal_reads_nothing_from_a_record_as_markup(record: Record) -> None:
    assert HOSTILE_KEY in _printed(record, color_system="truecolor", force_terminal=True)


def test_a_run_in_which_nothing_ran_has_every_report(tmp_path: Path) -> None:
    record = Run(requirements=[], footprint=None).record(tmp_path)

    assert b"nothing-ran" in render_junit(record)
    assert "nothing-ran" in render_markdown(record)
    assert _printed(record).splitlines()[-1] == "Verdict: nothing-ran, exit code 5"


def test_a_waived_requirement_is_named_with_its_owner_everywhere(tmp_path: Path) -> None:
    run = Run(checks=[check("server.ping", "fail")], waivers=(waiver("server.ping"),))
    record = run.record(tmp_path)

    for text in (render_junit(record).decode(), render_markdown(record), _printed(record)):
        assert "platform team" in text


@pytest.mark.parametrize("width", [20, 40, 80])
def test_a_file_gets_whole_lines_without_trailing_blanks(record: Record, width: int) -> None:
    """A broken line would hide a run id or a number from every search."""
    file = io.StringIO()
    render_terminal(record, Console(file=file, width=width))
    lines = file.getvalue().splitlines()

    assert lines == [line.rstrip() for line in lines]
    assert lines[0].endswith(f"run {record.header.run}")
    assert any(line.startswith("Footprint: ") and "left, " in line for line in lines)
    assert len([line for line in lines if line.startswith("area ")]) == 1


def test_results_of_the_bench_are_marked_in_every_report_for_people(tmp_path: Path) -> None:
    """Stand-ins on a server of the suite must not be taken for the target's own keys."""
    record = Run(
        checks=[check("keyspace.type", "fail", "1 finding", ran_on="bench"), check("server.ping")],
        requirements=[requirement("keyspace.type"), requirement("server.ping")],
    ).record(tmp_path)
    words = "1 result was found on the bench"

    assert words in _printed(record)
    assert "keyspace.type (MUST, on the bench)" in _printed(record)
    assert words in render_markdown(record)
    assert "<code>keyspace.type</code> fail (MUST, on the bench)" in render_markdown(record)
    assert render_page(record).count('<span class="quiet bench">on the bench</span>') == 1


def test_a_long_selection_is_counted_and_a_short_one_named(record: Record) -> None:
    some = tuple(result.requirement for result in record.results)
    long = replace(record, header=replace(record.header, selection=some))
    short = replace(record, header=replace(record.header, selection=some[:2]))

    assert _printed(long).splitlines()[-2].endswith(f"only a selection of {len(some)} requirements")
    assert _printed(short).splitlines()[-2].endswith(f"only the selection {some[0]}, {some[1]}")
