# SPDX-License-Identifier: Apache-2.0
"""
Crowds: threads that all call at once, and wait together.

Replies are held back until all of them wait, so that they meet on any machine.
"""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING

from kryonix_cache.conformance.accidents.standstill import (
    Look,
    look_at_threads,
    standing,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from kryonix_cache.conformance.accidents.callers import Caller
    from kryonix_cache.conformance.accidents.cells import Cell
    from kryonix_cache.conformance.accidents.scene import Scene

_AGAIN = 3
_MET_LOOKS = 5
_QUIET_LOOKS = 60
"""How long all of a crowd must wait before it has gathered: longer than a system waits for a
connection to be free before it does something else, here at least 60 ms."""

_GATHERING_SECONDS = 1.5


def together(scene: Scene, calls: Sequence[Callable[[], object]]) -> bool:
    """Make calls in a thread each, and let no reply come before all of them wait.

    Returns whether they did, which those do not that need no reply.
    """
    threads: set[threading.Thread] = set()
    with ThreadPoolExecutor(
        len(calls), initializer=lambda: threads.add(threading.current_thread())
    ) as pool:
        scene.proxy.freeze("replies")
        try:
            called = [pool.submit(call) for call in calls]

            def look() -> Look | None:
                stands = look_at_threads(threads)
                return None if stands is None else (stands, scene.proxy.counters())

            met = standing(look, lambda: any(each.done() for each in called), looks=_MET_LOOKS)
        finally:
            scene.proxy.let_pass()
        for each in called:
            each.result()
    return met


class Crowd:
    """One thread for each cell, which reads it."""

    def __init__(self, caller: Caller, cells: Sequence[Cell]) -> None:
        self._caller = caller
        self._ready = threading.Barrier(len(cells))
        self._go_on = threading.Event()
        self._answered = [threading.Event() for _ in cells]
        self._errors: list[BaseException] = []
        self._threads = [
            threading.Thread(target=self._ask, args=(cell, answered))
            for cell, answered in zip(cells, self._answered, strict=True)
        ]

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Let all ask at once; at the end let them ask again, and wait until they have done."""
        started = []
        try:
            for thread in self._threads:
                thread.start()
                started.append(thread)
            yield
        finally:
            # Those who came wait for those who do not come any more after a Ctrl-C.
            if len(started) < len(self._threads):
                self._ready.abort()
            self._go_on.set()
            for thread in started:
                thread.join()
        for error in self._errors:
            raise error

    def waiting(self) -> list[threading.Thread]:
        """Return who has no answer to its first question yet, and no error."""
        pairs = zip(self._threads, self._answered, strict=True)
        return [thread for thread, answered in pairs if not answered.is_set()]

    def wait(self, seconds: float) -> None:
        """Wait until each has an answer or an error, at most so long."""
        until = time.monotonic() + seconds
        for answered in self._answered:
            answered.wait(max(0.0, until - time.monotonic()))

    def gathered(self, sent: Callable[[], int]) -> bool:
        """Wait until nobody moves any more, nor does what they `sent`; False if nobody waits."""

        def look() -> Look | None:
            threads = look_at_threads(self.waiting())
            return None if threads is None else (threads, sent())

        still = standing(
            look,
            lambda: not self.waiting(),
            looks=_QUIET_LOOKS,
            seconds=_GATHERING_SECONDS,
        )
        return still and bool(self.waiting())

    def _ask(self, cell: Cell, answered: threading.Event) -> None:
        try:
            self._ready.wait()
            self._caller.glance(cell)
            answered.set()
            self._go_on.wait()
            for _ in range(_AGAIN):
                self._caller.glance(cell)
        except threading.BrokenBarrierError:
            pass
        except BaseException as error:  # noqa: BLE001 (it is raised in the main thread)
            self._errors.append(error)
        finally:
            answered.set()
