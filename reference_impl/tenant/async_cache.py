# SPDX-License-Identifier: Apache-2.0
"""The tenant handle for asyncio: what `cache` has, to await."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from kryonix_cache.reference_impl.tenant import families
from kryonix_cache.reference_impl.tenant.answers import AnswersArea
from kryonix_cache.reference_impl.tenant.broadcasts import AsyncBroadcasts, BroadcastNames
from kryonix_cache.reference_impl.tenant.documents import ItemsArea, WarmedArea
from kryonix_cache.reference_impl.tenant.forms import AwaitableForm, Awaited, Part, TenantHandle
from kryonix_cache.reference_impl.tenant.queues import QueuesArea
from kryonix_cache.reference_impl.tenant.records import RecordsArea
from kryonix_cache.reference_impl.tenant.runners import AsyncRunner
from kryonix_cache.reference_impl.tenant.sessions import SessionsArea
from kryonix_cache.reference_impl.tenant.timelines import TimelinesArea
from kryonix_cache.reference_impl.tenant.websockets import ChannelsArea, WebSocketsArea

if TYPE_CHECKING:
    from kryonix_cache.reference_impl.async_connection import AsyncClients
    from kryonix_cache.reference_impl.contract import Contract
    from kryonix_cache.reference_impl.contract.model import TenantId
    from kryonix_cache.reference_impl.demand.recorder import AccessRecorder


class AsyncAnswers(AwaitableForm[AnswersArea]):
    """Cached API answers, for asyncio."""

    put = Awaited(AnswersArea.put)
    get = Awaited(AnswersArea.get)
    fetch = Awaited(AnswersArea.fetch)
    list = Awaited(AnswersArea.list)
    delete = Awaited(AnswersArea.delete)


class AsyncSessions(AwaitableForm[SessionsArea]):
    """Mobile sessions, for asyncio."""

    start = Awaited(SessionsArea.start)
    read = Awaited(SessionsArea.read)
    touch = Awaited(SessionsArea.touch)
    end = Awaited(SessionsArea.end)
    list = Awaited(SessionsArea.list)


class AsyncQueues(AwaitableForm[QueuesArea]):
    """Queues of jobs, for asyncio."""

    push = Awaited(QueuesArea.push)
    pop = Awaited(QueuesArea.pop)
    length = Awaited(QueuesArea.length)
    list = Awaited(QueuesArea.list)


class AsyncRecords(AwaitableForm[RecordsArea]):
    """Records of one family, for asyncio."""

    write = Awaited(RecordsArea.write)
    read = Awaited(RecordsArea.read)
    delete = Awaited(RecordsArea.delete)
    list = Awaited(RecordsArea.list)


class AsyncWarmed(AwaitableForm[WarmedArea]):
    """API answers that were fetched ahead of demand, for asyncio."""

    put = Awaited(WarmedArea.put)
    get = Awaited(WarmedArea.get)
    delete = Awaited(WarmedArea.delete)


class AsyncItems(AwaitableForm[ItemsArea]):
    """JSON values by the name of an item, for asyncio."""

    put = Awaited(ItemsArea.put)
    get = Awaited(ItemsArea.get)
    delete = Awaited(ItemsArea.delete)


class AsyncTimelines(AwaitableForm[TimelinesArea]):
    """Figures over time, for asyncio."""

    add = Awaited(TimelinesArea.add)
    between = Awaited(TimelinesArea.between)
    forget = Awaited(TimelinesArea.forget)


class AsyncWebSockets(AwaitableForm[WebSocketsArea]):
    """The registry of open WebSocket connections, for asyncio."""

    connect = Awaited(WebSocketsArea.connect)
    ping = Awaited(WebSocketsArea.ping)
    subscribe = Awaited(WebSocketsArea.subscribe)
    read = Awaited(WebSocketsArea.read)
    disconnect = Awaited(WebSocketsArea.disconnect)
    list = Awaited(WebSocketsArea.list)


class AsyncChannels(AwaitableForm[ChannelsArea]):
    """The names of the tenant's channels, for asyncio."""

    add = Awaited(ChannelsArea.add)
    discard = Awaited(ChannelsArea.discard)
    list = Awaited(ChannelsArea.list)


