# SPDX-License-Identifier: Apache-2.0
"""Cancelled and timed-out calls of a system for asyncio."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import TYPE_CHECKING

from kryonix_cache.conformance.accidents.blows import Blow, Step, told
from kryonix_cache.conformance.accidents.callers import ANSWER_SECONDS, AsyncCaller, Call
from kryonix_cache.conformance.accidents.cells import async_cells
from kryonix_cache.conformance.accidents.landings import ATTEMPTS, Landings
from kryonix_cache.conformance.accidents.scene import (
    OTHERS_SECONDS,
    PATIENT_SECONDS,
    POLL_SECONDS,
    STUBBORN_SECONDS,
    Scene,
)
from kryonix_cache.conformance.outcomes import NotOffered

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence

    from kryonix_cache.conformance.accidents.cells import AsyncCell
    from kryonix_cache.conformance.accidents.scene import Counted
    from kryonix_cache.fixtures.proxy.process import Counters
    from kryonix_cache.fixtures.system import Surroundings

_FIRM_SECONDS = 0.5
"""How long a call may go on after it was cancelled before the accident is let go."""

_SHORT_SECONDS = 0.03
_TURNS = 20
_CROWD = 12


class AsyncAccidents:
    """Makes accidents to calls in one event loop; `run` plays one coroutine in it."""

    def __init__(self, scene: Scene, caller: AsyncCaller, *, in_process: bool) -> None:
        self.scene = scene
        self.caller = caller
        self.witness = caller.witness
        self.landings = Landings()
        self._in_process = in_process
        self._stubborn = STUBBORN_SECONDS if in_process else OTHERS_SECONDS

    async def begin(self) -> None:
        """Start from fresh connections and fresh tags."""
        self.scene.calm()
        self.witness.start_over()
        await self.caller.renew()

    async def play(self, story: Sequence[Step]) -> None:
        """Play a story from a fresh start."""
        await self.begin()
        for step in story:
            self.witness.story.append(self.told(step))
            if step.blow is None:
                # Connections may be broken from the step before, so an error is excused.
                task = asyncio.create_task(self.caller.perform(step.call))
                await self._judged(step.call, task)
                await self.caller.check()
            else:
                await self.strike(step.call, step.blow)
            if self.witness.evidence.total:
                return

    def told(self, step: Step) -> str:
        """Return how a finding shows a step."""
        return told(step, self.caller, "cancelled")

    async def strike(self, call: Call, blow: Blow) -> None:
        """Cancel a call at the moment of the blow, and look what others are answered then."""
        before, task = await self._begun(call, blow)
        timeless = blow.moment in {"unsent", "turns"}
        withheld = self._withheld(before)
        # Without others who ask, and with its reply let through, it may be over before.
        landed = task.cancel() and (timeless or withheld)
        landed |= timeless and not blow.at_once
        firmly = landed and not timeless
        short = blow.moment == "part" and task.done() and self._came_whole(before, blow)
        await asyncio.wait({task}, timeout=_FIRM_SECONDS)
        felt = await self.aftermath(call, at_once=blow.at_once)
        await self._judged(call, task, hit="cancellations", firmly=firmly)
        await self.caller.check()
        if short or (landed and felt):
            self.landings.note(call, blow)

    def _came_whole(self, before: Counters, blow: Blow) -> bool:
        """Say whether all of a reply could pass, so that there is no such moment in it."""
        return self.scene.proxy.counters().replies - before.replies <= blow.amount

    async def _begun(self, call: Call, blow: Blow) -> tuple[Counters, asyncio.Task[str | None]]:
        """Make a call, and return with it when the moment of the blow has come."""
        for _ in range(ATTEMPTS):
            before = self.scene.proxy.counters()
            self._hold_back(blow)
            task = asyncio.create_task(self.caller.perform(call))
            await self._reach_into(task, blow, before)
            if blow.moment != "connecting" or not task.done():
                break
            # The system noticed only now that its connection was cut: its next call makes one.
            await self._judged(call, task)
        return before, task

    def _hold_back(self, blow: Blow) -> None:
        if blow.moment == "unarrived":
            self.scene.proxy.freeze("requests")
        elif blow.moment in {"held", "connecting"}:
            if blow.moment == "connecting":
                self.scene.proxy.cut()
            self.scene.proxy.freeze("replies")
        elif blow.moment == "part":
            self.scene.proxy.freeze("replies", after=blow.amount)
        elif blow.at_once:
            self.scene.proxy.freeze("replies")

    async def _reach_into(
        self, task: asyncio.Task[str | None], blow: Blow, before: Counters
    ) -> None:
        """Wait until a call has come to where the blow is to hit it."""
        if blow.moment == "turns":
            for _ in range(blow.amount):
                await asyncio.sleep(0)
        elif blow.moment == "unsent":
            return
        elif blow.moment == "unarrived":
            await self.reach("requests", before.requests + 1, [task])
            await self._take_turns()
        else:
            if blow.moment == "part":
                await self.reach("replies_passed", before.replies_passed + blow.amount, [task])
            await self.reach("replies", before.replies + blow.amount + 1, [task])
            await self._take_turns()

    async def _take_turns(self) -> None:
        """Let a call whose reply is at the proxy come to wait for it.

        It may still be on its way out of the send, where it would close the connection if it was
        hit. What it has to do until it waits takes turns of the loop, and no time.
        """
        for _ in range(_TURNS):
            await asyncio.sleep(0)

    def _withheld(self, before: Counters) -> bool:
        """Say whether the proxy holds back what an answer needs, a request or a reply.

        Then a call that is cancelled can end in one way only. Otherwise its reply may be there,
        and `asyncio.wait_for` of Python 3.11 returns it.
        """
        now = self.scene.proxy.counters()
        held = now.requests - now.requests_passed + now.replies - now.replies_passed
        # What was held back when a connection was cut never passes.
        lost = before.requests - before.requests_passed + before.replies - before.replies_passed
        return held > lost

    async def aftermath(self, call: Call, *, at_once: bool) -> bool:
        """Let the lost reply come, after others have asked or before.

        Returns whether one who asked before was answered after, which is who may get it.
        """
        asked: list[asyncio.Task[bool]] = []
        waiting: list[asyncio.Task[bool]] = []
        if at_once:
            # All that the hit call sent has been counted at the second look.
            self.scene.proxy.counters()
            before = self.scene.proxy.counters()
            asked = [asyncio.create_task(self.caller.glance(cell)) for cell in self._others(call)]
            if await self.reach("requests", before.requests + 1, asked):
                waiting = [task for task in asked if not task.done()]
        self.scene.proxy.let_pass()
        await asyncio.gather(*asked)
        return not at_once or any(task.result() for task in waiting)

    async def reach(
        self, counted: Counted, count: int, tasks: Sequence[asyncio.Task[object]]
    ) -> bool:
        """Wait until the proxy has counted so many bytes; False if all tasks have ended before."""
        while getattr(self.scene.proxy.counters(), counted) < count:
            if all(task.done() for task in tasks):
                return False
            await asyncio.sleep(POLL_SECONDS)
        return True

    async def wait_for_the_pool(self, *, holder_too: bool) -> None:
        """Cancel a call that waits for a connection, and the one that holds it or not."""
        await self.begin()
        also = ", and so was the call that held it" if holder_too else ""
        self.witness.story.append(f"a call was cancelled that waited for a connection{also}")
        with self._held_replies() as before:
            calls = [Call(n, "read") for n in range(len(self.caller.cells))]
            tasks = [asyncio.create_task(self.caller.perform(call)) for call in calls]
            await self.reach("replies", before + 1, tasks)
            hit = await self._cancel({n: tasks[n] for n in ([1, 0] if holder_too else [1])})
        for n, (call, task) in enumerate(zip(calls, tasks, strict=True)):
            cancelled = "cancellations" if n in hit else None
            await self._judged(call, task, hit=cancelled, firmly=n in hit)
        await self.caller.check()

    async def several_at_once(self) -> None:
        """Cancel every second of many calls, those that wait for a connection among them."""
        await self.begin()
        self.witness.story.append(f"every second of {_CROWD} calls was cancelled")
        with self._held_replies() as before:
            calls = [Call(n, "read") for n in range(_CROWD)]
            tasks = [asyncio.create_task(self.caller.perform(call)) for call in calls]
            await self.reach("replies", before + 1, tasks)
            hit = await self._cancel(dict(list(enumerate(tasks))[::2]))
        for n, (call, task) in enumerate(zip(calls, tasks, strict=True)):
            cancelled = "cancellations" if n in hit else None
            await self._judged(call, task, hit=cancelled, firmly=n in hit)
        await self.caller.check()

    async def time_out(self, call: Call, *, way: str, at_once: bool) -> bool:
        """Let a call run into `asyncio.timeout`, `asyncio.wait_for`, or its own time-out.

        Returns whether it did, and whether others were answered who asked before its reply came.
        """
        await self.begin()
        self.witness.story.append(f"{self.caller.told(call)} ran into {way}")
        limits: dict[str, Callable[[Call], Coroutine[object, object, str | None]]] = {
            "asyncio.timeout": self._limited,
            "asyncio.wait_for": self._waited_for,
        }
        before = self.scene.proxy.counters()
        self.scene.proxy.freeze("replies")
        task = asyncio.create_task(limits.get(way, self.caller.perform)(call))
        await self.reach("replies", before.replies + 1, [task])
        await self._take_turns()
        waits = not task.done()
        # A cache may answer a time-out of its own with a miss, and any call from its memory.
        firmly = way in limits and self._withheld(before)
        await asyncio.wait({task}, timeout=self._stubborn)
        late = task.done()
        felt = await self.aftermath(call, at_once=at_once)
        await self._judged(call, task, hit="timeouts", firmly=firmly)
        await self.caller.check()
        return not self._in_process or (waits and late and felt)

    async def _cancel(self, tasks: Mapping[int, asyncio.Task[str | None]]) -> set[int]:
        """Cancel tasks while replies are held back; return the numbers of those not over yet."""
        hit = {number for number, task in tasks.items() if task.cancel()}
        # The other tasks of the loop have their turn before the replies come.
        for _ in range(_CROWD):
            await asyncio.sleep(0)
        return hit

    async def _limited(self, call: Call) -> str | None:
        async with asyncio.timeout(_SHORT_SECONDS):
            return await self.caller.perform(call)

    async def _waited_for(self, call: Call) -> str | None:
        return await asyncio.wait_for(self.caller.perform(call), _SHORT_SECONDS)

    @contextmanager
    def _held_replies(self) -> Iterator[int]:
        """Hold replies back; give how many bytes of them there were."""
        before = self.scene.proxy.counters().replies
        self.scene.proxy.freeze("replies")
        try:
            yield before
        finally:
            self.scene.proxy.let_pass()

    def _others(self, call: Call) -> list[AsyncCell]:
        cells = self.caller.cells
        tenant = cells[call.cell % len(cells)].tenant
        return sorted(cells, key=lambda cell: cell.tenant == tenant)

    async def _judged(
        self,
        call: Call,
        task: asyncio.Task[str | None],
        *,
        hit: str | None = None,
        firmly: bool = False,
    ) -> None:
        """Wait for a call; one that was hit may have failed, but not have got a wrong reply.

        `hit` is what is counted where it failed. One that was hit `firmly` must have: who
        cancels a call, or sets it a time limit, waits to be told.
        """
        await asyncio.wait({task}, timeout=ANSWER_SECONDS)
        if not task.done():
            self.witness.found(self.caller.told(call), "nothing", "an answer or an error")
            task.cancel()
        (found,) = await asyncio.gather(task, return_exceptions=True)
        if isinstance(found, BaseException):
            if hit is not None:
                self.witness.evidence.saw(hit)
            elif not self.witness.excuses(found):
                self.witness.raised(self.caller.told(call), found)
        elif firmly:
            wanted = "an end by the cancellation"
            self.witness.found(self.caller.told(call), f"{found or 'nothing'}, no error", wanted)
        elif call.what == "read":
            cell = self.caller.cells[call.cell % len(self.caller.cells)]
            self.witness.glance(cell.slug, cell.reading, found)


@contextmanager
def async_accidents(
    scene: Scene, *, timeout: float = PATIENT_SECONDS, max_connections: int = 1
) -> Iterator[tuple[AsyncAccidents, asyncio.Runner]]:
    """Give accidents to a system for asyncio, and the loop to make them in.

    Raises NotOffered where the system has no store for asyncio.
    """
    with scene.surroundings(timeout=timeout, max_connections=max_connections) as surroundings:
        system = scene.built(surroundings)
        if system.async_tenant_store is None:
            raise NotOffered("the system offers no tenant store for asyncio, to be cancelled")
        cells = async_cells(system.async_tenant_store, scene.run)
        caller = AsyncCaller(cells, scene.witness(system))
        with event_loop(surroundings) as runner:
            yield AsyncAccidents(scene, caller, in_process=system.in_process), runner


@contextmanager
def event_loop(surroundings: Surroundings) -> Iterator[asyncio.Runner]:
    """Give an event loop; the clients that were used in it are closed in it."""
    with asyncio.Runner() as runner:
        try:
            yield runner
        finally:
            aclose = getattr(surroundings.async_clients, "aclose", None)
            if aclose is not None:
                runner.run(aclose())
