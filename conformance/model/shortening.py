# SPDX-License-Identifier: Apache-2.0
"""
Shortening: from the steps that showed a breach to the fewest and plainest that still do.

Hypothesis could do it by drawing again, but it knows of choices only, and needs minutes where
each try is played against a server. Steps are data, so they are dropped and simplified here.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations
from typing import TYPE_CHECKING, TypeVar

from kryonix_cache.conformance.model.programs import TENANT_NAMES
from kryonix_cache.conformance.model.steps import AtOnce, Pause, Single

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from kryonix_cache.conformance.model.operations import Call
    from kryonix_cache.conformance.model.steps import Step

T = TypeVar("T")

MOST_TRIES = 250
_PLAINER: tuple[Mapping[str, int], ...] = (
    {"index": 0, "number": 0},
    {"index": 0},
    {"index": 1},
    {"number": 0},
    {"number": 1},
    {"number": 2},
)


def shortened(
    steps: Sequence[Step], still: Callable[[Sequence[Step]], bool], most: int = MOST_TRIES
) -> list[Step]:
    """Return the shortest steps found for which `still` holds, after so many tries at most."""
    return _Shortener(still, most).run(list(steps))


def fewer(items: list[T], still: Callable[[list[T]], bool]) -> list[T]:
    """Return what is left when runs of items are dropped, long ones first, while `still` holds."""
    size = max(1, len(items) // 2)
    while True:
        start = len(items) - size
        while start >= 0:
            without = items[:start] + items[start + size :]
            if without and still(without):
                items = without
            start -= size
        if size == 1:
            return items
        size //= 2


class _Shortener:
    def __init__(self, still: Callable[[Sequence[Step]], bool], most: int) -> None:
        self._still = still
        self._left = most
        self._seen: set[str] = set()

    def run(self, steps: list[Step]) -> list[Step]:
        before: list[Step] = []
        while steps != before and self._left:
            before = steps
            steps = fewer(steps, self._holds)
            for variants in (_apart, _fewer_calls):
                steps = self._first(steps, variants)
            steps = self._once(self._once(steps, _all_plainer), _renamed)
            steps = self._first(steps, _plainer_calls)
        return steps

    def _holds(self, steps: Sequence[Step]) -> bool:
        text = repr(steps)
        if not self._left or not steps or text in self._seen:
            return False
        self._seen.add(text)
        self._left -= 1
        return self._still(steps)

    def _first(
        self, steps: list[Step], variants: Callable[[Step], Iterator[tuple[Step, ...]]]
    ) -> list[Step]:
        """Put the first variant of each step in its place that still shows it."""
        place = 0
        while place < len(steps):
            for variant in variants(steps[place]):
                tried = [*steps[:place], *variant, *steps[place + 1 :]]
                if self._holds(tried):
                    steps = tried
                    break
            place += 1
        return steps

    def _once(
        self, steps: list[Step], variants: Callable[[Sequence[Step]], Iterator[list[Step]]]
    ) -> list[Step]:
        for variant in variants(steps):
            if variant == steps:
                return steps
            if self._holds(variant):
                return variant
        return steps


def _apart(step: Step) -> Iterator[tuple[Step, ...]]:
    """Take apart what happens at once."""
    if isinstance(step, AtOnce):
        yield tuple(Single(call) for call in step.calls)


def _fewer_calls(step: Step) -> Iterator[tuple[Step, ...]]:
    if isinstance(step, AtOnce):
        for place in reversed(range(len(step.calls))):
            rest = step.calls[:place] + step.calls[place + 1 :]
            if rest:
                yield (replace(step, calls=rest),)


def _plainer_calls(step: Step) -> Iterator[tuple[Step, ...]]:
    for changes in _PLAINER:
        variant = _changed(step, changes)
        if _weight(variant) < _weight(step):
            yield (variant,)


def _weight(step: Step) -> int:
    return sum(call.index + call.number for call in step.calls)


def _all_plainer(steps: Sequence[Step]) -> Iterator[list[Step]]:
    """Make all calls plainer together: what meets in one place meets in the first one too."""
    for changes in _PLAINER[:2]:
        yield [_changed(step, changes) for step in steps]


def _renamed(steps: Sequence[Step]) -> Iterator[list[Step]]:
    """Let plainer tenants play the parts."""
    cast = list(dict.fromkeys(call.tenant for step in steps for call in step.calls))
    for names in permutations(TENANT_NAMES, len(cast)):
        parts = dict(zip(cast, names, strict=True))
        yield [
            _made_of(step, [replace(call, tenant=parts[call.tenant]) for call in step.calls])
            for step in steps
        ]


def _changed(step: Step, changes: Mapping[str, int]) -> Step:
    return _made_of(step, [replace(call, **changes) for call in step.calls])  # type: ignore[arg-type] # the names are those of numbers


def _made_of(step: Step, calls: Sequence[Call]) -> Step:
    """Return the step with other calls in the places of its own."""
    match step:
        case Single():
            return Single(calls[0])
        case AtOnce():
            return replace(step, calls=tuple(calls))
        case Pause():
            return step
