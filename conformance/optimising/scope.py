# SPDX-License-Identifier: Apache-2.0
"""Whether a run for one tenant leaves the others alone: their keys, their data, their habits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kryonix_cache.conformance.judging.display import place as shown_place
from kryonix_cache.conformance.optimising.families import QUEUES
from kryonix_cache.conformance.optimising.habits import around, daily, items
from kryonix_cache.conformance.optimising.kept import kept_of
from kryonix_cache.conformance.optimising.loaders import TellingLoader
from kryonix_cache.conformance.optimising.looks import judge_untouched
from kryonix_cache.conformance.optimising.scene import MOMENT
from kryonix_cache.conformance.optimising.traffic import Sent, monitored

if TYPE_CHECKING:
    from kryonix_cache.conformance.optimising.looks import Look
    from kryonix_cache.conformance.optimising.scene import Scene
    from kryonix_cache.conformance.optimising.tenants import MadeTenant

_PASS = frozenset({"SCAN", "TYPE", "PTTL", "TTL", "EXISTS", "MEMORY", "OBJECT"})
"""What the one pass over all keys may ask of anybody's: no value, and no change."""

_ASKED = items("crm", 4)


class Scope:
    """A tenant that is run for, and neighbours whose ids begin like its own."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._own = scene.tenant("m")
        self._others = [scene.tenant("m2"), scene.tenant("m-2")]
        for tenant in (self._own, *self._others):
            self._fill(tenant)

    def _fill(self, tenant: MadeTenant) -> None:
        """Write data on which every rule fires."""
        tenant.metrics(cache_hit_rate="40", api_calls_today="90000")
        tenant.users(mobile=3, others=0)
        for answer in self._scene.rule.hot:
            tenant.answer(answer.module, answer.endpoint, ttl=900)
        place = tenant.place(QUEUES, queue="mail")
        tenant.clients[place[0]].rpush(place[1], "{}")
        self._scene.evidence.saw("tenants")

    def judge_run(self) -> None:
        """Judge what is sent, what is answered, and what lies on the server."""
        scene, loader = self._scene, TellingLoader()
        scene.learn(daily(self._others[0].id, around(MOMENT.hour, _ASKED), MOMENT))
        before, sent = scene.look(), list[Sent]()
        with monitored(scene.admin[0], sent):
            done = scene.run(self._own, loader=loader)
        after = scene.look()
        self._judge_commands(sent, "optimise(tenants=[...])", _PASS)
        scene.evidence.saw("sent", len(sent))
        for tenant in sorted(set(done.analyses) - {self._own.id}):
            scene.evidence.found(
                f"tenant {tenant}", found="an analysis", wanted="none was asked for"
            )
        for tenant, item in sorted(loader.given):
            if tenant != self._own.id:
                scene.evidence.found(
                    f"tenant {tenant}, item {item}",
                    found="the loader was asked for it",
                    wanted=f"questions of tenant {self._own.id} only",
                )
        self._judge_keys(before, after)
        analysis = scene.analysis(done, self._own)
        if analysis.predicted or analysis.confidence:
            self._learnt_of_another(self._own, f"{list(analysis.predicted)}")

    def _judge_keys(self, before: Look, after: Look) -> None:
        scene = self._scene
        mine = {at for at in before.keys if self._is_of(at, self._own)}
        rest = before.keys.keys() - mine
        judge_untouched(scene.evidence, before, after, rest, f"the run is for {self._own.id}")
        for at in sorted(after.keys.keys() - before.keys.keys()):
            parsed = scene.contract.parse(*at)
            if parsed is None or parsed.tenant not in {self._own.id, None}:
                wanted = f"new keys of tenant {self._own.id} only"
                scene.evidence.found(shown_place(*at), found="a new key", wanted=wanted)

    def judge_learning(self) -> None:
        """Judge that reads of one tenant are noted, and used, for that tenant only."""
        scene, other = self._scene, self._others[1]
        sent: list[Sent] = []
        with monitored(scene.admin[0], sent):
            scene.learn(daily(self._own.id, around(MOMENT.hour, items("sales", 4)), MOMENT))
        self._judge_commands(sent, "learn", frozenset())
        done = scene.run(self._own, *self._others, loader=TellingLoader())
        if not scene.analysis(done, self._own).predicted:
            wanted = "its own daily habit"
            scene.evidence.found(f"tenant {self._own.id}", found="no prediction", wanted=wanted)
        modules = {self._own.id: "sales", self._others[0].id: "crm", other.id: ""}
        for tenant in (self._own, *self._others):
            predicted = scene.analysis(done, tenant).predicted
            if strange := [each for each in predicted if each[0] != modules[tenant.id]]:
                self._learnt_of_another(tenant, f"{strange}")
        for at, parts, _ in kept_of(scene, scene.look(), other):
            if "sales" in str(parts) or ".e" in str(parts):
                self._learnt_of_another(other, shown_place(*at))

    def judge_nobody(self) -> None:
        """Judge that a run for a tenant without a key leaves it without one."""
        nobody = self._scene.tenant("nobody")
        self._scene.run(nobody, loader=TellingLoader())
        for at in self._scene.keys_of(nobody):
            wanted = "none: the tenant has no key that a run could be about"
            self._scene.evidence.found(shown_place(*at), found="a key", wanted=wanted)

    def _learnt_of_another(self, tenant: MadeTenant, found: str) -> None:
        self._scene.evidence.found(
            f"tenant {tenant.id}, predicted",
            found=found,
            wanted="nothing that only another tenant asked for",
        )

    def _judge_commands(self, sent: list[Sent], during: str, allowed: frozenset[str]) -> None:
        for command in sent:
            for tenant in self._others:
                named = [word for word in command.arguments if tenant.id.encode() in word]
                if named and command.name not in allowed:
                    self._scene.evidence.found(
                        f"{during} of tenant {self._own.id}",
                        found=str(command),
                        wanted=f"nothing that names {tenant.id}, but for one pass over all keys: "
                        f"{', '.join(sorted(allowed)) or 'none here'}",
                    )

    def _is_of(self, at: tuple[int, bytes], tenant: MadeTenant) -> bool:
        parsed = self._scene.contract.parse(*at)
        return parsed is not None and parsed.tenant == tenant.id
