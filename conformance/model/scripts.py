# SPDX-License-Identifier: Apache-2.0
"""
Scripts: programs that are always played, before any are drawn.

What is drawn meets most lies and some only by luck. These are the orders of calls in which known
lies come out: an entry until the end of its time and beyond, an entry that is gone for one tenant
and there for another, a deep queue, and everybody at once.
"""

from __future__ import annotations

from itertools import permutations
from typing import TYPE_CHECKING, Literal

from kryonix_cache.conformance.model.operations import Aspect, Call, Pop, Push, Write
from kryonix_cache.conformance.model.programs import BRIEF_SECONDS, MOST_LANES, TENANT_NAMES
from kryonix_cache.conformance.model.steps import AtOnce, Pause, Single

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from kryonix_cache.conformance.model.operations import Operation
    from kryonix_cache.conformance.model.steps import Step

    Script = list[Step]

_OWNER, _NEIGHBOUR = TENANT_NAMES[:2]
_DEPTH = 6
_ROUNDS = 2
_ROUND: tuple[Aspect, ...] = ("write", "read", "read", "list", "delete", "read", "write", "read")
_MOST_ENTRIES = MOST_LANES // 2
_ASYNC = "async_tenant_store"
_LOOKS = {"read", "list"}


def scripts(operations: Sequence[Operation]) -> Iterator[Script]:
    """Yield the scripts that can be played with these operations, those in turns first."""
    for operation in operations:
        about = [each for each in operations if _kind(each) == _kind(operation)]
        if isinstance(operation, Write):
            for owner, neighbour in permutations(TENANT_NAMES[:2]):
                yield from _lifetimes(owner, neighbour, operation, about)
        if operation.aspect == "delete":
            yield _gone_for_one(operation, about)
        if isinstance(operation, Push):
            yield _deep_queue(operation, about)
    # No more at once than there are lanes: two tenants on all of their entries, then all of them.
    yield from _everybody((_OWNER, _NEIGHBOUR), operations, entries=_MOST_ENTRIES)
    yield from _everybody(TENANT_NAMES, operations, entries=1)


def _kind(operation: Operation) -> str | None:
    return operation.entries[0].kind if operation.entries else None


def _looks(tenant: str, about: Sequence[Operation], index: int = 0) -> list[Step]:
    return [Single(Call(tenant, each, index)) for each in about if each.aspect in _LOOKS]


def _lifetimes(
    owner: str, neighbour: str, write: Write, about: Sequence[Operation]
) -> Iterator[Script]:
    """Yield for each time to live an entry that is looked at until it is over, and after.

    A read is no activity: it makes nothing live longer. Nor does a neighbour that comes late
    make it live longer or shorter.
    """
    for number, seconds in enumerate(write.lifetimes or (write.lifetime,)):
        if seconds is None or seconds <= BRIEF_SECONDS:
            continue
        looks = _looks(owner, about)
        yield [
            Single(Call(owner, write, 0, number)),
            *looks,
            Pause(seconds - BRIEF_SECONDS),
            *looks,
            Single(Call(neighbour, write, 0, number)),
            *looks,
            Pause(BRIEF_SECONDS),
            *looks,
        ]


def _gone_for_one(delete: Operation, about: Sequence[Operation]) -> Script:
    """Return a script in which one tenant deletes what it and its neighbour have."""
    writes = [each for each in about if each.aspect == "write"][:1]
    return [
        *(Single(Call(name, each)) for each in writes for name in (_OWNER, _NEIGHBOUR)),
        Single(Call(_OWNER, delete)),
        *_looks(_OWNER, about),
        *_looks(_NEIGHBOUR, about),
        Single(Call(_OWNER, delete)),
    ]


def _deep_queue(push: Push, about: Sequence[Operation]) -> Script:
    """Return a script with more jobs than a program that is drawn lets wait."""
    pops = [each for each in about if isinstance(each, Pop)]
    return [
        *(
            Single(Call(name, push, 0, number))
            for number in range(_DEPTH)
            for name in (_OWNER, _NEIGHBOUR)
        ),
        *(
            Single(Call(name, each, 0))
            for name in (_OWNER, _NEIGHBOUR)
            for _ in range(_DEPTH + 1)
            for each in pops
        ),
    ]


def _everybody(
    names: Sequence[str], operations: Sequence[Operation], *, entries: int
) -> Iterator[Script]:
    """Yield scripts in which the tenants do the same at once, on so many entries of a kind."""
    ways: tuple[Literal["threads", "tasks"], ...] = ("threads", "tasks")
    for by in ways:
        fit = [each for each in operations if (each.capability == _ASYNC) == (by == "tasks")]
        rounds = [
            [
                # No two of them write the same.
                Call(name, each, index, number + index * _ROUNDS)
                for name in names
                for each in fit
                if each.aspect == aspect
                for index in range(1 if aspect == "list" else min(entries, len(each.entries)))
            ]
            for number in range(_ROUNDS)
            for aspect in _ROUND
        ]
        steps = [AtOnce(tuple(calls), by, closely=by == "threads") for calls in rounds if calls]
        if fit:
            # What was written last is looked at by all after a while, and before it is over.
            yield [*steps[:-1], Pause(BRIEF_SECONDS), steps[-1]]
