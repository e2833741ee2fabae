# SPDX-License-Identifier: Apache-2.0
"""
Landings: whether an accident hit what it was to hit, and was felt by whom it was to be felt.

An accident that came too early or too late shows nothing. It is made again, and where it never
lands there is no verdict: a machine that is busy must not make a faulty system pass.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kryonix_cache.conformance.accidents.blows import Blow, Step
from kryonix_cache.conformance.outcomes import Inconclusive

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from kryonix_cache.conformance.accidents.callers import Call
    from kryonix_cache.conformance.accidents.scene import Scene

ATTEMPTS = 10


class Landings:
    """Which blows have landed on which calls."""

    def __init__(self) -> None:
        self._landed: set[Step] = set()

    def note(self, call: Call, blow: Blow) -> None:
        """Note that a blow has landed on a call."""
        self._landed.add(Step(call, blow))

    def missed(self, steps: Sequence[Step]) -> list[Step]:
        """Return those of the steps of which the blow has not landed yet."""
        return [step for step in steps if step not in self._landed]

    def demand(
        self,
        steps: Sequence[Step],
        hit: Callable[[list[Step]], None],
        told: Callable[[Step], str],
    ) -> None:
        """Play again those of the steps that have not landed, each as a story of its own.

        Raises Inconclusive, with what `told` says of it, for one that does not.
        """
        for step in self.missed(steps):
            for _ in range(ATTEMPTS):
                hit([step])
                if not self.missed([step]):
                    break
            else:
                raise in_vain(told(step))


def demand(scene: Scene, accident: Callable[[], bool], told: str) -> None:
    """Make an accident until it says that it landed.

    Raises Inconclusive where it does not.
    """
    for _ in range(ATTEMPTS):
        landed = accident()
        scene.evidence.settle()
        if landed:
            return
    raise in_vain(told)


def in_vain(told: str) -> Inconclusive:
    """Return what is raised for an accident that never landed."""
    return Inconclusive(
        f"{told}: in {ATTEMPTS} attempts nobody was hit who waited, or nobody asked in time"
    )
