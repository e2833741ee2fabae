# SPDX-License-Identifier: Apache-2.0
"""Two runs at once: one is held at work by its loader while another one starts."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from kryonix_cache.conformance.evidence import answer_of
from kryonix_cache.conformance.judging.display import place as shown_place
from kryonix_cache.conformance.optimising.families import LOCK
from kryonix_cache.conformance.optimising.loaders import BlockingLoader, TellingLoader
from kryonix_cache.conformance.optimising.looks import judge_untouched
from kryonix_cache.conformance.optimising.scene import MOMENT

if TYPE_CHECKING:
    from kryonix_cache.conformance.datasets import Place
    from kryonix_cache.conformance.optimising.scene import Scene
    from kryonix_cache.fixtures.capabilities import Optimisation, Optimiser

_PATIENCE_S = 10.0
_DEAD_MS = 1_500
_OTHER = '{"owner":"somebody-else","since":"2026-03-17T08:59:00+00:00"}'


class Rivals:
    """Runs of two optimisers, built apart as those of two processes would be."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._tenant = scene.tenant("own")
        self._tenant.metrics(cache_hit_rate="40")
        self._tenant.users(mobile=2, others=0)
        self._tenant.answer("crm", "list", ttl=900)
        self._waiting = scene.tenant("waiting")
        self._waiting.metrics(cache_hit_rate="40")
        self._waiting.answer("crm", "list", ttl=900)
        family = scene.contract.family(LOCK)
        self._lock: Place = (family.databases[0], scene.contract.key(LOCK))

    def judge_two_at_once(self) -> None:
        """Judge the second run while the first one is at work, and a third one after it."""
        loader = BlockingLoader()
        ended: list[Optimisation] = []

        def work() -> None:
            ended.append(
                self._scene.optimiser.optimise(at=MOMENT, tenants=[self._tenant.id], loader=loader)
            )

        runner = threading.Thread(target=work, daemon=True)
        runner.start()
        if not loader.asked.wait(_PATIENCE_S):
            wanted = "a question to the loader, which would hold it at work"
            self._found("the first run", "none", wanted)
            return
        self._judge_lock()
        self._judge_second()
        # Whoever lost the lock must leave it to the one who has it now.
        database, key = self._lock
        self._scene.clients[database].set(key, _OTHER, px=60_000)
        loader.let_go.set()
        runner.join(_PATIENCE_S)
        if not ended or ended[0].busy:
            self._found("the first run", "it did not end as one that worked", "its analyses")
        if self._scene.clients[database].get(key) != _OTHER.encode():
            self._found(
                shown_place(*self._lock), "no lock of the other run", "the other run's lock"
            )
        self._scene.clients[database].unlink(key)
        self._judge_third()

    def _judge_lock(self) -> None:
        database, key = self._lock
        left, longest = self._scene.clients[database].pttl(key), self._scene.lifetime(LOCK)
        if not 0 < left <= longest * 1000:
            found = {-2: "no lock", -1: "a lock for ever"}.get(left, f"a lock for {left / 1000} s")
            wanted = f"a lock that ends within {longest} s when its holder dies"
            self._found(f"{shown_place(*self._lock)} while a run is at work", found, wanted)

    def _other(self) -> Optimiser:
        system = self._scene.session.system_in(self._scene.surroundings)
        assert system.optimiser is not None
        return system.optimiser

    def _judge_second(self) -> None:
        scene, loader = self._scene, TellingLoader()
        before = scene.look()
        done = answer_of("optimise", self._other().optimise, at=MOMENT, loader=loader)
        after = scene.look()
        scene.evidence.saw("runs")
        if not done.busy:
            self._found("the second of two runs at once", "not busy", "busy: another one works")
        if done.analyses or loader.given:
            self._found("the second of two runs at once", "it analysed tenants", "no work at all")
        why = "the second of two runs at once does nothing"
        judge_untouched(scene.evidence, before, after, before.keys.keys() - {self._lock}, why)
        for at in sorted(after.keys.keys() - before.keys.keys() - {self._lock}):
            self._found(shown_place(*at), "a new key", f"none: {why}")

    def _judge_third(self) -> None:
        done = self._scene.run(loader=TellingLoader())
        self._scene.evidence.saw("runs")
        self._scene.analysis(done, self._tenant)
        database, key = self._lock
        if self._scene.clients[database].exists(key):
            self._found(shown_place(*self._lock), "a lock after the last run", "none")

    def judge_lock_of_the_dead(self) -> None:
        """Judge that the lock of a run that died keeps the next one waiting, and ends."""
        database, key = self._lock
        since = datetime.now(UTC).isoformat()
        text = f'{{"owner":"a-run-that-died","since":"{since}"}}'
        self._scene.clients[database].set(key, text, px=_DEAD_MS)
        done = answer_of("optimise", self._other().optimise, at=MOMENT)
        left = self._scene.clients[database].pttl(key)
        if not done.busy:
            wanted = "busy: it cannot know that the holder of the lock is dead"
            self._found("a run that meets a lock", "it worked", wanted)
        elif not 0 < left <= _DEAD_MS:
            wanted = "its time runs on"
            self._found(shown_place(*self._lock), f"a lock for {left} ms more", wanted)
        time.sleep(max(0, left) / 1000 + 0.01)
        self._scene.evidence.saw("runs")
        self._scene.run(self._tenant)

    def _found(self, where: str, found: str, wanted: str) -> None:
        self._scene.evidence.found(where, found=found, wanted=wanted, erratum="E20")
