# SPDX-License-Identifier: Apache-2.0
"""Accidents to a system that blocks: interrupted, timed-out and cut calls, and crowds."""

from __future__ import annotations

import time
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import TYPE_CHECKING

from kryonix_cache.conformance.accidents.blows import Blow, Step, told
from kryonix_cache.conformance.accidents.callers import Call, Caller
from kryonix_cache.conformance.accidents.cells import store_cells
from kryonix_cache.conformance.accidents.interruptions import interrupted
from kryonix_cache.conformance.accidents.landings import ATTEMPTS, Landings
from kryonix_cache.conformance.accidents.scene import (
    OTHERS_SECONDS,
    PATIENT_SECONDS,
    STUBBORN_SECONDS,
    Scene,
)
from kryonix_cache.conformance.outcomes import NotOffered

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from kryonix_cache.conformance.accidents.cells import Cell
    from kryonix_cache.fixtures.capabilities import TenantStore

_ASKING = 4
"""How many callers ask at once while an accident goes on."""


class BlockingAccidents:
    """Makes accidents to calls of a system that blocks."""

    def __init__(
        self, scene: Scene, caller: Caller, store: TenantStore, *, in_process: bool
    ) -> None:
        self.scene = scene
        self.caller = caller
        self.store = store
        self.in_process = in_process
        self.witness = caller.witness
        self.landings = Landings()
        self.stubborn = STUBBORN_SECONDS if in_process else OTHERS_SECONDS

    def begin(self) -> None:
        """Start from fresh connections and fresh tags."""
        self.scene.calm()
        self.witness.start_over()
        self.caller.renew()

    def play(self, story: Sequence[Step]) -> None:
        """Play a story from a fresh start."""
        self.begin()
        for step in story:
            cut = step.blow is not None and step.blow.moment == "cut"
            self.witness.story.append(self.told(step))
            if step.blow is None:
                self.let_be(step.call)
                self.caller.check()
            elif cut:
                self.cut(step.call, step.blow)
            else:
                self.interrupt(step.call, step.blow)
            if self.witness.evidence.total:
                return

    def told(self, step: Step) -> str:
        """Return how a finding shows a step."""
        cut = step.blow is not None and step.blow.moment == "cut"
        return told(step, self.caller, "" if cut else "interrupted")

    def let_be(self, call: Call) -> None:
        """Make a call that nothing hits; a connection may be broken from before all the same."""
        self._judged(call, lambda: self.caller.perform(call))

    def interrupt(self, call: Call, blow: Blow) -> None:
        """Interrupt a call by a signal, and look what others are answered then."""
        hits: list[Call] = []
        # A system may notice only now that its connection was cut: its next call makes one.
        for _ in range(ATTEMPTS if blow.moment == "connecting" else 1):
            self.scene.proxy.let_pass()
            self._judged(call, lambda: self._interrupted(call, blow, hits), hit=True)
            if hits:
                self.witness.evidence.saw("interruptions")
                break
        if self._aftermath(call, at_once=blow.at_once) and hits:
            self.landings.note(call, blow)

    def _interrupted(self, call: Call, blow: Blow, hits: list[Call]) -> str | None:
        """Make the call and interrupt it; add to `hits` if that hit what waited for its reply."""
        proxy, reach = self.scene.proxy, self.scene.reach
        before = proxy.counters()
        if blow.moment == "unarrived":
            proxy.freeze("requests")
        else:
            if blow.moment == "connecting":
                proxy.cut()
            proxy.freeze("replies", after=blow.amount)

        def reached(over: Callable[[], bool]) -> bool:
            if blow.moment == "unarrived":
                return reach("requests", before.requests + 1, over)
            if blow.moment == "part" and not reach(
                "replies_passed", before.replies_passed + blow.amount, over
            ):
                return False
            return reach("replies", before.replies + blow.amount + 1, over)

        return interrupted(
            lambda: self.caller.perform(call), reached, landed=lambda: hits.append(call)
        )

    def time_out(self, call: Call, *, at_once: bool) -> bool:
        """Let a call run into its own time-out, and look what others are answered then.

        Returns whether it did, and whether they were, which a system in another process decides.
        """
        self.begin()
        self.witness.story.append(f"{self.caller.told(call)} timed out")
        self.scene.proxy.freeze("replies")
        with ThreadPoolExecutor(1) as threads:
            made = threads.submit(self.caller.perform, call)
            wait([made], self.stubborn)
            late = made.done()
            felt = self._aftermath(call, at_once=at_once)
            if self._judged(call, made.result, hit=True):
                self.witness.evidence.saw("timeouts")
        return not self.in_process or (late and felt)

    def cut(self, call: Call, blow: Blow) -> None:
        """Cut the connection while the reply comes."""
        self.scene.proxy.cut_after(blow.amount, "replies")
        if self._judged(call, lambda: self.caller.perform(call), hit=True):
            self.witness.evidence.saw("broken_replies")
        self.scene.proxy.let_pass()
        self.caller.check()

    def _aftermath(self, call: Call, *, at_once: bool) -> bool:
        """Let the lost reply come, after others have asked or before.

        Returns whether one who asked before was answered after, which is who may get it.
        """
        felt = not at_once or self._ask_before(call)
        self.scene.proxy.let_pass()
        self.caller.check()
        # In another process nobody may come through to the server while a call is under way.
        return felt or not self.in_process

    def _ask_before(self, call: Call) -> bool:
        proxy, others = self.scene.proxy, self._others(call)
        # All that the hit call sent has been counted at the second look, however late it came.
        proxy.counters()
        before = proxy.counters().requests
        with ThreadPoolExecutor(_ASKING) as threads:
            asked: list[Future[bool]] = []
            until = time.monotonic() + self.stubborn
            for cell in others[:_ASKING]:
                # The first one to come through has the connection of the call that was hit; the
                # others would take it over once the lost reply has come, which shows it to a pool.
                asked.append(first := threads.submit(self.caller.glance, cell))
                if self.scene.reach(
                    "requests",
                    before + 1,
                    lambda f=first: f.done() or time.monotonic() > until,  # type: ignore[misc]
                ):
                    break
            asked += [threads.submit(self.caller.glance, cell) for cell in others[len(asked) :]]
            waited = not first.done()
            proxy.let_pass()
            answered = [each.result() for each in asked]
        return waited and answered[asked.index(first)]

    def _others(self, call: Call) -> list[Cell]:
        """Return the cells, those first of which a reader may share the connection of a call."""
        cells = self.caller.cells
        hit = cells[call.cell % len(cells)]
        return sorted(
            cells, key=lambda cell: (cell.place[0] != hit.place[0], cell.tenant == hit.tenant)
        )

    def _judged(self, call: Call, make: Callable[[], str | None], *, hit: bool = False) -> bool:
        """Make a call; one that is `hit` may fail, but not get a wrong reply.

        Returns whether it failed.
        """
        try:
            found = make()
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 (SystemExit and pytest's outcomes too)
            if not hit and not self.witness.excuses(error):
                self.witness.raised(self.caller.told(call), error)
            return True
        if call.what == "read":
            cell = self.caller.cells[call.cell % len(self.caller.cells)]
            self.witness.glance(cell.slug, cell.reading, found)
        return False


@contextmanager
def blocking_accidents(
    scene: Scene, *, timeout: float = PATIENT_SECONDS, max_connections: int = 1
) -> Iterator[BlockingAccidents]:
    """Give accidents to a system that blocks; raise NotOffered where it has no store."""
    with scene.system(timeout=timeout, max_connections=max_connections) as system:
        if system.tenant_store is None:
            raise NotOffered("the system offers no tenant store")
        store = system.tenant_store
        caller = Caller(store_cells(store, scene.run), scene.witness(system))
        yield BlockingAccidents(scene, caller, store, in_process=system.in_process)
