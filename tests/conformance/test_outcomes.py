# SPDX-License-Identifier: Apache-2.0
"""How a test ends decides its outcome, and no way of ending hides as another."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

import pytest
import redis
from hypothesis.errors import FlakyFailure

from kryonix_cache.conformance.outcomes import RequirementNotMetError, outcome_of
from tests.conformance.runs import conformance

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conformance.runs import Run

# One requirement for each way to end. The suite's own test of each passes: what is seen is that
# the extra test is not outvoted by a pass.
ENDINGS = {
    "config.databases": ("assert False, 'two are missing'", "fail", "two are missing"),
    "config.aof": ("raise KeyError('appendonly')", "error", "KeyError"),
    "config.tcp-backlog": ("pytest.skip('flaky')", "skipped", "flaky"),
    "config.tcp-keepalive": ("raise NotOffered('no sockets')", "not-offered", "no sockets"),
    "config.snapshots": ("raise Inconclusive('denied')", "inconclusive", "denied"),
    "config.idle-timeout": ("raise NotApplicable('no clients')", "pass", ""),
    "config.hash-encoding": ("raise redis.TimeoutError('gone')", "error", "the target was lost"),
    "config.list-encoding": ("pytest.xfail('known')", "error", "known"),
    "config.set-encoding": ("pytest.exit", "pass", ""),
}
HEAD = """
    import pytest
    import redis
    from kryonix_cache.conformance.outcomes import Inconclusive, NotApplicable, NotOffered
"""
TAIL = """
    @pytest.mark.requirement("config.zset-encoding")
    @pytest.mark.xfail(reason="known for years")
    def test_known(): assert False, "still broken"

    @pytest.mark.requirement("config.maxmemory")
    @pytest.mark.skip(reason="flaky since last year")
    def test_flaky(): ...

    @pytest.fixture
    def broken(): raise ValueError("no such thing")

    @pytest.mark.requirement("config.eviction-policy")
    def test_setup(broken): ...

    @pytest.fixture
    def untidy():
        yield
        assert False, "left behind"

    @pytest.mark.requirement("config.eviction-samples")
    def test_teardown(untidy): ...
"""


def extra_tests(folder: Path, text: str) -> str:
    """Write a file of tests that a run judges beside its own."""
    path = folder / "test_extra.py"
    path.write_text(textwrap.dedent(text))
    return str(path)


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("endings")
    tests = [
        f'    @pytest.mark.requirement("{requirement}")\n    def test_{number}(): {statement}\n'
        for number, (requirement, (statement, _, _)) in enumerate(ENDINGS.items())
    ]
    path = extra_tests(folder, HEAD + "\n" + "\n".join(tests) + TAIL)
    return conformance(
        *("--target", "embedded", "--select", "config", "--", path), out=folder / "out"
    )


@pytest.mark.parametrize("requirement", ENDINGS)
def test_an_ending_is_not_outvoted_by_a_pass(requirement: str, ended: Run) -> None:
    _, outcome, reason = ENDINGS[requirement]
    result = ended.result(requirement)
    assert (result.outcome.value, reason in result.reason) == (outcome, True), result.reason


@pytest.mark.parametrize(
    ("requirement", "outcome", "reason"),
    [
        ("config.zset-encoding", "fail", "still broken"),
        ("config.maxmemory", "skipped", "flaky since last year"),
        ("config.eviction-policy", "error", "no such thing"),
        ("config.eviction-samples", "error", "the teardown did not pass: left behind"),
    ],
)
def test_f13_no_mark_and_no_fixture_hides_an_ending(
    requirement: str, outcome: str, reason: str, ended: Run
) -> None:
    result = ended.result(requirement)
    assert result.outcome.value == outcome
    assert reason in result.reason


def test_a_failure_beside_errors_is_non_conformant(ended: Run) -> None:
    assert (ended.code, ended.record.verdict.value) == (1, "non-conformant")


@pytest.mark.parametrize(
    ("mark", "sentence"),
    [
        ("", "carries no requirement mark"),
        ('@pytest.mark.requirement("config.aoff")', "There is no requirement 'config.aoff'"),
    ],
    ids=["none", "unknown"],
)
def test_a_test_that_judges_nothing_known_stops_the_run(
    mark: str, sentence: str, tmp_path: Path
) -> None:
    path = extra_tests(tmp_path, f"import pytest\n{mark}\ndef test_more(): ...\n")
    run = conformance(
        *("--target", "embedded", "--select", "isolation.key-builder", "--", path),
        out=tmp_path / "out",
    )
    assert run.code == 3
    assert sentence in run.output + run.errors


def test_a_breach_that_comes_and_goes_is_a_failure() -> None:
    error = FlakyFailure("differs", [RequirementNotMetError("2 findings", ["a: found b"])])
    outcome, reason = outcome_of(error)
    assert outcome == "fail"
    assert reason.startswith("2 findings; it did not show each time")


def test_a_breach_while_the_target_is_lost_is_no_failure() -> None:
    gone = redis.ConnectionError("refused")
    error = FlakyFailure("differs", [RequirementNotMetError("2 findings"), gone])
    assert outcome_of(error) == ("error", "the target was lost: refused")
