# SPDX-License-Identifier: Apache-2.0
"""A pop that waits: the first job of its own tenant ends it, and no other tenant's."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

from kryonix_cache.conformance.model.operations import Call, Pop, Push
from kryonix_cache.conformance.model.programs import TENANT_NAMES

if TYPE_CHECKING:
    from kryonix_cache.conformance.model.stage import IsolationStage

_WAIT_SECONDS = 5.0
_UNTIL_IT_WAITS_SECONDS = 0.05


def judge_wait(stage: IsolationStage) -> None:
    """Let a tenant wait for a job, hand one to its neighbour, and then one to itself.

    The tenant pushes by another handle than the one that waits, for a handle may do one thing
    after the other.
    """
    tenant, neighbour = TENANT_NAMES[:2]
    play = stage.begin()
    pop = next(each for each in stage.operations if isinstance(each, Pop))
    push = next(each for each in stage.operations if isinstance(each, Push))
    waiting = Call(tenant, replace(pop, waits=_WAIT_SECONDS))
    beside = stage.open_as(stage.tenant_id(tenant))
    with ThreadPoolExecutor(1) as thread:
        popped = thread.submit(play.ask, waiting)
        time.sleep(_UNTIL_IT_WAITS_SECONDS)
        play.ask(Call(neighbour, push, number=1))
        beside.ask(Call(tenant, push, number=2))
        found = waiting.operation.shown(popped.result(), wanted := {"of": tenant, "n": 2})
    stage.evidence.saw("foreign_attempts")
    what = f"{waiting} that waits, while {neighbour} and then {tenant} push"
    stage.compare(what, found, wanted, [])
    stage.evidence.settle()
