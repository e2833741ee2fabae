# SPDX-License-Identifier: Apache-2.0
"""The preload rule, judged with habits that anybody can see."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from kryonix_cache.conformance.optimising.families import ANSWERS, PRELOADED
from kryonix_cache.conformance.optimising.habits import around, daily, items
from kryonix_cache.conformance.optimising.kept import (
    forget,
    judge_kept,
    judge_nothing_kept,
    preloaded,
)
from kryonix_cache.conformance.optimising.loaders import TellingLoader
from kryonix_cache.conformance.optimising.scene import MOMENT
from kryonix_cache.fixtures.capabilities import Read

if TYPE_CHECKING:
    from datetime import datetime

    from kryonix_cache.conformance.optimising.habits import Item
    from kryonix_cache.conformance.optimising.scene import Scene
    from kryonix_cache.conformance.optimising.tenants import MadeTenant

_LATER = timedelta(hours=6)
_FEW = 6


def judge_hours(scene: Scene) -> None:
    """Judge what is preloaded at two hours of one day, for tenants with habits and without."""
    habit, many, little, none = (scene.tenant(n) for n in ("habit", "many", "little", "none"))
    for tenant in (habit, many, little, none):
        tenant.metrics()
    later = MOMENT + _LATER
    # What is asked for later is asked for by more users: the most popular is not the next.
    mornings, afternoons = items("crm", _FEW), items("sales", _FEW + 2)
    crowd = items("shop", scene.rule.preload_items + 5)
    scene.learn(
        [
            *daily(habit.id, around(MOMENT.hour, mornings), MOMENT),
            *daily(habit.id, around(later.hour, afternoons), MOMENT),
            *daily(habit.id, around(later.hour, afternoons), MOMENT),
            *daily(many.id, around(MOMENT.hour, crowd), MOMENT),
            Read(little.id, "crm", "e0", MOMENT - timedelta(days=1)),
        ]
    )
    for at, wanted in ((MOMENT, mornings), (later, afternoons)):
        _judge_run(scene, at, habit, wanted, least=_FEW)
        forget(scene, habit)
    _judge_run(scene, MOMENT, many, crowd, least=scene.rule.preload_items)
    for tenant, why in ((little, "one read is too little history"), (none, "it has no history")):
        _judge_run(scene, MOMENT, tenant, [], least=0)
        judge_nothing_kept(scene, scene.look(), tenant, why)


def _judge_run(
    scene: Scene, at: datetime, tenant: MadeTenant, wanted: list[Item], *, least: int
) -> None:
    loader = TellingLoader()
    before = scene.look()
    analysis = scene.analysis(scene.run(tenant, at=at, loader=loader), tenant)
    after = scene.look()
    where = f"tenant {tenant.id} at {at:%H:%M}"
    found = preloaded(scene, after, tenant)
    names = {f"{module}.{endpoint}" for module, endpoint in wanted}
    predicted = {f"{module}.{endpoint}" for module, endpoint in analysis.predicted}
    for what, listed in (("predicted", predicted), ("preloaded", set(found))):
        if strange := sorted(listed - names):
            scene.evidence.found(
                f"{where}, {what}",
                found=", ".join(strange),
                wanted=f"only what is asked for then: {', '.join(sorted(names)) or 'nothing'}",
                erratum="E17",
            )
        most = scene.rule.preload_items
        # More may be predicted than is preloaded.
        too_many = what == "preloaded" and len(listed) > most
        if len(listed) < min(least, most) or too_many:
            scene.evidence.found(
                f"{where}, {what}",
                found=f"{len(listed)} items: {', '.join(sorted(listed)) or 'none'}",
                wanted=f"{min(least, most)} to {most} of {', '.join(sorted(names)) or 'none'}",
                erratum="E17",
            )
    low, high = (0.5, 1.0) if wanted else (0.0, 0.0)
    if not low <= analysis.confidence <= high:
        scene.evidence.found(
            f"{where}, confidence",
            found=analysis.confidence,
            wanted=f"{low:g} to {high:g}" if wanted else "0, for there is too little history",
            erratum="E17",
        )
    for item, place in found.items():
        real = loader.gave(tenant.id, item)
        judge_kept(scene, before, after, place, real=real, wanted_s=scene.lifetime(PRELOADED))


def judge_copied(scene: Scene) -> None:
    """Judge that without a loader the tenant's own answers are copied, as long as they may live."""
    tenant, oldest = scene.tenant("own"), scene.rule.oldest_value_s
    tenant.metrics()
    longest = scene.lifetime(PRELOADED)
    asked = items("crm", 4)
    scene.learn(daily(tenant.id, around(MOMENT.hour, asked), MOMENT))
    tenant.answer("crm", "e0", ttl=600, age=600, data={"own": 0})
    tenant.answer("crm", "e1", ttl=600, age=oldest - 2000, data={"own": 1})
    # It will be there all the hour, so that nobody needs a copy of it.
    tenant.answer("crm", "e2", ttl=scene.lifetime(ANSWERS) - 60, age=60, data={"own": 2})
    before = scene.look()
    done = scene.run(tenant)
    after = scene.look()
    for endpoint, number, wanted in (("e0", 0, longest), ("e1", 1, min(2000, longest))):
        place = tenant.place(PRELOADED, item=f"crm.{endpoint}")
        judge_kept(scene, before, after, place, real=[{"own": number}], wanted_s=wanted)
    if tenant.place(PRELOADED, item="crm.e3") in after.keys:
        scene.evidence.found(
            f"tenant {tenant.id}, item crm.e3",
            found="a key",
            wanted="none: there is neither a loader nor an answer of the tenant's own",
            erratum="E16",
        )
    if not scene.problems(done, tenant):
        scene.evidence.found(
            f"tenant {tenant.id}, problems", found="none", wanted="one that names crm.e3"
        )
