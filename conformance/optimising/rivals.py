# SPDX-License-Identifier: Apache-2.0
"""Two runs at once: one is held at work by its loader while another one starts."""

from __future__ import annotations

import threading
import time
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
    from kryonix_cache.conformance.optimising.tenants import MadeTenant
    from kryonix_cache.fixtures.capabilities import Optimisation, Optimiser

_PATIENCE_S = 10.0
_PATIENCE_MS = 60_000
_OTHER = '{"owner":"somebody-else","since":"2026-03-17T08:59:00+00:00"}'


class _Held:
    """A run in a thread that its loader holds at work; `error` is what it raised."""

    def __init__(self, optimiser: Optimiser, tenant: MadeTenant) -> None:
        self.ended: Optimisation | None = None
        self.error: Exception | None = None
        self._optimiser, self._tenant = optimiser, tenant
        self._loader = BlockingLoader()
        self._runner = threading.Thread(target=self._work, daemon=True)
        self._runner.start()

    def _work(self) -> None:
        try:
            self.ended = self._optimiser.optimise(
                at=MOMENT, tenants=[self._tenant.id], loader=self._loader
            )
        except Exception as error:  # noqa: BLE001 (whatever it is, the test looks at it)
            self.error = error

    def is_at_work(self) -> bool:
        """Wait until the loader is asked; say whether it was."""
        deadline = time.monotonic() + _PATIENCE_S
        while self._runner.is_alive() and time.monotonic() < deadline:
            if self._loader.asked.wait(0.05):
                return True
        return self._loader.asked.is_set()

    def let_go(self) -> None:
        """Let the run come to its end."""
        self._loader.let_go.set()
        self._runner.join(_PATIENCE_S)


class Rivals:
    """Runs of two optimisers, built apart as those of two processes would be."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._tenant, self._later = (scene.tenant(name) for name in ("own", "later"))
        for tenant in (self._tenant, self._later):
            tenant.metrics(cache_hit_rate="40")
            tenant.users(mobile=2, others=0)
            tenant.answer("crm", "list", ttl=900)
        family = scene.contract.family(LOCK)
        self._lock: Place = (family.databases[0], scene.contract.key(LOCK))

    def judge_two_at_once(self) -> None:
        """Judge the second run while the first one is at work, and a third one after it."""
        first = self._held(self._tenant)
        if first is None:
            return
        self._judge_lock()
        self._judge_second()
        first.let_go()
        if first.ended is None or first.ended.busy:
            self._found("the first run", f"it did not work: {first.error}", "its analyses")
        database, key = self._lock
        if self._scene.clients[database].exists(key):
            self._found(shown_place(*self._lock), "a lock after the last run", "none")
        self._scene.run(self._tenant, loader=TellingLoader())
        self._scene.evidence.saw("runs")

    def _held(self, tenant: MadeTenant) -> _Held | None:
        """Return a run that is held at work; None, and a finding, where it asks no loader."""
        held = _Held(self._scene.optimiser, tenant)
        if held.is_at_work():
            return held
        wanted = "a question to the loader, which would hold it at work"
        self._found(f"a run for {tenant.id}", f"none; it ended with {held.error}", wanted)
        return None

    def judge_lock_of_another(self) -> None:
        """Judge that a run which lost its lock leaves it to the one who has it now.

        Whether it ends early then, and how, is its own affair.
        """
        # What was kept for the other tenant is there still, so that no loader is asked for it.
        first, (database, key) = self._held(self._later), self._lock
        if first is None:
            return
        self._scene.clients[database].set(key, _OTHER, px=_PATIENCE_MS)
        first.let_go()
        self._scene.evidence.saw("runs")
        if self._scene.clients[database].get(key) != _OTHER.encode():
            where = f"{shown_place(*self._lock)} after a run that had lost it"
            self._found(where, "not the lock of the other run", "the other run's lock")
        elif self._scene.clients[database].pttl(key) > _PATIENCE_MS:
            self._found(shown_place(*self._lock), "a lock for longer", "its time runs on")
        self._scene.clients[database].unlink(key)

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

    def judge_lock_of_the_dead(self) -> None:
        """Judge that the lock of a run that died keeps others waiting until its time is up."""
        database, key = self._lock
        client = self._scene.clients[database]
        client.set(key, _OTHER, px=_PATIENCE_MS)
        done = answer_of("optimise", self._other().optimise, at=MOMENT)
        left = client.pttl(key)
        if not done.busy:
            wanted = "busy: it cannot know that the holder of the lock is dead"
            self._found("a run that meets a lock", "it worked", wanted)
        elif not 0 < left <= _PATIENCE_MS:
            found, wanted = f"a lock for {left} ms more", "its time runs on"
            self._found(f"{shown_place(*self._lock)} of a run that died", found, wanted)
        client.pexpire(key, 1)
        time.sleep(0.01)
        self._scene.evidence.saw("runs")
        self._scene.run(self._tenant)

    def _found(self, where: str, found: str, wanted: str) -> None:
        self._scene.evidence.found(where, found=found, wanted=wanted, erratum="E20")
