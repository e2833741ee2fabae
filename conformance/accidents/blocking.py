# SPDX-License-Identifier: Apache-2.0
"""Accidents to a system that blocks: interrupted, timed-out and cut calls, and crowds."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import TYPE_CHECKING

from kryonix_cache.conformance.accidents.blows import Blow, Step, told
from kryonix_cache.conformance.accidents.callers import Call, Caller
from kryonix_cache.conformance.accidents.cells import store_cells
from kryonix_cache.conformance.accidents.interruptions import interrupted
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
            self.witness.story.append(told(step, self.caller, "" if cut else "interrupted"))
            if step.blow is None:
                self.let_be(step.call)
                self.caller.check()
            elif cut:
                self.cut(step.call, step.blow)
            else:
                self.interrupt(step.call, step.blow)
            if self.witness.evidence.total:
                return

    def let_be(self, call: Call) -> None:
        """Make a call that nothing hits; a connection may be broken from before all the same."""
        self._judged(call, lambda: self.caller.perform(call))

    def interrupt(self, call: Call, blow: Blow) -> None:
        """Interrupt a call by a signal, and look what others are answered then."""
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

        self._judged(
            call, lambda: interrupted(lambda: self.caller.perform(call), reached), "interruptions"
        )
        self._aftermath(call, at_once=blow.at_once)

    def time_out(self, call: Call, *, at_once: bool) -> None:
        """Let a call run into its own time-out, and look what others are answered then."""
        self.begin()
        self.witness.story.append(f"{self.caller.told(call)} timed out")
        self.scene.proxy.freeze("replies")
        with ThreadPoolExecutor(1) as threads:
            made = threads.submit(self.caller.perform, call)
            wait([made], self.stubborn)
            self._aftermath(call, at_once=at_once)
            self._judged(call, made.result, "timeouts")

    def cut(self, call: Call, blow: Blow) -> None:
        """Cut the connection while the reply comes."""
        self.scene.proxy.cut_after(blow.amount, "replies")
        self._judged(call, lambda: self.caller.perform(call), "broken_replies")
        self.scene.proxy.let_pass()
        self.caller.check()

    def _aftermath(self, call: Call, *, at_once: bool) -> None:
        """Let the lost reply come, after others have asked or before."""
        proxy = self.scene.proxy
        if at_once:
            before = proxy.counters().requests
            with ThreadPoolExecutor(_ASKING) as threads:
                asked: list[Future[None]] = []
                for cell in self._others(call)[:_ASKING]:
                    asked.append(threads.submit(self.caller.glance, cell))
                    over = asked[0].done
                    if len(asked) == 1:
                        self.scene.reach("requests", before + 1, over)
                proxy.let_pass()
                for each in asked:
                    each.result()
        proxy.let_pass()
        self.caller.check()

    def _others(self, call: Call) -> list[Cell]:
        cells = self.caller.cells
        tenant = cells[call.cell % len(cells)].tenant
        return sorted(cells, key=lambda cell: cell.tenant == tenant)

    def _judged(self, call: Call, make: Callable[[], str | None], hit: str | None = None) -> None:
        """Make a call; one that is hit may fail, but not get a wrong reply.

        `hit` is what is counted where it failed.
        """
        try:
            found = make()
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 (SystemExit and pytest's outcomes too)
            if hit is not None:
                self.witness.evidence.saw(hit)
            elif not self.witness.excuses(error):
                self.witness.raised(self.caller.told(call), error)
            return
        if call.what == "read":
            cell = self.caller.cells[call.cell % len(self.caller.cells)]
            self.witness.glance(cell.slug, cell.reading, found)


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
