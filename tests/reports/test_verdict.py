# SPDX-License-Identifier: Apache-2.0
"""Checks combine worst first, no pass without a witness, and no waiver for free."""

import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kryonix_cache.reports.errors import RecordInconsistentError
from kryonix_cache.reports.lines import Check, Finding, Outcome, Requirement, Result, Verdict
from kryonix_cache.reports.verdict import (
    EXIT_CODES,
    WORST_FIRST,
    count_outcomes,
    exit_code,
    judge,
    verdict_of,
)
from tests.reports.records import Run, check, requirement, waiver
from tests.reports.strategies import runs

PING = requirement("server.ping")


def _judged(*checks: Check, entry: Requirement = PING, waived: bool = False) -> Result:
    (result,) = judge([entry], checks, [waiver(entry.id)] if waived else [])
    return result


def _outcome(*outcomes: str) -> str:
    return _judged(*(check("server.ping", outcome) for outcome in outcomes)).outcome.value


@pytest.mark.parametrize(
    ("outcomes", "combined"),
    [
        (["pass"], "pass"),
        (["pass", "fail", "error"], "error"),
        (["pass", "error", "inconclusive"], "error"),
        (["inconclusive", "skipped"], "inconclusive"),
        (["skipped", "not-offered", "pass"], "skipped"),
        (["not-offered", "pass"], "not-offered"),
        (["pass", "not-applicable"], "pass"),
        (["not-applicable", "not-applicable"], "not-applicable"),
    ],
)
def test_checks_of_one_requirement_combine_worst_first(outcomes: list[str], combined: str) -> None:
    assert _outcome(*outcomes) == combined
    assert _outcome(*reversed(outcomes)) == combined


def test_a_requirement_in_scope_without_a_check_is_an_error() -> None:
    (result,) = judge([PING], [], [])

    assert (result.outcome, result.reason, result.ran_on) == ("error", "no test ran for it", "none")


def test_a_requirement_out_of_scope_has_no_result() -> None:
    assert judge([requirement("server.ping", in_scope=False)], [], []) == ()


@pytest.mark.parametrize("identifier", ["server.ping", "no.such"])
def test_a_check_out_of_scope_is_refused_and_not_dropped(identifier: str) -> None:
    with pytest.raises(RecordInconsistentError, match="not in scope"):
        judge([requirement("server.ping", in_scope=False)], [check(identifier, "fail")], [])


def test_a_pass_without_its_witness_is_inconclusive_and_says_which() -> None:
    entry = requirement("server.ping", witness={"commands": 5, "keys": 58, "tenants": 1})
    result = _judged(check("server.ping", observations={"keys": 57, "tenants": 9}), entry=entry)

    assert result.outcome is Outcome.INCONCLUSIVE
    assert "2 of at least 5 commands, 57 of at least 58 keys" in result.reason
    assert "tenants" not in result.reason


def test_the_witness_is_summed_over_the_checks() -> None:
    entry = requirement("server.ping", witness={"commands": 4, "keys": 58})
    half = check("server.ping", observations={"keys": 29})

    assert _judged(half, half, entry=entry).outcome is Outcome.PASS


def test_a_fail_needs_no_witness() -> None:
    assert _judged(check("server.ping", "fail", operations=0)).outcome is Outcome.FAIL


@pytest.mark.parametrize(
    ("raw", "outcome"),
    [
        ("fail", "waived"),
        ("inconclusive", "waived"),
        ("skipped", "waived"),
        ("not-offered", "waived"),
        ("pass", "fail"),
        ("error", "error"),
        ("not-applicable", "fail"),
    ],
)
def test_a_waiver_covers_a_deviation_and_nothing_else(raw: str, outcome: str) -> None:
    assert _judged(check("server.ping", raw), waived=True).outcome == outcome


def test_a_waiver_that_is_not_needed_any_more_fails() -> None:
    result = _judged(check("server.ping"), waived=True)

    assert result.reason == "the waiver is not needed (pass): remove it"


def test_a_waived_result_says_who_waived_what_until_when() -> None:
    result = _judged(check("server.ping", "fail", "no answer"), waived=True)

    assert result.reason == (
        "fail waived by platform team until 2026-12-31: the maintenance window is in December "
        "(no answer)"
    )


def test_a_result_shows_the_worst_evidence_first_and_at_most_twenty() -> None:
    found = [Finding(where=str(number), found="f", wanted="w") for number in range(30)]
    result = _judged(
        check("server.ping", "pass", evidence=tuple(found[:15])),
        check("server.ping", "fail", evidence=tuple(found[15:]), evidence_total=99),
    )

    assert result.evidence == (*found[15:], *found[:5])
    assert result.evidence_total == 99 + 15


def test_what_one_test_found_over_and_over_leaves_room_for_what_another_found() -> None:
    often = [Finding(where=f"often {number}", found="f", wanted="w") for number in range(20)]
    seldom = [Finding(where=f"seldom {number}", found="f", wanted="w") for number in range(3)]
    never = Finding(where="of a test that passed", found="f", wanted="w")
    result = _judged(
        check("server.ping", "pass", evidence=(never,)),
        check("server.ping", "fail", evidence=tuple(often)),
        check("server.ping", "fail", evidence=tuple(seldom)),
        check("server.ping", "fail", evidence=tuple(often)),
    )

    assert result.evidence == (*often[:9], *seldom, *often[:8])
    assert result.evidence_total == 44


