# SPDX-License-Identifier: Apache-2.0
"""A difference between two runs is named, and what gates and got worse is told apart."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from kryonix_cache.reports.diff import RecordDiff, compare_records
from kryonix_cache.reports.lines import Finding
from tests.reports.records import Run, check, requirement, waiver

OLD = Finding(where="db 1 key 'a'", found="x", wanted="y")
NEW = Finding(where="db 1 key 'b'", found="x", wanted="y")


def _compare(tmp_path: Path, before: Run, after: Run) -> RecordDiff:
    return compare_records(before.record(tmp_path / "1"), after.record(tmp_path / "2"))


def _run(outcome: str | None, level: str = "MUST", *evidence: Finding) -> Run:
    """Return a run that judges server.ping, and one more requirement where `outcome` is given."""
    waived = (waiver("config.aof"),) if outcome == "waived" else ()
    raw = "fail" if outcome == "waived" else outcome
    entry = requirement("config.aof", level=level, in_scope=outcome is not None)
    extra = [check("config.aof", raw, evidence=evidence)] if raw else []
    return Run(
        requirements=[requirement("server.ping"), entry],
        checks=[check("server.ping"), *extra],
        waivers=waived,
    )


@pytest.mark.parametrize(
    ("before", "after", "trend", "regresses"),
    [
        ("pass", "fail", "worse", True),
        ("pass", "error", "worse", True),
        ("pass", "inconclusive", "worse", True),
        ("pass", "skipped", "worse", True),
        ("pass", "waived", "worse", True),
        ("skipped", "inconclusive", "worse", True),
        ("fail", "pass", "better", False),
        ("fail", "waived", "better", False),
        ("skipped", "not-offered", "changed", False),
        ("pass", "not-applicable", "changed", False),
        (None, "pass", "new", False),
        (None, "fail", "new", True),
        ("pass", None, "gone", True),
        ("fail", None, "gone", True),
    ],
)
def test_a_gating_requirement_that_got_worse_is_a_regression(
    tmp_path: Path, before: str | None, after: str | None, trend: str, *, regresses: bool
) -> None:
    (change,) = _compare(tmp_path, _run(before), _run(after)).requirements

    assert (change.requirement, change.trend, change.is_regression) == (
        "config.aof",
        trend,
        regresses,
    )


@pytest.mark.parametrize(("before", "after"), [("pass", "fail"), ("pass", None), (None, "fail")])
def test_what_does_not_gate_is_named_and_is_no_regression(
    tmp_path: Path, before: str | None, after: str | None
) -> None:
    changes = _compare(tmp_path, _run(before, "SHOULD"), _run(after, "SHOULD"))

    assert [change.requirement for change in changes.requirements] == ["config.aof"]
    assert changes.regressions == ()


def test_findings_that_came_and_went_are_named(tmp_path: Path) -> None:
    changes = _compare(tmp_path, _run("fail", "MUST", OLD), _run("fail", "MUST", NEW))
    (change,) = changes.requirements

    assert (change.trend, change.findings_new, change.findings_gone) == ("changed", (NEW,), (OLD,))


def test_a_run_differs_in_nothing_from_itself(tmp_path: Path) -> None:
    record = _run("fail", "MUST", OLD).record(tmp_path)
    changes = compare_records(record, record)

    assert (changes.requirements, changes.stamps) == ((), ())


def test_another_target_or_waiver_is_named(tmp_path: Path) -> None:
    before = _run("waived")
    after = replace(_run("fail"), address="redis://other:6379")
    stamps = {s.what: (s.before, s.after) for s in _compare(tmp_path, before, after).stamps}

    assert stamps == {
        "target": ("redis://cache.staging.example:6379", "redis://other:6379"),
        "waivers": ("config.aof", "none"),
    }


def test_the_json_form_names_the_regressions(tmp_path: Path) -> None:
    changes = _compare(tmp_path, _run("pass"), _run("fail", "MUST", NEW))
    document = json.loads(json.dumps(changes.to_json()))

    assert document["regressions"] == ["config.aof"]
    assert document["requirements"][0]["findings_new"][0]["where"] == NEW.where
    assert document["verdict_after"] == "non-conformant"
