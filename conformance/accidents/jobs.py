# SPDX-License-Identifier: Apache-2.0
"""Jobs of one queue for each tenant that several threads push and pop at once."""

from __future__ import annotations

import itertools
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING

from kryonix_cache.conformance.accidents.cells import NAMES
from kryonix_cache.conformance.accidents.landings import ATTEMPTS, in_vain

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from kryonix_cache.conformance.accidents.witness import Witness
    from kryonix_cache.fixtures.capabilities import QueueHandle

QUEUE = "crowd"
_THREADS = 4
_JOBS = 15
"""What each thread pushes for each tenant: enough that all of them meet at the queue."""


class Jobs:
    """What was pushed into the tenants' queues, and how often each job was taken.

    A push that raised may have happened, and a pop that raised may have taken a job with it.
    """

    def __init__(self, queues: Mapping[str, QueueHandle], witness: Witness) -> None:
        self._queues = queues
        self._witness = witness
        self._numbers = itertools.count(1)
        self._pushed: dict[str, set[str]] = {name: set() for name in NAMES}
        self._arrived: dict[str, set[str]] = {name: set() for name in NAMES}
        self._failed_pops = Counter[str]()
        self._taken = Counter[str]()
        self._lock = threading.Lock()

    def push(self, name: str) -> None:
        """Push a job of a tenant; an error of the connection is excused."""
        with self._lock:
            tag = f"{name}-crowd-{next(self._numbers)}"
            # Before it is pushed: another thread may have it before this one goes on.
            self._pushed[name].add(tag)

        def push() -> None:
            self._queues[name].push(QUEUE, {"tag": tag})
            self._arrived[name].add(tag)

        self._witness.judged(f"{name}.push('{QUEUE}')", push)

    def pop(self, name: str) -> bool:
        """Pop a job of a tenant and judge it; say whether the queue was empty."""
        empty = self._witness.judged(f"{name}.pop('{QUEUE}')", lambda: self._pop(name))
        if empty is None:
            with self._lock:
                self._failed_pops[name] += 1
        return bool(empty)

    def share_out(self, together: Callable[[Sequence[Callable[[], object]]], bool]) -> None:
        """Let threads push, then pop until nothing is left: each job comes out once.

        `together` makes the first pops so that they meet at the queue, and says whether they did.
        Raises Inconclusive where they never do.
        """
        self._witness.story.append(f"{_THREADS} threads popped from one queue")
        with ThreadPoolExecutor(_THREADS) as threads:
            self._all_at(threads, self._push_many)
            for name in NAMES:
                self._meet(name, together)
            self._all_at(threads, self._pop_all)
        self._witness.evidence.saw("jobs", sum(map(len, self._arrived.values())))
        for name in NAMES:
            missing = sorted(self._arrived[name] - set(self._taken))
            if len(missing) > self._failed_pops[name]:
                self._witness.found(f"{name}.pop('{QUEUE}')", "nothing", f"{missing[0]} once")
        self._witness.story.pop()

    def _meet(self, name: str, together: Callable[[Sequence[Callable[[], object]]], bool]) -> None:
        for _ in range(ATTEMPTS):
            if together([partial(self.pop, name)] * _THREADS):
                self._witness.evidence.saw("meetings")
                return
        raise in_vain(f"{_THREADS} threads popped from one queue of {name} at once")

    def _all_at(self, threads: ThreadPoolExecutor, work: Callable[[], None]) -> None:
        for ended in [threads.submit(work) for _ in range(_THREADS)]:
            ended.result()

    def _push_many(self) -> None:
        for _ in range(_JOBS):
            for name in NAMES:
                self.push(name)

    def _pop_all(self) -> None:
        for name in NAMES:
            # A queue that never ends is found by the jobs that come twice.
            for _ in range(2 * _THREADS * _JOBS):
                if self.pop(name):
                    break

    def _pop(self, name: str) -> bool:
        job = self._queues[name].pop(QUEUE)
        self._witness.evidence.saw("replies")
        if job is None:
            return True
        tag = str(job.get("tag", job))
        with self._lock:
            self._taken[tag] += 1
            again = self._taken[tag] > 1
        if tag not in self._pushed[name] or again:
            wanted = "each job once" if again else f"a job of {name}"
            self._witness.found(f"{name}.pop('{QUEUE}')", tag, wanted)
        return False
