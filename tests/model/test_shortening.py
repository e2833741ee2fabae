# SPDX-License-Identifier: Apache-2.0
"""From long programs to the shortest and plainest that still show it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kryonix_cache.conformance.model.operations import Call, operations_of
from kryonix_cache.conformance.model.shortening import MOST_TRIES, fewer, shortened
from kryonix_cache.conformance.model.steps import AtOnce, Pause, Single, written
from kryonix_cache.reference_impl.contract import default_contract

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kryonix_cache.conformance.model.steps import Step

PUT, GET, DELETE, *_ = operations_of(default_contract(), ["tenant_store"])


def calls_of(steps: Sequence[Step]) -> list[tuple[str, str]]:
    return [(call.tenant, call.operation.method) for step in steps for call in step.calls]


def foreign_read(steps: Sequence[Step]) -> bool:
    """Say whether some tenant reads an entry after another one wrote it."""
    wrote: dict[object, set[str]] = {}
    for step in steps:
        for call in step.calls:
            if call.operation is PUT:
                wrote.setdefault(call.entry, set()).add(call.tenant)
            elif call.operation is GET and wrote.get(call.entry, set()) - {call.tenant}:
                return True
    return False


def test_what_does_not_matter_is_dropped_and_the_rest_made_plain() -> None:
    noise: list[Step] = [Single(Call("ab", DELETE, 2, 7)), Pause(300)]
    steps: list[Step] = [
        *noise * 5,
        AtOnce((Call("a-b", PUT, 2, 977), Call("ab", DELETE, 1, 3)), "threads"),
        *noise * 7,
        Single(Call("a_b", GET, 2, 5)),
    ]
    found = shortened(steps, foreign_read)
    assert written(found) == (
        "a.put('crm', 'users', {'of': 'a', 'n': 0}, ttl=300); ab.get('crm', 'users')"
    )


def test_what_shows_only_at_once_stays_at_once() -> None:
    steps: list[Step] = [
        Pause(50),
        AtOnce(tuple(Call(name, PUT, 1, 4) for name in ("a_b", "ab", "a-b")), "tasks"),
    ]
    found = shortened(
        steps, lambda tried: any(isinstance(s, AtOnce) and len(s.calls) > 1 for s in tried)
    )
    assert [type(step) for step in found] == [AtOnce]
    assert calls_of(found) == [("a", "put"), ("ab", "put")]


def test_a_program_is_tried_so_often_and_no_more() -> None:
    tries = 0

    def still(steps: Sequence[Step]) -> bool:
        nonlocal tries
        tries += 1
        return len(steps) % 2 == 1

    long: list[Step] = [Single(Call("a", PUT, 0, n)) for n in range(401)]
    shortened(long, still)
    assert tries <= MOST_TRIES


def test_a_list_keeps_what_is_needed() -> None:
    assert fewer(list(range(100)), lambda each: {3, 50, 99} <= set(each)) == [3, 50, 99]
    assert fewer([1], lambda _: True) == [1]
