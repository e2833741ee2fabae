# SPDX-License-Identifier: Apache-2.0
"""Optimisers, judged by how they run: past broken data, beside others, and alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from kryonix_cache.conformance.judging.display import place as shown_place
from kryonix_cache.conformance.optimising import broken
from kryonix_cache.conformance.optimising.burden import Burden
from kryonix_cache.conformance.optimising.families import ESSENTIALS
from kryonix_cache.conformance.optimising.looks import judge_lifetime
from kryonix_cache.conformance.optimising.rivals import Rivals

if TYPE_CHECKING:
    from collections.abc import Callable

    from kryonix_cache.conformance.datasets import Place
    from kryonix_cache.conformance.evidence import Evidence
    from kryonix_cache.conformance.optimising.scene import Scene
    from kryonix_cache.conformance.optimising.tenants import MadeTenant


@pytest.mark.requirement("optimiser.bad-data")
def test_broken_data_stops_nothing_but_itself(scene: Scene, evidence: Evidence) -> None:
    """Each broken thing is said, costs its own figure, and leaves all other tenants their run."""
    first, last, erased = (
        broken.whole(scene.tenant(name)) for name in ("0-first", "z-last", "m-erased")
    )
    spoilt = [
        (case, broken.whole(scene.tenant(f"c{number}")))
        for number, case in enumerate(broken.cases())
    ]
    for case, tenant in spoilt:
        case.spoil(tenant)
    # What a run writes anew, and so must not take for a sign that the tenant is there.
    erased.string(ESSENTIALS, '"old"', ttl=60, item=next(iter(scene.rule.essentials)))
    healthy = first.answer_place("users", "profile"), last.answer_place("users", "profile")
    before = scene.look()
    done = scene.run(loader=erasing(scene, erased))
    after = scene.look()
    for place in sorted(after.keys):
        parsed = scene.contract.parse(*place)
        if parsed is not None and parsed.tenant == erased.id:
            wanted = "none: the tenant was erased while the run was at work"
            evidence.found(shown_place(*place), found="a key", wanted=wanted)
    for case, tenant in spoilt:
        evidence.saw("cases")
        broken.judge_case(scene, case, tenant, scene.analysis(done, tenant))
        if case.said and not scene.problems(done, tenant):
            evidence.found(
                f"tenant {tenant.id}, which has {case.name}: problems",
                found="none",
                wanted="one that says what cannot be read",
            )
    for tenant, place in zip((first, last), healthy, strict=True):
        if scene.analysis(done, tenant).hit_rate_percent != 40:
            evidence.found(f"tenant {tenant.id}", found="no hit rate", wanted="its hit rate, 40")
        lives = 900 * scene.rule.ttl_factor
        judge_lifetime(
            evidence, before, after, place, wanted_s=lives, why="nothing of this tenant is broken"
        )
    evidence.settle()


def erasing(scene: Scene, tenant: MadeTenant) -> Callable[[str, str], object]:
    """Return a loader that removes a tenant's keys when it is asked for the first of them."""
    erased: list[Place] = []

    def load(asked: str, item: str) -> object:
        if asked == tenant.id and not erased:
            erased.extend(scene.keys_of(tenant))
            for database, key in erased:
                scene.evidence.saw("erased")
                scene.clients[database].unlink(key)
        return {"tenant": asked, "item": item}

    return load


@pytest.mark.requirement("optimiser.no-blocking")
def test_no_command_holds_the_server_up_and_the_pass_is_one(
    scene: Scene, evidence: Evidence
) -> None:
    """Enormous keys lie in the way; the keys are walked once and not for each tenant again."""
    burden = Burden(scene)
    burden.judge_growth()
    burden.judge_slowness()
    evidence.settle()


@pytest.mark.requirement("optimiser.exclusive")
def test_of_two_runs_at_once_one_works(scene: Scene, evidence: Evidence) -> None:
    """The other one says that it is busy; the lock ends with its run, and with its time."""
    rivals = Rivals(scene)
    rivals.judge_two_at_once()
    rivals.judge_lock_of_another()
    rivals.judge_lock_of_the_dead()
    evidence.settle()
