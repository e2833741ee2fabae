# SPDX-License-Identifier: Apache-2.0
"""The two ways in which a program is played: blocking, and inside an event loop."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, TypeVar, cast

from kryonix_cache.reference_impl import async_connection, connection

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kryonix_cache.reference_impl.forbidden import Command
    from kryonix_cache.reference_impl.tenant.exchanges import Batch, Program

T = TypeVar("T")

_ENDS_WATCHING = {b"EXEC", b"UNWATCH"}


class Runner:
    """Plays programs on clients that block; safe to share between threads and across fork."""

    def __init__(self, clients: connection.Clients) -> None:
        self.clients = clients

    def run(self, program: Program[T]) -> T:
        """Play the program and return its answer.

        Raises redis.RedisError where the server is lost or refuses, and what the program raises.
        """
        try:
            batch = next(program)
        except StopIteration as stop:
            return cast("T", stop.value)
        with connection.lease(self.clients[batch.database]) as leased:
            return self._play(program, batch, leased)

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
    """Plays programs inside the running event loop; a cancelled one closes its connection."""

    def __init__(self, clients: async_connection.AsyncClients) -> None:
        self.clients = clients

    async def run(self, program: Program[T]) -> T:
        """Play the program and return its answer; raise what `Runner.run` raises."""
        try:
            batch = next(program)
        except StopIteration as stop:
            return cast("T", stop.value)
        async with async_connection.lease(self.clients[batch.database]) as leased:
            return await self._play(program, batch, leased)

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
