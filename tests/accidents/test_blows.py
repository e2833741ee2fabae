# SPDX-License-Identifier: Apache-2.0
"""Stories of accidents: what is always played, and how it reads."""

from __future__ import annotations

import pytest
from hypothesis import find, given, settings

from kryonix_cache.conformance.accidents.blows import (
    SETTINGS,
    Blow,
    Step,
    always,
    each_kind,
    stories,
    told,
)
from kryonix_cache.conformance.accidents.callers import Call, Caller
from kryonix_cache.conformance.accidents.witness import Witness
from kryonix_cache.conformance.evidence import Evidence
from tests.accidents.dictionaries import Answers, cell

FAMILIES = [(0, 1), (2,)]


def test_each_kind_of_call_on_each_family_meets_each_blow() -> None:
    blows = [Blow("held"), Blow("part", 3)]
    steps = each_kind(blows, "read", "write", families=FAMILIES, whole=True)
    assert {
        (FAMILIES.index(next(cells for cells in FAMILIES if step.call.cell in cells)), what, blow)
        for step in steps
        for what, blow in [(step.call.what, step.blow)]
    } == {(family, what, blow) for family in (0, 1) for what in ("read", "write") for blow in blows}
    assert len(steps) == 8
    assert {step.call.cell for step in steps} == {0, 1, 2}


def test_a_part_still_meets_each_kind_of_call_and_each_blow() -> None:
    blows = [Blow("held", at_once=at_once) for at_once in (True, False)]
    blows += [Blow("part", 3, at_once=at_once) for at_once in (True, False)]
    steps = each_kind(blows, "read", "write", families=[(0, 1, 2)], whole=False)
    assert len(steps) == 6
    met = {(step.call.what, step.blow) for step in steps}
    assert {blow for _, blow in met} == set(blows)
    assert {what for what, blow in met if blow == blows[0]} == {"read", "write"}
    assert len({what for what, blow in met if blow == blows[1]}) == 1


def test_what_is_always_played_comes_before_what_is_drawn() -> None:
    steps = each_kind([Blow("held")], "read", "write", families=FAMILIES, whole=True)
    played: list[list[Step]] = []

    @settings(SETTINGS, max_examples=1)
    @given(stories("held"))
    @always(steps)
    def play(story: list[Step]) -> None:
        played.append(story)

    play()
    assert sorted(map(str, played[: len(steps)])) == sorted(str([step]) for step in steps)


@pytest.mark.parametrize(
    ("blow", "words"),
    [
        (None, "write(a-0)"),
        (Blow("unsent", at_once=False), "write(a-0) cancelled before it began"),
        (Blow("held"), "write(a-0) cancelled before the reply came, others asking at once"),
        (Blow("part", 7, at_once=False), "write(a-0) cancelled after 7 bytes of the reply"),
    ],
)
def test_a_step_reads_as_what_happened(blow: Blow | None, words: str) -> None:
    caller = Caller([cell(Answers(), "a-0")], Witness(Evidence(), in_process=True))
    assert told(Step(Call(0, "write"), blow), caller, "cancelled") == words


def test_a_story_shrinks_to_the_step_that_matters() -> None:
    story = find(
        stories("held", "part"),
        lambda steps: any(step.blow and step.blow.amount > 4 for step in steps),
        settings=settings(SETTINGS, max_examples=500),
    )
    assert story == [Step(Call(0, "read"), Blow("part", 5, at_once=False))]