def test_a_result_names_both_places_where_its_checks_ran() -> None:
    assert _judged(check("server.ping"), check("server.ping", ran_on="bench")).ran_on == "both"


def _verdict(*outcomes: tuple[str, str]) -> Verdict:
    """Judge one requirement for each pair of level and outcome."""
    entries = [requirement(f"server.r{n}", level=level) for n, (level, _) in enumerate(outcomes)]
    waived = [waiver(e.id) for e, (_, o) in zip(entries, outcomes, strict=True) if o == "waived"]
    checks = [
        check(e.id, "fail" if outcome == "waived" else outcome)
        for e, (_, outcome) in zip(entries, outcomes, strict=True)
    ]
    return verdict_of(judge(entries, checks, waived))


@pytest.mark.parametrize(
    ("outcomes", "verdict"),
    [
        ([("MUST", "pass")], "conformant"),
        ([("MUST", "pass"), ("MUST", "not-applicable")], "conformant"),
        ([("MUST", "pass"), ("SHOULD", "fail"), ("HAZARD", "fail")], "conformant"),
        ([("MUST", "pass"), ("SHOULD", "inconclusive")], "conformant"),
        ([("MUST", "pass"), ("SHOULD", "skipped")], "conformant"),
        ([("MUST", "pass"), ("MUST", "skipped")], "partial"),
        ([("MUST", "pass"), ("MUST", "not-offered")], "partial"),
        ([("MUST", "waived")], "partial"),
        ([("MUST", "inconclusive"), ("MUST", "skipped")], "inconclusive"),
        ([("MUST", "inconclusive"), ("MUST", "error")], "error"),
        ([("MUST", "pass"), ("HAZARD", "error")], "error"),
        ([("MUST", "fail"), ("MUST", "error")], "non-conformant"),
        ([], "nothing-ran"),
        ([("MUST", "skipped"), ("MUST", "not-offered")], "nothing-ran"),
        ([("MUST", "not-applicable")], "nothing-ran"),
    ],
)
def test_the_verdict_follows_the_precedence(outcomes: list[tuple[str, str]], verdict: str) -> None:
    assert _verdict(*outcomes) == verdict


def test_each_verdict_has_its_own_exit_code_and_only_conformant_is_zero() -> None:
    assert set(EXIT_CODES) == set(Verdict)
    assert len(set(EXIT_CODES.values())) == len(EXIT_CODES)
    assert [verdict for verdict, code in EXIT_CODES.items() if code == 0] == ["conformant"]


def test_accepting_partial_accepts_nothing_else() -> None:
    for verdict in Verdict:
        accepted = exit_code(verdict, ["partial"])
        assert accepted == (0 if verdict is Verdict.PARTIAL else EXIT_CODES[verdict])
        assert exit_code(verdict, []) == EXIT_CODES[verdict]


def test_an_accepted_partial_run_stays_partial_in_its_record(tmp_path: Path) -> None:
    run = Run(
        checks=[check("server.ping", "fail")],
        waivers=(waiver("server.ping"),),
        accept=("partial",),
    )
    record = run.record(tmp_path)

    assert (record.verdict, record.footer.exit_code) == (Verdict.PARTIAL, 0)


@given(runs(), st.randoms(use_true_random=False))
def test_the_order_of_checks_changes_no_outcome(run: Run, shuffler: random.Random) -> None:
    shuffled = list(run.checks)
    shuffler.shuffle(shuffled)
    straight = judge(run.requirements, run.checks, run.waivers)
    other = judge(run.requirements, shuffled, run.waivers)

    assert [r.outcome for r in straight] == [r.outcome for r in other]
    assert [r.seconds for r in straight] == [r.seconds for r in other]
    assert verdict_of(straight) == verdict_of(other)


@given(runs(), st.data())
def test_one_more_failing_check_never_improves_a_run(run: Run, data: st.DataObject) -> None:
    scope = [entry.id for entry in run.requirements if entry.in_scope and entry.gating]
    waived = {entry.requirement for entry in run.waivers}
    bare = [identifier for identifier in scope if identifier not in waived]
    if bare:
        failing = check(data.draw(st.sampled_from(bare)), "fail")
        results = judge(run.requirements, [*run.checks, failing], run.waivers)
        assert verdict_of(results) in {Verdict.NON_CONFORMANT, Verdict.ERROR}


@given(runs())
def test_every_requirement_in_scope_counts_once(run: Run) -> None:
    results = judge(run.requirements, run.checks, run.waivers)

    assert [r.requirement for r in results] == [e.id for e in run.requirements if e.in_scope]
    assert sum(count_outcomes(results).values()) == len(results)


def test_no_outcome_is_left_out_of_the_precedence() -> None:
    assert set(WORST_FIRST) == set(Outcome) - {Outcome.WAIVED}