class AsyncTenantCache(TenantHandle[AsyncRunner]):
    """One tenant's cache, for asyncio.

    Asking for an area raises UnknownFamilyError if the contract lacks its family. Every method
    raises KeyPartError for a part that no key can hold, before anything is sent, and
    redis.RedisError where the server is lost or refuses.
    """

    def __init__(
        self,
        contract: Contract,
        clients: AsyncClients,
        tenant: TenantId,
        recorder: AccessRecorder | None = None,
    ) -> None:
        super().__init__(contract, tenant, AsyncRunner(clients, recorder), recorder)

    answers = Part(AsyncAnswers, AnswersArea, families.ANSWERS)
    sessions = Part(AsyncSessions, SessionsArea, families.SESSIONS)
    queues = Part(AsyncQueues, QueuesArea, families.QUEUES)
    websockets = Part(AsyncWebSockets, WebSocketsArea, families.CONNECTIONS)
    channels = Part(AsyncChannels, ChannelsArea, families.CHANNELS)
    timeline = Part(AsyncTimelines, TimelinesArea, families.TIMELINE)
    warmed = Part(AsyncWarmed, WarmedArea, families.WARMED)
    preloaded = Part(AsyncItems, ItemsArea, families.PRELOADED)
    essentials = Part(AsyncItems, ItemsArea, families.ESSENTIALS)
    configuration = Part(AsyncRecords, RecordsArea, families.CONFIGURATION)
    branding = Part(AsyncRecords, RecordsArea, families.BRANDING)
    modules = Part(AsyncRecords, RecordsArea, families.MODULES)
    metrics = Part(AsyncRecords, RecordsArea, families.METRICS)
    patterns = Part(AsyncRecords, RecordsArea, families.PATTERNS)
    prediction = Part(AsyncRecords, RecordsArea, families.PREDICTION)
    registration = Part(AsyncRecords, RecordsArea, families.REGISTRATION)
    sdk_sessions = Part(AsyncRecords, RecordsArea, families.SDK_SESSIONS)
    sdk_analytics = Part(AsyncRecords, RecordsArea, families.SDK_ANALYTICS)
    app = Part(AsyncRecords, RecordsArea, families.APP)
    app_analytics = Part(AsyncRecords, RecordsArea, families.APP_ANALYTICS)

    @cached_property
    def broadcasts(self) -> AsyncBroadcasts:
        """Broadcasts on the tenant's channels."""
        database = self.contract.family(families.CONNECTIONS).databases[0]
        return AsyncBroadcasts(BroadcastNames(self.contract, self.tenant, database), self.runner)

    def records(self, family: str) -> AsyncRecords:
        """Return the records of any family of hashes; raise UnknownFamilyError."""
        return AsyncRecords(RecordsArea(self.contract, self.tenant, family), self.runner)


class AsyncTenantCaches:
    """Opens the handles of tenants on one server.

    With a recorder reads of cached answers are counted, for the optimiser to learn from.
    """

    def __init__(
        self,
        contract: Contract,
        clients: AsyncClients,
        recorder: AccessRecorder | None = None,
    ) -> None:
        self._contract = contract
        self._clients = clients
        self._recorder = recorder

    def open(self, tenant: str) -> AsyncTenantCache:
        """Return the handle of `tenant`; raise InvalidTenantIdError before any byte is sent."""
        parsed = self._contract.tenant.parse(tenant)
        return AsyncTenantCache(self._contract, self._clients, parsed, self._recorder)

    async def flush(self) -> None:
        """Write what the recorder has counted, as at the end of a process.

        Raises redis.RedisError where the server is lost.
        """
        if self._recorder is not None:
            await AsyncRunner(self._clients).run(self._recorder.flush())
