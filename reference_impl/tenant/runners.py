# SPDX-License-Identifier: Apache-2.0
"""The two ways in which an operation is played: blocking, and inside an event loop."""

from __future__ import annotations

import asyncio
import inspect
import time
from typing import TYPE_CHECKING, TypeVar, cast

import redis

from kryonix_cache.reference_impl import async_connection, connection
from kryonix_cache.reference_impl.tenant.exchanges import Batch, Call

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kryonix_cache.reference_impl.demand.recorder import AccessRecorder
    from kryonix_cache.reference_impl.forbidden import Command
    from kryonix_cache.reference_impl.tenant.exchanges import Plan, Program

T = TypeVar("T")

_ENDS_WATCHING = {b"EXEC", b"UNWATCH"}


class Runner:
    """Plays operations on clients that block; safe to share between threads and across fork.

    After an operation it writes what the recorder has counted, when that is due. Whether that
    works out is no matter of the operation.
    """

    def __init__(self, clients: connection.Clients, recorder: AccessRecorder | None = None) -> None:
        self.clients = clients
        self._recorder = recorder

    def run(self, operation: Program[T] | Plan[T]) -> T:
        """Play the operation and return its answer.

        Raises redis.RedisError where the server is lost or refuses, and what the operation raises.
        """
        answer = self._perform(operation)
        if self._recorder is not None and self._recorder.is_due and self._recorder.claim():
            self._write_counts(self._recorder)
        return answer

    def _perform(self, operation: Program[T] | Plan[T]) -> T:
        try:
            first = next(operation)
        except StopIteration as stop:
            return cast("T", stop.value)
        if not isinstance(first, Batch):
            return self._follow(cast("Plan[T]", operation), first)
        with connection.lease(self.clients[first.database]) as leased:
            return self._play(cast("Program[T]", operation), first, leased)

    def _follow(self, plan: Plan[T], step: Program[object] | Call) -> T:
        while True:
            result = step.function() if isinstance(step, Call) else self._perform(step)
            try:
                step = plan.send(result)
            except StopIteration as stop:
                return cast("T", stop.value)

    def _write_counts(self, recorder: AccessRecorder) -> None:
        program = recorder.flush()
        try:
            self._perform(program)
        except redis.RedisError as error:
            recorder.failed(error)
        finally:
            program.close()

    def _play(self, program: Program[T], batch: Batch, leased: connection.GuardedConnection) -> T:
        watching = False
        try:
            while True:
                if batch.pause:
                    time.sleep(batch.pause)
                replies = leased.exchange(batch.commands, wait=batch.wait)
                watching = _watches(batch.commands, already=watching)
                batch = program.send(replies)
        except StopIteration as stop:
            return cast("T", stop.value)
        except BaseException as error:
            if watching or not isinstance(error, Exception):
                leased.drop()
            raise


class AsyncRunner:
    """Plays operations inside the running event loop; a cancelled one closes its connection.

    It writes what the recorder has counted as `Runner` does.
    """

    def __init__(
        self, clients: async_connection.AsyncClients, recorder: AccessRecorder | None = None
    ) -> None:
        self.clients = clients
        self._recorder = recorder

    async def run(self, operation: Program[T] | Plan[T]) -> T:
        """Play the operation and return its answer; raise what `Runner.run` raises."""
        answer = await self._perform(operation)
        if self._recorder is not None and self._recorder.is_due and self._recorder.claim():
            await self._write_counts(self._recorder)
        return answer

    async def _perform(self, operation: Program[T] | Plan[T]) -> T:
        try:
            first = next(operation)
        except StopIteration as stop:
            return cast("T", stop.value)
        if not isinstance(first, Batch):
            return await self._follow(cast("Plan[T]", operation), first)
        async with async_connection.lease(self.clients[first.database]) as leased:
            return await self._play(cast("Program[T]", operation), first, leased)

    async def _follow(self, plan: Plan[T], step: Program[object] | Call) -> T:
        while True:
            if isinstance(step, Call):
                result = step.function()
                if inspect.isawaitable(result):
                    result = await result
            else:
                result = await self._perform(step)
            try:
                step = plan.send(result)
            except StopIteration as stop:
                return cast("T", stop.value)

    async def _write_counts(self, recorder: AccessRecorder) -> None:
        program = recorder.flush()
        try:
            await self._perform(program)
        except redis.RedisError as error:
            recorder.failed(error)
        finally:
            program.close()

    async def _play(
        self, program: Program[T], batch: Batch, leased: async_connection.AsyncGuardedConnection
    ) -> T:
        watching = False
        try:
            while True:
                if batch.pause:
                    await asyncio.sleep(batch.pause)
                replies = await leased.exchange(batch.commands, wait=batch.wait)
                watching = _watches(batch.commands, already=watching)
                batch = program.send(replies)
        except StopIteration as stop:
            return cast("T", stop.value)
        except BaseException as error:
            if watching or not isinstance(error, Exception):
                await leased.drop()
            raise


def _watches(commands: Sequence[Command], *, already: bool) -> bool:
    for command in commands:
        if command[0] == b"WATCH":
            already = True
        elif command[0] in _ENDS_WATCHING:
            already = False
    return already
