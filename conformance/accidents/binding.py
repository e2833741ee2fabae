# SPDX-License-Identifier: Apache-2.0
"""Threads and tasks that share handles, mix families of several databases, and are cut off."""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from kryonix_cache.conformance.accidents.callers import AsyncCaller, Call, Caller
from kryonix_cache.conformance.accidents.cells import (
    NAMES,
    answer_cells,
    async_cells,
    record_cells,
    session_cells,
    websocket_cells,
)
from kryonix_cache.conformance.accidents.crowds import together
from kryonix_cache.conformance.accidents.jobs import Jobs
from kryonix_cache.conformance.accidents.landings import ATTEMPTS, demand, in_vain
from kryonix_cache.reference_impl.tenant import families, serves

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence

    from kryonix_cache.conformance.accidents.cells import AsyncCell, Cell
    from kryonix_cache.conformance.accidents.scene import Scene
    from kryonix_cache.conformance.accidents.witness import Witness
    from kryonix_cache.conformance.datasets import Place
    from kryonix_cache.fixtures.capabilities import AsyncTenantStore, QueueHandle, TenantStore
    from kryonix_cache.fixtures.system import System

WORKERS = 6
TASKS = 4
CONNECTIONS = 4
_LEAST_ROUNDS = 8
_CUT_SECONDS = 0.03
_CELLS_ALIKE = 6
_TURNS = 20


@dataclass
class Worker:
    """One thread: the cells that only it writes, and a queue for each tenant that it fills.

    All workers call on the same handles, one for each tenant and capability. `jobs` are those of
    the queues that they all push to and pop from.
    """

    caller: Caller
    queues: Mapping[Place, QueueHandle]
    jobs: Jobs | None
    name: str

    def work(self, stopped: Callable[[], bool]) -> None:
        """Write and read all cells again and again until it is stopped."""
        rounds = 0
        while rounds < _LEAST_ROUNDS or not stopped():
            for number, cell in enumerate(self.caller.cells):
                self.write(number)
                self.caller.glance(cell)
            for handle in self.queues.values():
                self._judged("push()", lambda h=handle: h.push(self.name, {"tag": self.name}))  # type: ignore[misc]
            if self.jobs is not None:
                for name in NAMES:
                    self.jobs.push(name)
                    self.jobs.pop(name)
            rounds += 1

    def write(self, number: int) -> None:
        """Write a cell; an error of the connection is excused."""
        call = Call(number % len(self.caller.cells), "write")
        self._judged(self.caller.told(call), lambda: self.caller.perform(call))

    def read(self, number: int) -> None:
        """Read a cell that no accident is to hit, and judge what comes."""
        cell = self.caller.cells[number % len(self.caller.cells)]
        witness = self.caller.witness
        self._judged(cell.reading, lambda: witness.judge(cell.slug, cell.reading, cell.read()))

    def _judged(self, where: str, call: Callable[[], object]) -> None:
        self.caller.witness.judged(where, call)


