# SPDX-License-Identifier: Apache-2.0
"""Broadcasts of one tenant, over the server's Pub/Sub."""

from __future__ import annotations

import time
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from kryonix_cache.reference_impl.tenant import families
from kryonix_cache.reference_impl.tenant.exchanges import ask

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping

    from redis.asyncio.client import PubSub as AsyncPubSub
    from redis.client import PubSub

    from kryonix_cache.reference_impl.contract import Contract
    from kryonix_cache.reference_impl.contract.model import TenantId
    from kryonix_cache.reference_impl.tenant.exchanges import Program
    from kryonix_cache.reference_impl.tenant.runners import AsyncRunner, Runner


class Message(NamedTuple):
    """A broadcast as it was received: the channel's short name, and the text."""

    channel: str
    text: str


class BroadcastNames:
    """The tenant's channels: names, and the program that publishes.

    Channels have no database; any client of the server reaches them all.
    """

    def __init__(self, contract: Contract, tenant: TenantId, database: int) -> None:
        self._contract = contract
        self._tenant = tenant
        self.database = database

    def name(self, channel: str) -> bytes:
        """Return the whole name of a channel; raise KeyPartError for one that cannot be."""
        return self._contract.channel(families.BROADCASTS, tenant=self._tenant, channel=channel)

    def publish(self, channel: str, text: str) -> Program[int]:
        """Send a text to whoever listens; return how many that were."""
        reply = yield from ask(self.database, b"PUBLISH", self.name(channel), text.encode())
        return cast("int", reply)

    def message(self, found: Mapping[str, Any] | None) -> Message | None:
        """Return what was received as a message, None for confirmations and foreign channels."""
        if found is None or found["type"] != "message":
            return None
        parsed = self._contract.parse_channel(found["channel"])
        if parsed is None or parsed.tenant != self._tenant:
            return None
        return Message(parsed.parts["channel"], found["data"].decode())


class Subscription:
    """Channels that are listened to, over a connection of their own."""

    def __init__(self, names: BroadcastNames, listener: PubSub) -> None:
        self._names = names
        self._listener = listener

    def next(self, *, wait: float) -> Message | None:
        """Return the next message; None if none came within `wait` seconds."""
        end = time.monotonic() + wait
        while True:
            left = max(0.0, end - time.monotonic())
            found = self._listener.get_message(timeout=left)
            if message := self._names.message(found):
                return message
            if not left:
                return None


class Broadcasts:
    """Publishes on the tenant's channels and listens to them."""

    def __init__(self, names: BroadcastNames, runner: Runner) -> None:
        self._names = names
        self._runner = runner

    def publish(self, channel: str, text: str) -> int:
        """Send a text to whoever listens; return how many that were."""
        return self._runner.run(self._names.publish(channel, text))

    @contextmanager
    def subscribe(self, *channels: str) -> Iterator[Subscription]:
        """Listen to channels; what is published after this returns is received."""
        names = [self._names.name(channel) for channel in channels]
        listener = self._runner.clients[self._names.database].pubsub()
        try:
            listener.subscribe(*names)
            for _ in names:
                listener.parse_response(block=True)
            yield Subscription(self._names, listener)
        finally:
            listener.close()


class AsyncSubscription:
    """Channels that are listened to, for asyncio."""

    def __init__(self, names: BroadcastNames, listener: AsyncPubSub) -> None:
        self._names = names
        self._listener = listener

    async def next(self, *, wait: float) -> Message | None:
        """Return the next message; None if none came within `wait` seconds."""
        end = time.monotonic() + wait
        while True:
            left = max(0.0, end - time.monotonic())
            found = await self._listener.get_message(timeout=left)
            if message := self._names.message(found):
                return message
            if not left:
                return None


class AsyncBroadcasts:
    """Publishes on the tenant's channels and listens to them, for asyncio."""

    def __init__(self, names: BroadcastNames, runner: AsyncRunner) -> None:
        self._names = names
        self._runner = runner

    async def publish(self, channel: str, text: str) -> int:
        """Send a text to whoever listens; return how many that were."""
        return await self._runner.run(self._names.publish(channel, text))

    @asynccontextmanager
    async def subscribe(self, *channels: str) -> AsyncIterator[AsyncSubscription]:
        """Listen to channels; what is published after this returns is received."""
        names = [self._names.name(channel) for channel in channels]
        listener = self._runner.clients[self._names.database].pubsub()
        try:
            await listener.subscribe(*names)
            for _ in names:
                await listener.parse_response(block=True)
            yield AsyncSubscription(self._names, listener)
        finally:
            await listener.aclose()
