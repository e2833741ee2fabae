# SPDX-License-Identifier: Apache-2.0
"""One play of a program: on the system's handles, and on one plain dict for each tenant."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import wait
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from kryonix_cache.conformance.evidence import answer_of
from kryonix_cache.conformance.model.operations import UNJUDGED
from kryonix_cache.conformance.model.programs import TENANT_NAMES
from kryonix_cache.conformance.model.steps import AtOnce, Pause, Single, Step, Turn
from kryonix_cache.conformance.model.switching import switching

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence
    from concurrent.futures import ThreadPoolExecutor

    from kryonix_cache.conformance.model.operations import Call, Model
    from kryonix_cache.fixtures.system import System

_PATIENCE_SECONDS = 30.0


class Play:
    """Handles of the tenants that are opened when they are first used, and the models.

    `run` plays a coroutine to its end; `pass_time` lets so many seconds pass on the server;
    `threads` has one for each lane of a step.
    """

    def __init__(
        self,
        system: System,
        tenant_id: Callable[[str], str],
        run: Callable[[Coroutine[Any, Any, list[Any]]], list[Any]],
        pass_time: Callable[[int], None],
        threads: ThreadPoolExecutor,
    ) -> None:
        self.models: dict[str, Model] = {name: {} for name in TENANT_NAMES}
        self.steps: list[Step] = []
        self._system = system
        self._tenant_id = tenant_id
        self._run = run
        self._pass_time = pass_time
        self._threads = threads
        self._handles: dict[tuple[str, str], Any] = {}

    def take(self, step: Step) -> list[Turn]:
        """Play a step on system and model; return its turns in order.

        Raises SystemRaisedError where the system raises; the step then stands in `steps`.
        """
        self.steps.append(step)
        match step:
            case Single(call):
                return self._judged(step.calls, [self.ask(call)])
            case AtOnce(calls, by):
                for call in calls:
                    self.handle(call)
                replies = self._in_threads(step) if by == "threads" else self._as_tasks(step)
                return self._judged(calls, replies)
            case Pause(seconds):
                self._pass_time(seconds)
                self._age(seconds)
                return []

    def _judged(self, calls: Sequence[Call], replies: Sequence[Any]) -> list[Turn]:
        turns = []
        for call, reply in zip(calls, replies, strict=True):
            wanted = call.operation.effect(call, self.models[call.tenant])
            shown = answer_of(f"the reply to {call}", call.operation.shown, reply, wanted)
            found = UNJUDGED if wanted is UNJUDGED else shown
            turns.append(Turn(call, found, wanted, reply))
        return turns

    def handle(self, call: Call) -> Any:
        """Return the handle that a call is made on."""
        place = (call.tenant, call.operation.capability)
        if place not in self._handles:
            opener = getattr(self._system, call.operation.capability)
            self._handles[place] = answer_of(
                f"opening {call.tenant}", opener.open, self._tenant_id(call.tenant)
            )
        return self._handles[place]

    def ask(self, call: Call) -> Any:
        """Make a call and return the reply as it is; raise SystemRaisedError."""
        handle = self.handle(call)
        if call.operation.capability == "async_tenant_store":
            return self._run(_in_turn([(call, handle)]))[0]
        return _kept(answer_of(str(call), call.make, handle))

    def _in_threads(self, step: AtOnce) -> list[Any]:
        lanes = step.lanes
        barrier = threading.Barrier(len(lanes))

        def play(places: Sequence[int]) -> list[Any]:
            barrier.wait(_PATIENCE_SECONDS)
            with switching() if step.closely else nullcontext():
                return [self._answer_in_thread(step.calls[place]) for place in places]

        try:
            played = [self._threads.submit(play, places) for places in lanes]
            # All of them to their end, so that none of a failed step still runs during the next.
            wait(played)
        except BaseException:
            # A Ctrl-C; nobody else will come, and the pool waits for those who do.
            barrier.abort()
            raise
        return _in_order(lanes, [each.result() for each in played])

    def _answer_in_thread(self, call: Call) -> Any:
        return _kept(answer_of(str(call), call.make, self.handle(call)))

    def _as_tasks(self, step: AtOnce) -> list[Any]:
        lanes = step.lanes
        programs = [
            [(step.calls[place], self.handle(step.calls[place])) for place in places]
            for places in lanes
        ]
        return _in_order(lanes, self._run(_together(programs)))

    def _age(self, seconds: int) -> None:
        for model in self.models.values():
            for entry, held in list(model.items()):
                if held.left is not None:
                    held.left -= seconds
                    if held.left <= 0:
                        del model[entry]


async def _in_turn(program: Sequence[tuple[Call, Any]]) -> list[Any]:
    return [await _awaited(call, handle) for call, handle in program]


async def _together(programs: Sequence[Sequence[tuple[Call, Any]]]) -> list[Any]:
    tasks = [asyncio.ensure_future(_in_turn(program)) for program in programs]
    # All of them to their end, so that none of a failed step still runs during the next.
    await asyncio.wait(tasks)
    return [task.result() for task in tasks]


async def _awaited(call: Call, handle: Any) -> Any:
    outcome: Any
    try:
        outcome = await call.make(handle)
    except (asyncio.CancelledError, KeyboardInterrupt):
        raise
    except BaseException as error:  # noqa: BLE001 (answer_of decides what it stands for)
        outcome = error
    return answer_of(str(call), _give, outcome)


def _kept(reply: Any) -> Any:
    """Return a reply that a later call cannot change any more."""
    return reply.copy() if isinstance(reply, dict | list | set) else reply


def _give(outcome: Any) -> Any:
    if isinstance(outcome, BaseException):
        raise outcome
    return outcome


def _in_order(lanes: Sequence[Sequence[int]], replies: Sequence[Sequence[Any]]) -> list[Any]:
    """Return the replies of the lanes in the order of the calls."""
    found = {
        place: reply
        for places, answers in zip(lanes, replies, strict=True)
        for place, reply in zip(places, answers, strict=True)
    }
    return [found[place] for place in sorted(found)]
