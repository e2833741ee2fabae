# SPDX-License-Identifier: Apache-2.0
"""An accident that does not land is made again, and one that never does is no pass."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import pytest

from kryonix_cache.conformance.accidents.blows import Blow, Step
from kryonix_cache.conformance.accidents.callers import Call
from kryonix_cache.conformance.accidents.landings import ATTEMPTS, Landings, demand
from kryonix_cache.conformance.evidence import Evidence
from kryonix_cache.conformance.outcomes import Inconclusive, RequirementNotMetError

if TYPE_CHECKING:
    from kryonix_cache.conformance.accidents.scene import Scene

BLOW = Blow("held")
STEPS = [Step(Call(0, "read"), BLOW), Step(Call(4, "read"), BLOW)]


class _Scene:
    def __init__(self) -> None:
        self.evidence = Evidence()


def scene() -> Scene:
    """Return a scene of which only the evidence is looked at."""
    return cast("Scene", _Scene())


def test_a_blow_counts_for_its_own_cell_only() -> None:
    landings = Landings()
    landings.note(Call(0, "read"), BLOW)
    landings.note(Call(4, "write"), BLOW)
    assert landings.missed(STEPS) == STEPS[1:]


def test_what_has_not_landed_is_played_until_it_does() -> None:
    landings = Landings()
    landings.note(Call(0, "read"), BLOW)
    played: list[list[Step]] = []

    def hit(story: list[Step]) -> None:
        played.append(story)
        if len(played) == ATTEMPTS:
            landings.note(story[0].call, BLOW)

    landings.demand(STEPS, hit, str)
    assert played == [STEPS[1:]] * ATTEMPTS


def test_what_never_lands_is_inconclusive_and_named() -> None:
    with pytest.raises(Inconclusive, match=r"the held read: in \d+ attempts"):
        Landings().demand(STEPS, lambda _: None, lambda _: "the held read")


def test_an_accident_is_made_until_it_lands() -> None:
    landed = iter([False, False, True])
    demand(scene(), lambda: next(landed), "a crowd")
    assert list(landed) == []


def test_an_accident_that_never_lands_is_inconclusive() -> None:
    with pytest.raises(Inconclusive, match="a crowd: in"):
        demand(scene(), lambda: False, "a crowd")


def test_what_an_accident_shows_without_landing_is_a_failure_all_the_same() -> None:
    made_up = scene()

    def accident() -> bool:
        made_up.evidence.found("here", found="another's reply", wanted="one's own")
        return False

    with pytest.raises(RequirementNotMetError):
        demand(made_up, accident, "a crowd")
