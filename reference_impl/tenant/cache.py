# SPDX-License-Identifier: Apache-2.0
"""
The tenant handle: everything that one tenant does in the cache, and nothing else.

A handle is bound to one tenant when it is made, and every key is built by the contract from that
tenant. Each family is reached through the client of its own database (E12). A handle remembers
nothing of what it did: it may be shared between threads, used after a fork, and opened as often
as one likes.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from kryonix_cache.reference_impl.tenant import families
from kryonix_cache.reference_impl.tenant.answers import AnswersArea
from kryonix_cache.reference_impl.tenant.broadcasts import BroadcastNames, Broadcasts
from kryonix_cache.reference_impl.tenant.documents import ItemsArea, WarmedArea
from kryonix_cache.reference_impl.tenant.forms import Blocking, BlockingForm, Part, TenantHandle
from kryonix_cache.reference_impl.tenant.queues import QueuesArea
from kryonix_cache.reference_impl.tenant.records import RecordsArea
from kryonix_cache.reference_impl.tenant.runners import Runner
from kryonix_cache.reference_impl.tenant.sessions import SessionsArea
from kryonix_cache.reference_impl.tenant.timelines import TimelinesArea
from kryonix_cache.reference_impl.tenant.websockets import ChannelsArea, WebSocketsArea

if TYPE_CHECKING:
    from kryonix_cache.reference_impl.connection import Clients
    from kryonix_cache.reference_impl.contract import Contract
    from kryonix_cache.reference_impl.contract.model import TenantId
    from kryonix_cache.reference_impl.demand.recorder import AccessRecorder


class Answers(BlockingForm[AnswersArea]):
    """Cached API answers."""

    put = Blocking(AnswersArea.put)
    get = Blocking(AnswersArea.get)
    fetch = Blocking(AnswersArea.fetch)
    list = Blocking(AnswersArea.list)
    delete = Blocking(AnswersArea.delete)


class Sessions(BlockingForm[SessionsArea]):
    """Mobile sessions."""

    start = Blocking(SessionsArea.start)
    read = Blocking(SessionsArea.read)
    touch = Blocking(SessionsArea.touch)
    end = Blocking(SessionsArea.end)
    list = Blocking(SessionsArea.list)


class Queues(BlockingForm[QueuesArea]):
    """Queues of jobs."""

    push = Blocking(QueuesArea.push)
    pop = Blocking(QueuesArea.pop)
    length = Blocking(QueuesArea.length)
    list = Blocking(QueuesArea.list)


class Records(BlockingForm[RecordsArea]):
    """Records of one family."""

    write = Blocking(RecordsArea.write)
    read = Blocking(RecordsArea.read)
    delete = Blocking(RecordsArea.delete)
    list = Blocking(RecordsArea.list)


class Warmed(BlockingForm[WarmedArea]):
    """API answers that were fetched ahead of demand."""

    put = Blocking(WarmedArea.put)
    get = Blocking(WarmedArea.get)
    delete = Blocking(WarmedArea.delete)


class Items(BlockingForm[ItemsArea]):
    """JSON values by the name of an item."""

    put = Blocking(ItemsArea.put)
    get = Blocking(ItemsArea.get)
    delete = Blocking(ItemsArea.delete)


class Timelines(BlockingForm[TimelinesArea]):
    """Figures over time."""

    add = Blocking(TimelinesArea.add)
    between = Blocking(TimelinesArea.between)
    forget = Blocking(TimelinesArea.forget)


class WebSockets(BlockingForm[WebSocketsArea]):
    """The registry of open WebSocket connections."""

    connect = Blocking(WebSocketsArea.connect)
    ping = Blocking(WebSocketsArea.ping)
    subscribe = Blocking(WebSocketsArea.subscribe)
    read = Blocking(WebSocketsArea.read)
    disconnect = Blocking(WebSocketsArea.disconnect)
    list = Blocking(WebSocketsArea.list)


class Channels(BlockingForm[ChannelsArea]):
    """The names of the tenant's channels."""

    add = Blocking(ChannelsArea.add)
    discard = Blocking(ChannelsArea.discard)
    list = Blocking(ChannelsArea.list)


class TenantCache(TenantHandle[Runner]):
    """One tenant's cache.

    Asking for an area raises UnknownFamilyError if the contract lacks its family. Every method
    raises KeyPartError for a part that no key can hold, before anything is sent, and
    redis.RedisError where the server is lost or refuses.
    """

    def __init__(
        self,
        contract: Contract,
        clients: Clients,
        tenant: TenantId,
        recorder: AccessRecorder | None = None,
    ) -> None:
        super().__init__(contract, tenant, Runner(clients, recorder), recorder)

    answers = Part(Answers, AnswersArea, families.ANSWERS)
    sessions = Part(Sessions, SessionsArea, families.SESSIONS)
    queues = Part(Queues, QueuesArea, families.QUEUES)
    websockets = Part(WebSockets, WebSocketsArea, families.CONNECTIONS)
    channels = Part(Channels, ChannelsArea, families.CHANNELS)
    timeline = Part(Timelines, TimelinesArea, families.TIMELINE)
    warmed = Part(Warmed, WarmedArea, families.WARMED)
    preloaded = Part(Items, ItemsArea, families.PRELOADED)
    essentials = Part(Items, ItemsArea, families.ESSENTIALS)
    configuration = Part(Records, RecordsArea, families.CONFIGURATION)
    branding = Part(Records, RecordsArea, families.BRANDING)
    modules = Part(Records, RecordsArea, families.MODULES)
    metrics = Part(Records, RecordsArea, families.METRICS)
    patterns = Part(Records, RecordsArea, families.PATTERNS)
    prediction = Part(Records, RecordsArea, families.PREDICTION)
    registration = Part(Records, RecordsArea, families.REGISTRATION)
    sdk_sessions = Part(Records, RecordsArea, families.SDK_SESSIONS)
    sdk_analytics = Part(Records, RecordsArea, families.SDK_ANALYTICS)
    app = Part(Records, RecordsArea, families.APP)
    app_analytics = Part(Records, RecordsArea, families.APP_ANALYTICS)

    @cached_property
    def broadcasts(self) -> Broadcasts:
        """Broadcasts on the tenant's channels."""
        database = self.contract.family(families.CONNECTIONS).databases[0]
        return Broadcasts(BroadcastNames(self.contract, self.tenant, database), self.runner)

    def records(self, family: str) -> Records:
        """Return the records of any family of hashes; raise UnknownFamilyError."""
        return Records(RecordsArea(self.contract, self.tenant, family), self.runner)


class TenantCaches:
    """Opens the handles of tenants on one server.

    With a recorder reads of cached answers are counted, for the optimiser to learn from.
    """

    def __init__(
        self,
        contract: Contract,
        clients: Clients,
        recorder: AccessRecorder | None = None,
    ) -> None:
        self._contract = contract
        self._clients = clients
        self._recorder = recorder

    def open(self, tenant: str) -> TenantCache:
        """Return the handle of `tenant`; raise InvalidTenantIdError before any byte is sent."""
        parsed = self._contract.tenant.parse(tenant)
        return TenantCache(self._contract, self._clients, parsed, self._recorder)

    def flush(self) -> None:
        """Write what the recorder has counted, as at the end of a process.

        Raises redis.RedisError where the server is lost.
        """
        if self._recorder is not None:
            Runner(self._clients).run(self._recorder.flush())