class Crew:
    """The workers of one system, and where their keys must lie."""

    def __init__(self, scene: Scene, system: System, store: TenantStore) -> None:
        self.scene = scene
        self.witness: Witness = scene.witness(system)
        self._jobs = self._shared_jobs(system)
        self._workers = [self._worker(number, system, store) for number in range(WORKERS)]

    def play(self, cuts: int) -> None:
        """Let threads share a queue and meet, then work while connections are cut so many times."""
        if self._jobs is not None:
            self._jobs.share_out(partial(together, self.scene))
        self._meet()
        with self._working("threads"):
            for _ in range(cuts):
                time.sleep(_CUT_SECONDS)
                self._cut()
        self._check()

    async def play_with_tasks(self, cuts: int, store: AsyncTenantStore) -> None:
        """Let threads and tasks work while the connections are cut so many times."""
        callers = [
            AsyncCaller(async_cells(store, self.scene.run, [f"t{number}"]), self.witness)
            for number in range(TASKS)
        ]
        await self._meet_as_tasks(callers)
        ended = asyncio.Event()
        with self._working("threads and tasks"):
            async with asyncio.TaskGroup() as tasks:
                for caller in callers:
                    tasks.create_task(_work(caller, ended))
                for _ in range(cuts):
                    await asyncio.sleep(_CUT_SECONDS)
                    self._cut()
                ended.set()
        for caller in callers:
            await caller.check()
        self._check([cell for caller in callers for cell in caller.cells])

    def _meet(self) -> None:
        """Let all workers write at once, and then read at once, cell by cell.

        They meet on cells of one kind, and on those of several kinds that one tenant has: what
        is kept from one round trip to the next then belongs to another for sure. Reads may need
        no round trip where the system remembers. Raises Inconclusive where writes never meet.
        """
        self.witness.story[:] = ["threads shared the handles"]
        for worker in self._workers:
            worker.caller.renew()
        alike = [(number, 0) for number in range(_CELLS_ALIKE)]
        for number, stride in [*alike, *((number, len(NAMES)) for number in range(len(NAMES)))]:
            meet = partial(self._make_at_once, number, stride)
            demand(self.scene, partial(meet, Worker.write), f"{WORKERS} threads wrote at once")
            meet(Worker.read)

    def _make_at_once(self, number: int, stride: int, make: Callable[[Worker, int], None]) -> bool:
        calls = [
            partial(make, worker, number + stride * n) for n, worker in enumerate(self._workers)
        ]
        met = together(self.scene, calls)
        self.witness.evidence.saw("meetings", met)
        return met

    async def _meet_as_tasks(self, callers: Sequence[AsyncCaller]) -> None:
        """Do the same with tasks.

        Raises Inconclusive where writes never meet.
        """
        self.witness.story[:] = ["tasks shared the handles"]
        for caller in callers:
            await caller.renew()
        for number in range(len(callers[0].cells)):
            for _ in range(ATTEMPTS):
                if await self._make_at_once_in_tasks(_write(each, number) for each in callers):
                    break
            else:
                raise in_vain(f"{TASKS} tasks wrote at once")
            await self._make_at_once_in_tasks(_read(each, number) for each in callers)

    async def _make_at_once_in_tasks(
        self, calls: Iterable[Coroutine[object, object, None]]
    ) -> bool:
        """Let no reply come before all tasks wait: that takes turns of the loop, and no time."""
        self.scene.proxy.freeze("replies")
        try:
            tasks = [asyncio.create_task(call) for call in calls]
            for _ in range(_TURNS):
                await asyncio.sleep(0)
            met = not any(task.done() for task in tasks)
        finally:
            self.scene.proxy.let_pass()
        await asyncio.gather(*tasks)
        self.witness.evidence.saw("meetings", met)
        return met

    def _cut(self) -> None:
        self.scene.proxy.cut()
        self.witness.evidence.saw("reconnects")

    @contextmanager
    def _working(self, callers: str) -> Iterator[None]:
        stopped = threading.Event()
        self.witness.story[:] = [f"{callers} shared the handles and connections were cut"]
        with ThreadPoolExecutor(WORKERS) as threads:
            working = [threads.submit(each.work, stopped.is_set) for each in self._workers]
            try:
                yield
            finally:
                stopped.set()
            for each in working:
                each.result()

    def _check(self, further: Sequence[AsyncCell] = ()) -> None:
        """Read every cell, and look in which databases its key lies."""
        cells: list[Cell | AsyncCell] = [*further]
        queues: set[Place] = set()
        for worker in self._workers:
            worker.caller.check()
            cells += worker.caller.cells
            queues |= set(worker.queues)
        lying = self.scene.places()
        homes = {cell.place for cell in cells} | queues
        names = {key for _, key in homes}
        for database, key in sorted(lying - homes):
            if key in names:
                self.witness.found(_told(key), f"in database {database}", "in its own only")
        for cell in cells:
            if not self.witness.ledger.allows(cell.slug, None) and cell.place not in lying:
                self.witness.found(_told(cell.place[1]), "nowhere", f"in database {cell.place[0]}")
        self.witness.evidence.saw("keys", len(homes & lying))
        self.witness.evidence.saw("databases", len({database for database, _ in homes & lying}))

    def _worker(self, number: int, system: System, store: TenantStore) -> Worker:
        run, items = self.scene.run, [f"w{number}"]
        cells = [*answer_cells(store, run, items), *session_cells(store, run, items)]
        if system.websockets is not None and serves(run.contract, families.CONNECTIONS):
            cells += websocket_cells(system.websockets, run, items)
        if system.records is not None:
            cells += [*record_cells(system.records, run)][number::WORKERS]
        queues: dict[Place, QueueHandle] = {}
        if system.queues is not None and serves(run.contract, families.QUEUES):
            for name in NAMES:
                key = run.contract.key(families.QUEUES, tenant=run.id(name), queue=items[0])
                home = run.contract.family(families.QUEUES).databases[0]
                queues[home, key] = system.queues.open(run.id(name))
        return Worker(Caller(cells, self.witness), queues, self._jobs, items[0])

    def _shared_jobs(self, system: System) -> Jobs | None:
        run = self.scene.run
        if system.queues is None or not serves(run.contract, families.QUEUES):
            return None
        return Jobs({name: system.queues.open(run.id(name)) for name in NAMES}, self.witness)


async def _work(caller: AsyncCaller, ended: asyncio.Event) -> None:
    while not ended.is_set():
        for number, cell in enumerate(caller.cells):
            await _write(caller, number)
            await caller.glance(cell)


async def _write(caller: AsyncCaller, number: int) -> None:
    call = Call(number, "write")
    try:
        await caller.perform(call)
    except Exception as error:  # noqa: BLE001 (judged below)
        if not caller.witness.excuses(error):
            caller.witness.raised(caller.told(call), error)


async def _read(caller: AsyncCaller, number: int) -> None:
    cell = caller.cells[number]
    try:
        found = await cell.read()
    except Exception as error:  # noqa: BLE001 (judged below)
        if not caller.witness.excuses(error):
            caller.witness.raised(cell.reading, error)
    else:
        caller.witness.judge(cell.slug, cell.reading, found)


def _told(key: bytes) -> str:
    return f"the key {key.decode(errors='backslashreplace')}"
