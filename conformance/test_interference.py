# SPDX-License-Identifier: Apache-2.0
"""Non-interference: what a tenant notices does not depend on whether there is another one."""

from __future__ import annotations

from contextlib import suppress
from itertools import permutations
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kryonix_cache.conformance.model.interference import Move, Neighbourhood
from kryonix_cache.conformance.model.machine import calls
from kryonix_cache.conformance.model.operations import Call
from kryonix_cache.conformance.model.programs import PAUSES, TENANT_NAMES, extent
from kryonix_cache.conformance.model.shortening import fewer
from kryonix_cache.conformance.model.stages import EXPIRING, LASTING
from kryonix_cache.conformance.outcomes import RequirementNotMetError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kryonix_cache.conformance.evidence import Evidence
    from kryonix_cache.conformance.model.operations import Operation
    from kryonix_cache.conformance.model.stages import Stages


@pytest.mark.requirement("isolation.non-interference")
def test_a_tenant_notices_nothing_of_a_hostile_neighbour(
    stages: Stages, evidence: Evidence
) -> None:
    """Replies, messages and data of a tenant are the same with and without the neighbour.

    It is held for both: what the tenant gets, and what the neighbour leaves behind.
    """
    with stages.on_bench(*EXPIRING, *LASTING, "broadcasts") as stage:
        hood = Neighbourhood(stage)
        hood.learn(_each_once("a", stage.operations))
        broken: list[Sequence[Move]] = []

        @extent(stages.depth, examples=12)
        @given(st.permutations(TENANT_NAMES), st.data())
        def hold(names: list[str], data: st.DataObject) -> None:
            moves = data.draw(
                st.lists(_moves(names[:2], stage.operations), min_size=8, max_size=24)
            )
            if not broken and _interfered(hood, evidence, moves):
                broken.append(moves)

        for first, second in permutations(TENANT_NAMES[:2]):
            moves = _besieged(first, second, stage.operations)
            if not broken and _interfered(hood, evidence, moves):
                broken.append(moves)
        hold()
        stage.clear_all()
        if broken:
            shortest = fewer(list(broken[0]), lambda moves: _interfered(hood, evidence, moves))
            _interfered(hood, evidence, shortest)
            evidence.settle()
            raise RequirementNotMetError("it did not show each time that the same was played")


def _each_once(tenant: str, operations: Sequence[Operation]) -> list[Move]:
    return [Move("call", Call(tenant, operation)) for operation in operations]


def _besieged(tenant: str, neighbour: str, operations: Sequence[Operation]) -> list[Move]:
    """Return moves in which the neighbour floods between what the tenant writes and reads."""
    writes = [each for each in operations if each.aspect == "write"]
    others = [each for each in operations if each.aspect != "write"]
    return [
        *_each_once(tenant, writes),
        *(Move("flood", Call(neighbour, each)) for each in writes),
        *_each_once(tenant, others),
        *_each_once(tenant, writes),
        *(Move("flood", Call(neighbour, each)) for each in others),
        *_each_once(tenant, others),
    ]


def _moves(tenants: Sequence[str], operations: Sequence[Operation]) -> st.SearchStrategy[Move]:
    return st.builds(
        Move,
        part=st.sampled_from(["call", "call", "call", "call", "flood", "pause", "rude"]),
        call=calls(operations, tenants),
        seconds=st.sampled_from(PAUSES),
    )


def _interfered(hood: Neighbourhood, evidence: Evidence, moves: Sequence[Move]) -> bool:
    """Play each tenant's moves alone, and all; add a finding for what somebody noticed."""
    evidence.start_over()
    together = hood.play(moves)
    for tenant, seen in together.items():
        alone = hood.play([move for move in moves if move.tenant == tenant])[tenant]
        evidence.saw("replies", len(seen.replies))
        evidence.saw("foreign_attempts", sum(move.tenant != tenant for move in moves))
        after = "after: " + "; ".join(map(str, moves))
        for (what, found), (_, wanted) in zip(seen.replies, alone.replies, strict=True):
            if found != wanted:
                evidence.found(f"{what} with a neighbour, {after}", found=found, wanted=wanted)
        for entry in sorted(seen.held.keys() | alone.held.keys(), key=str):
            found, wanted = seen.held.get(entry), alone.held.get(entry)
            if found != wanted:
                where = f"{tenant}'s {entry} in the end with a neighbour, {after}"
                evidence.found(where, found=found, wanted=wanted)
    if evidence.total:
        with suppress(RequirementNotMetError):
            # What showed once stays in the record, also where it does not show again.
            evidence.settle()
    return evidence.total > 0
