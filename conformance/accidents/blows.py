# SPDX-License-Identifier: Apache-2.0
"""Blows: at which moment an accident hits a call, and what is asked next; drawn by Hypothesis."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from hypothesis import example, settings
from hypothesis import strategies as st

from kryonix_cache.conformance.accidents.callers import Call, What
from kryonix_cache.conformance.model import programs

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from kryonix_cache.conformance.accidents.callers import AsyncCaller, Caller

Moment = Literal["unsent", "turns", "connecting", "unarrived", "held", "part"]
_MOST_BYTES = 120
_MOST_TURNS = 12
_MOST_STEPS = 5
_WORDS = {
    "unsent": "before it began",
    "turns": "after {} turns of the event loop",
    "connecting": "while its connection was made",
    "unarrived": "before the request arrived",
    "held": "before the reply came",
    "part": "after {} bytes of the reply",
    "cut": "(the connection was cut after {} bytes of the reply)",
}

SETTINGS = settings(programs.SETTINGS, max_examples=5)
NIGHTLY = settings(SETTINGS, max_examples=300)


@dataclass(frozen=True, slots=True)
class Blow:
    """When a call is hit; `amount` counts turns or bytes where the moment has any.

    With `at_once` the next calls are made before the lost reply comes, else after it.
    """

    moment: Moment | Literal["cut"]
    amount: int = 0
    at_once: bool = True

    def __str__(self) -> str:
        words = _WORDS[self.moment].format(self.amount)
        return f"{words}, others asking at once" if self.at_once else words


@dataclass(frozen=True, slots=True)
class Step:
    """One call, and what hits it; None lets it be."""

    call: Call
    blow: Blow | None


def calls() -> st.SearchStrategy[Call]:
    """Draw calls on any of the cells."""
    return st.builds(Call, cell=st.integers(0, 7), what=st.sampled_from(get_args(What)))


def blows(*moments: Moment | Literal["cut"]) -> st.SearchStrategy[Blow]:
    """Draw blows at these moments."""

    def of(moment: Moment | Literal["cut"]) -> st.SearchStrategy[Blow]:
        most = {"turns": _MOST_TURNS, "part": _MOST_BYTES, "cut": _MOST_BYTES}.get(moment, 0)
        return st.builds(
            Blow, moment=st.just(moment), amount=st.integers(0, most), at_once=st.booleans()
        )

    return st.one_of(*(of(moment) for moment in moments))


def stories(*moments: Moment | Literal["cut"]) -> st.SearchStrategy[list[Step]]:
    """Draw stories of up to five steps."""
    step = st.builds(Step, call=calls(), blow=st.one_of(st.none(), blows(*moments)))
    return st.lists(step, min_size=1, max_size=_MOST_STEPS)


def each_kind(
    blows: Sequence[Blow], *whats: What, families: Sequence[Sequence[int]], whole: bool
) -> list[Step]:
    """Return each kind of call with each blow, for each family on one of its cells after the other.

    `families` are the cells that one family has, by their indices. Unless it is to be the
    `whole`, a blow after which nobody asks at once hits one kind of call, each kind in turn.
    """
    pairs = [
        (what, blow)
        for n, what in enumerate(whats)
        for m, blow in enumerate(blows)
        if whole or blow.at_once or m % len(whats) == n
    ]
    return [
        Step(Call(cells[number % len(cells)], what), blow)
        for cells in families
        for number, (what, blow) in enumerate(pairs)
    ]


def always(
    steps: Sequence[Step],
) -> Callable[[Callable[[list[Step]], None]], Callable[[list[Step]], None]]:
    """Play each step as a story of its own, before what is drawn; as `hypothesis.example` does."""

    def decorate(test: Callable[[list[Step]], None]) -> Callable[[list[Step]], None]:
        # The decorator that is nearest to the function is played first.
        for step in steps:
            test = example([step])(test)
        return test

    return decorate


def told(step: Step, caller: Caller | AsyncCaller, word: str) -> str:
    """Return how a finding shows a step; `word` says what the blow does to the call."""
    call = caller.told(step.call)
    return call if step.blow is None else " ".join(filter(None, (call, word, str(step.blow))))
