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
    stories,
    told,
)
from kryonix_cache.conformance.accidents.callers import Call, Caller
from kryonix_cache.conformance.accidents.witness import Witness
from kryonix_cache.conformance.evidence import Evidence
from tests.accidents.dictionaries import Answers, cell


def test_each_kind_of_call_always_meets_each_blow() -> None:
    blows = [Blow("held"), Blow("part", 3)]
    played: list[list[Step]] = []

    @settings(SETTINGS, max_examples=1)
    @given(stories("held"))
    @always(blows, "read", "write", cells=3, whole=True)
    def play(story: list[Step]) -> None:
        played.append(story)

    play()
    always_played = [story[0] for story in played if len(story) == 1][: len(blows) * 2]
    assert {(step.call.what, step.blow) for step in always_played} == {
        (what, blow) for what in ("read", "write") for blow in blows
    }
    assert {step.call.cell for step in always_played} == {0, 1, 2}


def test_a_part_still_meets_each_kind_of_call_and_each_blow() -> None:
    blows = [Blow("held", at_once=at_once) for at_once in (True, False)]
    blows += [Blow("part", 3, at_once=at_once) for at_once in (True, False)]
    played: list[list[Step]] = []

    @settings(SETTINGS, max_examples=1)
    @given(stories("held"))
    @always(blows, "read", "write", cells=3, whole=False)
    def play(story: list[Step]) -> None:
        played.append(story)

    play()
    met = {(step.call.what, step.blow) for (step,) in played[:6]}
    assert {blow for _, blow in met} == set(blows)
    assert {what for what, blow in met if blow == blows[0]} == {"read", "write"}
    assert len({what for what, blow in met if blow == blows[1]}) == 1


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
