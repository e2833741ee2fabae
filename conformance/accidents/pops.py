# SPDX-License-Identifier: Apache-2.0
"""Interrupted pops and pushes: a job is for one taker of its own tenant, once or never."""

from __future__ import annotations

import itertools
import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Literal, cast, get_args

from kryonix_cache.conformance.accidents.cells import NAMES
from kryonix_cache.conformance.accidents.interruptions import Interruption, interrupted
from kryonix_cache.conformance.outcomes import NotOffered
from kryonix_cache.reference_impl.tenant import families

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import redis

    from kryonix_cache.conformance.accidents.scene import Scene
    from kryonix_cache.fixtures.capabilities import QueueHandle
    from kryonix_cache.fixtures.system import System

QUEUE = "mail"
_WAIT_SECONDS = 0.15
"""How long a pop waits that is to time out; the double where that was not long enough."""

_LONG_SECONDS = 1.0
"""How long one waits that is ended by something else."""

_BLOCKED_SECONDS = 0.05
"""Less than a pop waits, so that one that asks again and again is hit as well."""

_PAUSE_SECONDS = 0.001

Ending = Literal["cut", "timed out", "interrupted"]
ENDINGS: tuple[Ending, ...] = get_args(Ending)


class PopAccidents:
    """Makes accidents to calls on the queues of two tenants."""

    def __init__(self, scene: Scene, system: System) -> None:
        """Raise NotOffered for a system without queues."""
        if system.queues is None:
            raise NotOffered("the system offers no queues")
        self.scene = scene
        self.witness = scene.witness(system)
        self._in_process = system.in_process
        self._wait_seconds = _WAIT_SECONDS
        self._queues: Mapping[str, QueueHandle] = {
            name: system.queues.open(scene.run.id(name)) for name in NAMES
        }
        self._numbers = itertools.count(1)
        self._pushed: dict[str, set[str]] = {}
        self._taken: list[str] = []
        self._lost = 0

    def begin(self) -> None:
        """Start from fresh connections and empty queues."""
        self.scene.calm()
        self.witness.start_over()
        self._pushed = {name: set() for name in NAMES}
        self._taken = []
        counters = self.scene.proxy.counters()
        self._lost = counters.requests - counters.requests_passed
        for name in NAMES:
            self._raw().delete(self._key(name))
        self._check()

    def interrupt_waiting(self, ending: Ending) -> bool:
        """End a pop that waits for a job; what is pushed then is not its any more.

        Returns whether it waited.
        """
        self.begin()
        self.witness.story.append(f"a.pop() was {ending} while it waited")
        waited = self._end_pop("a", ending, self._blocked)
        self._push_past("a")
        self._take("ab")
        self._check()
        return waited

    def lose_job(self, ending: Ending, *, at_once: bool) -> bool:
        """End a pop whose job is under way; it may be lost, but must reach nobody else.

        Returns whether it was, and whether another tenant asked before it came, which a system
        in another process decides.
        """
        self.begin()
        others = ", another tenant popping at once" if at_once else ""
        self.witness.story.append(f"a.pop() was {ending} before its job came{others}")
        landed = self._end_pop("a", ending, self._job_held)
        if at_once:
            # All that the pop sent has been counted at the second look.
            self.scene.proxy.counters()
            sent = self.scene.proxy.counters().requests
            with ThreadPoolExecutor(1) as threads:
                taken = threads.submit(self._take, "ab")
                landed &= self.scene.reach("requests", sent + 1, taken.done)
                self.scene.proxy.let_pass()
                taken.result()
        self.scene.proxy.let_pass()
        self._take("ab")
        self._check()
        return landed or not self._in_process

    def break_push(self, after: int) -> None:
        """Cut the connection in the reply to a push; the job is there once or not at all."""
        self.begin()
        self.witness.story.append(f"the connection was cut after {after} bytes of a.push()'s reply")
        self.scene.proxy.cut_after(after, "replies")
        try:
            self._push("a")
        except KeyboardInterrupt:
            raise
        except BaseException:  # noqa: BLE001 (a call that is hit may fail as it likes)
            self.witness.evidence.saw("broken_replies")
        self.scene.proxy.let_pass()
        self._check()

    def _end_pop(
        self, name: str, ending: Ending, reached: Callable[[Callable[[], bool]], bool]
    ) -> bool:
        """Let a pop wait until `reached`, and end it; return whether it came so far."""
        handle = self._queues[name]
        came: list[bool] = []
        wait = self._wait_seconds if ending == "timed out" else _LONG_SECONDS

        def pop() -> Mapping[str, object] | None:
            return handle.pop(QUEUE, wait=wait)

        def noted(over: Callable[[], bool]) -> bool:
            came.append(reached(over))
            return came[-1]

        try:
            if ending == "interrupted":
                self._took(name, interrupted(pop, noted))
            else:
                self._took(name, self._ended(pop, ending, noted))
        except (Exception, Interruption):  # noqa: BLE001 (a call that is hit may fail as it likes)
            self.witness.evidence.saw("interrupted_pops")
        if not any(came):
            self._wait_seconds *= 2
        return any(came)

    def _ended(
        self,
        pop: Callable[[], Mapping[str, object] | None],
        ending: Ending,
        reached: Callable[[Callable[[], bool]], bool],
    ) -> Mapping[str, object] | None:
        """Make a pop in another thread, and cut its connection or let it time out."""
        with ThreadPoolExecutor(1) as threads:
            taken = threads.submit(pop)
            reached(taken.done)
            if ending == "cut":
                self.scene.proxy.cut()
            return taken.result()

    def _job_held(self, over: Callable[[], bool]) -> bool:
        """Give a pop that waits a job, and hold it back on its way; False if it did not take it."""
        proxy = self.scene.proxy
        if not self._blocked(over):
            return False
        # One that asks again and again is held where it asks, or it would be an earlier answer
        # that is held back, and the job would stay where it is.
        proxy.freeze("requests")
        while not self._asks() and not self._blocks():
            if over():
                return False
            time.sleep(_PAUSE_SECONDS)
        before = proxy.counters().replies
        proxy.freeze("replies")
        self._push_past("a")
        proxy.let_pass("requests")
        came = self.scene.reach("replies", before + 1, over)
        # Where the pop's own wait was over first, the answer is another and the job is there.
        return came and not self._raw().llen(self._key("a"))

    def _asks(self) -> bool:
        counters = self.scene.proxy.counters()
        return counters.requests > counters.requests_passed + self._lost

    def _blocks(self) -> bool:
        return bool(cast("dict[str, int]", self.scene.raw[0].info("clients"))["blocked_clients"])

    def _blocked(self, over: Callable[[], bool]) -> bool:
        """Wait until a client blocks; one that asks again and again never does."""
        until = time.monotonic() + _BLOCKED_SECONDS
        while not over() and time.monotonic() < until:
            if self._blocks():
                return True
            time.sleep(_PAUSE_SECONDS)
        return not over()

    def _check(self) -> None:
        """Push and pop as if nothing had been: each tenant gets its own jobs, in order."""
        self.witness.settled("push() and pop()", self._in_order)

    def _in_order(self) -> bool:
        for name in NAMES:
            self._drain(name)
        sure = {name: [self._push(name) for _ in range(2)] for name in NAMES}
        for name in NAMES:
            taken = self._drain(name)
            if taken != sure[name]:
                self.witness.found(f"the jobs of {name}", taken, str(sure[name]))
        return True

    def _drain(self, name: str) -> list[str]:
        taken: list[str] = []
        while (job := self._queues[name].pop(QUEUE)) is not None:
            self._took(name, job)
            taken.append(self._taken[-1])
        return taken

    def _take(self, name: str) -> None:
        """Pop while an accident goes on: an error is excused, a wrong job is not."""
        try:
            self._took(name, self._queues[name].pop(QUEUE))
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 (SystemExit and pytest's outcomes too)
            if not self.witness.excuses(error):
                self.witness.raised(f"{name}.pop('{QUEUE}')", error)

    def _took(self, name: str, job: Mapping[str, object] | None) -> None:
        self.witness.evidence.saw("replies")
        if job is None:
            return
        tag = str(job.get("tag", job))
        if tag not in self._pushed[name]:
            self.witness.found(f"{name}.pop('{QUEUE}')", tag, f"a job of {name}")
        elif tag in self._taken:
            self.witness.found(f"{name}.pop('{QUEUE}')", f"{tag} again", "each job once")
        self._taken.append(tag)

    def _push(self, name: str) -> str:
        tag = self._tag(name)
        self._queues[name].push(QUEUE, {"tag": tag})
        return tag

    def _push_past(self, name: str) -> None:
        """Push a job past the proxy and the system."""
        job = {"tenant_id": self.scene.run.id(name), "module": QUEUE, "tag": self._tag(name)}
        self._raw().rpush(self._key(name), json.dumps(job))

    def _tag(self, name: str) -> str:
        tag = f"{name}-job-{next(self._numbers)}"
        self._pushed[name].add(tag)
        return tag

    def _key(self, name: str) -> bytes:
        run = self.scene.run
        return run.contract.key(families.QUEUES, tenant=run.id(name), queue=QUEUE)

    def _raw(self) -> redis.Redis:
        return self.scene.raw[self.scene.run.contract.family(families.QUEUES).databases[0]]
