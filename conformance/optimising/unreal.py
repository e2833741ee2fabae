# SPDX-License-Identifier: Apache-2.0
"""Where there is no real value: no source, or a loader that fails. Nothing may be written then."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from kryonix_cache.conformance.optimising.families import ESSENTIALS, PRELOADED, WARMED
from kryonix_cache.conformance.optimising.habits import around, daily, items
from kryonix_cache.conformance.optimising.kept import (
    data_of,
    judge_nothing_kept,
    judge_real,
    kept_of,
)
from kryonix_cache.conformance.optimising.loaders import BlockingLoader, TellingLoader, failing
from kryonix_cache.conformance.optimising.scene import MOMENT

if TYPE_CHECKING:
    from datetime import timedelta

    from kryonix_cache.conformance.optimising.scene import Scene
    from kryonix_cache.conformance.optimising.tenants import MadeTenant

_ASKED = items("crm", 3)
_LIMIT_S = 0.2


def _eager(scene: Scene, name: str) -> MadeTenant:
    """Return a tenant for whom both rules that write values fire."""
    tenant = scene.tenant(name)
    tenant.users(mobile=2, others=0)
    scene.learn(daily(tenant.id, around(MOMENT.hour, _ASKED), MOMENT))
    return tenant


def judge_sources(scene: Scene) -> None:
    """Judge every value of a run with a loader, and that there is none without any source."""
    rich, poor, broken = (_eager(scene, name) for name in ("rich", "rich2", "broken"))
    for tenant in (rich, broken):
        for answer in scene.rule.hot:
            place = tenant.answer(answer.module, answer.endpoint, ttl=900, age=30)
            if tenant is broken:
                scene.clients[place[0]].set(place[1], b'{"data":{"torn', ex=900)
    done = scene.run()
    after = scene.look()
    _judge_values(scene, rich, TellingLoader())
    for tenant, why in (
        (poor, "the tenant has no answer, and there is no loader; others' answers are not its own"),
        (broken, "what the tenant's answers hold cannot be read, and there is no loader"),
    ):
        judge_nothing_kept(scene, after, tenant, why)
        _judge_said(scene, bool(scene.problems(done, tenant)), tenant, "no source")
    loader = TellingLoader()
    scene.run(poor, broken, loader=loader)
    for tenant in (poor, broken):
        _judge_values(scene, tenant, loader)


def _judge_values(scene: Scene, tenant: MadeTenant, loader: TellingLoader) -> None:
    """Judge that each value that is kept for a tenant is real for its item."""
    kept = list(kept_of(scene, scene.look(), tenant))
    if not kept:
        wanted = "the values that there are"
        scene.evidence.found(f"tenant {tenant.id}", found="nothing is kept", wanted=wanted)
    own = {
        each.item: {"of": f"{each.module}/{each.endpoint}", "tenant": tenant.id}
        for each in scene.rule.hot
    }
    for at, parts, content in kept:
        scene.evidence.saw("values")
        parsed = scene.contract.parse(*at)
        family = parsed.family.name if parsed else ""
        if family == WARMED:
            item, value = f"{parts['module']}.{parts['endpoint']}", data_of(content)
            real = loader.gave(tenant.id, item)
            # Without `data` a warmed answer holds no value that could be made up.
            if isinstance(value, dict) and "data" in value and value["data"] not in real:
                judge_real(scene, at, content, real)
            continue
        names = [parts["item"]]
        if family == ESSENTIALS and parts["item"] in scene.rule.essentials:
            names.append(scene.rule.essentials[parts["item"]].item)
        elif family == ESSENTIALS:
            scene.evidence.found(f"tenant {tenant.id}", found=parts["item"], wanted="no such item")
        copies = [own[name] for name in names if name in own and family in {ESSENTIALS, PRELOADED}]
        judge_real(scene, at, content, loader.gave(tenant.id, *names) + copies)


def judge_failing_loaders(scene: Scene) -> None:
    """Judge that nothing is written for a tenant whose loader has nothing."""
    for number, (how, loader) in enumerate(failing(scene.rule.largest_value_bytes).items()):
        tenant = _eager(scene, f"fails{number}")
        done = scene.run(tenant, loader=loader)
        judge_nothing_kept(scene, scene.look(), tenant, f"its loader {how}")
        _judge_said(scene, bool(scene.problems(done, tenant)), tenant, f"its loader {how}")


def judge_hanging_loader(scene: Scene, *, patience: timedelta) -> None:
    """Judge that a loader that never answers neither stops the run nor leads to a value.

    The system is told by its contract to wait shortly, so that nobody waits long.
    """
    tenant, loader = _eager(scene, "hangs"), BlockingLoader()
    contract = replace(scene.contract, optimiser=replace(scene.rule, loader_s=_LIMIT_S))
    system = scene.session.system_in(replace(scene.surroundings, contract=contract))
    optimiser = system.optimiser or scene.optimiser
    problems: list[str] = []
    raised: list[Exception] = []

    def work() -> None:
        try:
            done = optimiser.optimise(at=MOMENT, tenants=[tenant.id], loader=loader)
        except Exception as error:  # noqa: BLE001 (whatever it is, it is a finding)
            raised.append(error)
        else:
            problems.extend(done.problems.get(tenant.id, ()))

    began = time.monotonic()
    runner = threading.Thread(target=work, daemon=True)
    runner.start()
    runner.join(patience.total_seconds() + 3 * scene.rule.loader_s)
    took, hung = time.monotonic() - began, runner.is_alive()
    judge_nothing_kept(scene, scene.look(), tenant, "its loader hangs")
    loader.let_go.set()
    runner.join(patience.total_seconds())
    if raised and not hung:
        wanted = "a run that goes on without the loader"
        where = f"tenant {tenant.id}, whose loader hangs"
        scene.evidence.found(where, found=f"optimise raised {raised[0]!r}", wanted=wanted)
    elif hung:
        scene.evidence.found(
            f"tenant {tenant.id}, whose loader hangs",
            found=f"the run still waits after {took:.0f} s",
            wanted=f"a loader has {scene.rule.loader_s:g} s",
        )
    else:
        _judge_said(scene, bool(problems), tenant, "its loader hangs")


def _judge_said(scene: Scene, said: bool, tenant: MadeTenant, why: str) -> None:  # noqa: FBT001 (it reads as a sentence)
    if not said:
        scene.evidence.found(
            f"tenant {tenant.id}, problems",
            found="none",
            wanted=f"one that says what could not be kept: {why}",
        )
