# SPDX-License-Identifier: Apache-2.0
"""WebSocket connections and channels of one tenant."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, cast

from kryonix_cache.reference_impl.tenant.area import Area, now, pairs, texts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kryonix_cache.reference_impl.tenant.exchanges import Program


class WebSocketsArea(Area):
    """The registry of open connections; one that is gone never comes back by a ping."""

    def connect(self, connection: str, fields: Mapping[str, str]) -> Program[None]:
        """Register a connection in place of an earlier one of the same id."""
        key, moment = self.key(connection=connection), now()
        record = {
            "subscribed_events": "[]",
            "connected_at": moment,
            "last_ping": moment,
            **fields,
            "connection_id": connection,
        }
        yield from self.transact((b"UNLINK", key), (b"HSET", key, *pairs(record)))

    def ping(self, connection: str) -> Program[bool]:
        """Note a sign of life; False, and nothing written, if there is no such connection."""
        return (yield from self._change(connection, b"last_ping", now()))

    def subscribe(self, connection: str, *events: str) -> Program[bool]:
        """Note what the connection listens to; False if there is no such connection."""
        return (yield from self._change(connection, b"subscribed_events", json.dumps(events)))

    def read(self, connection: str) -> Program[dict[str, str]]:
        """Return the fields of a connection; empty if there is none."""
        return texts((yield from self.ask(b"HGETALL", self.key(connection=connection))))

    def disconnect(self, connection: str) -> Program[bool]:
        """Remove a connection; say whether it was there."""
        return (yield from self.remove(connection=connection))

    def list(self) -> Program[list[str]]:
        """Return the ids of the tenant's connections."""
        return [parts["connection"] for parts in (yield from self.own_keys())]

    def _change(self, connection: str, field: bytes, text: str) -> Program[bool]:
        key = self.key(connection=connection)
        return (yield from self.change_if_there(key, (b"HSET", key, field, text.encode())))


class ChannelsArea(Area):
    """The names of the channels on which the tenant broadcasts."""

    def add(self, channel: str) -> Program[bool]:
        """Add a channel; say whether it is new."""
        return (yield from self.ask(b"SADD", self.key(), channel.encode())) == 1

    def discard(self, channel: str) -> Program[bool]:
        """Remove a channel; say whether it was there."""
        return (yield from self.ask(b"SREM", self.key(), channel.encode())) == 1

    def list(self) -> Program[list[str]]:
        """Return the tenant's channels."""
        reply = yield from self.ask(b"SMEMBERS", self.key())
        return sorted(name.decode() for name in cast("list[bytes]", reply))
