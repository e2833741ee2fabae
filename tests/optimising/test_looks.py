# SPDX-License-Identifier: Apache-2.0
"""What changed between two looks at a server, and what only passed."""

from __future__ import annotations

import pytest

from kryonix_cache.conformance.datasets import Content
from kryonix_cache.conformance.evidence import Evidence
from kryonix_cache.conformance.optimising.looks import (
    Look,
    judge_lifetime,
    judge_untouched,
    lengthened_ms,
)

PLACE = (1, b"tenant:acme:api:crm:list")
BEGAN = 1000.0


def a_look(ttl: int | None, at: float, value: bytes = b"x", took: float = 0.1) -> Look:
    """Return what is seen of one key, or of none, `at` seconds after the beginning."""
    keys = {} if ttl is None else {PLACE: Content("string", value, ttl)}
    return Look(keys, BEGAN + at, BEGAN + at + took)


@pytest.mark.parametrize(
    ("before", "after", "passed", "sign"),
    [
        (900_000, 899_000, 1, 0),
        (900_000, 840_000, 60, 0),
        (900_000, 900_000, 60, 1),
        (900_000, 1_350_000, 1, 1),
        (900_000, 890_000, 1, -1),
        (-1, -1, 60, 0),
        (-1, 900_000, 1, -1),
        (900_000, -1, 1, 1),
    ],
)
def test_a_key_lives_longer_shorter_or_as_long_less_what_passed(
    before: int, after: int, passed: float, sign: int
) -> None:
    more = lengthened_ms(a_look(before, 0), a_look(after, passed), PLACE)
    assert (more > 0) - (more < 0) == sign


def findings_of(before: Look, after: Look) -> list[str]:
    evidence = Evidence()
    judge_untouched(evidence, before, after, [PLACE], "a test")
    return [each.found for each in evidence.findings]


def test_another_value_time_to_live_or_no_key_is_found() -> None:
    before = a_look(900_000, 0)
    assert findings_of(before, a_look(899_000, 1)) == []
    assert findings_of(before, a_look(899_000, 1, b"y")) == ["another value"]
    assert findings_of(before, a_look(1_350_000, 1)) == ["1350.0 s"]
    assert findings_of(before, a_look(None, 1)) == ["no key any more"]


def test_a_key_that_ended_meanwhile_is_no_finding() -> None:
    assert findings_of(a_look(500, 0), a_look(None, 1)) == []


@pytest.mark.parametrize(
    ("ttl", "right"), [(1_350_000, True), (1_348_600, True), (1_340_000, False), (1_353_000, False)]
)
def test_a_lifetime_is_judged_by_what_may_have_passed(ttl: int, *, right: bool) -> None:
    evidence = Evidence()
    before, after = a_look(900_000, 0), a_look(ttl, 1)
    judge_lifetime(evidence, before, after, PLACE, wanted_s=1350, why="a test")
    assert (evidence.total == 0) is right


def test_a_lifetime_of_another_value_is_a_finding() -> None:
    evidence = Evidence()
    before, after = a_look(900_000, 0), a_look(1_350_000, 1, b"y")
    judge_lifetime(evidence, before, after, PLACE, wanted_s=1350, why="a test")
    assert [each.found for each in evidence.findings] == ["another value"]
