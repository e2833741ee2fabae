# SPDX-License-Identifier: Apache-2.0
"""Steps: what a program is made of, one call, calls of several tenants at once, or a pause."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kryonix_cache.conformance.model.operations import Call


@dataclass(frozen=True, slots=True)
class Single:
    """One call that is answered before the next step begins."""

    call: Call

    def __str__(self) -> str:
        return str(self.call)

    @property
    def calls(self) -> tuple[Call, ...]:
        """The calls of the step."""
        return (self.call,)


@dataclass(frozen=True, slots=True)
class AtOnce:
    """Calls of several tenants at once, each tenant's own in their order."""

    calls: tuple[Call, ...]
    by: Literal["threads", "tasks"]

    def __str__(self) -> str:
        return f"at once by {self.by} ({'; '.join(map(str, self.calls))})"

    @property
    def by_tenant(self) -> dict[str, list[int]]:
        """For each tenant the places of its calls."""
        found: dict[str, list[int]] = {}
        for place, call in enumerate(self.calls):
            found.setdefault(call.tenant, []).append(place)
        return found


@dataclass(frozen=True, slots=True)
class Pause:
    """So many seconds pass for all that expires."""

    seconds: int

    def __str__(self) -> str:
        return f"{self.seconds} s pass"

    @property
    def calls(self) -> tuple[Call, ...]:
        """No call."""
        return ()


Step: TypeAlias = Single | AtOnce | Pause


def written(steps: Sequence[Step]) -> str:
    """Return the steps in one line."""
    return "; ".join(map(str, steps)) or "nothing"


@dataclass(frozen=True, slots=True)
class Turn:
    """A call that was made, what the system answered, and what it must answer."""

    call: Call
    found: object
    wanted: object
