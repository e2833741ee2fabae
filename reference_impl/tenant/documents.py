# SPDX-License-Identifier: Apache-2.0
"""Documents of one tenant: JSON values that expire, fetched ahead of demand."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from kryonix_cache.reference_impl.errors import ForeignValueError, ValueUnreadableError
from kryonix_cache.reference_impl.tenant.area import Area, now

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kryonix_cache.reference_impl.bulk import Reply
    from kryonix_cache.reference_impl.tenant.exchanges import Program


class WarmedArea(Area):
    """API answers that were fetched ahead of demand, by module and endpoint."""

    def put(
        self, module: str, endpoint: str, data: object, *, ttl: int | None = None
    ) -> Program[None]:
        """Keep JSON `data` for `ttl` seconds, by default as long as the contract allows."""
        key, seconds = self.key(module=module, endpoint=endpoint), self.lifetime(ttl)
        document = {"data": data, "tenant_id": self.tenant, "warmed_at": now()}
        yield from self.ask(b"SET", key, json.dumps(document).encode(), b"EX", b"%d" % seconds)

    def get(self, module: str, endpoint: str) -> Program[object | None]:
        """Return the data, or None; raise as `AnswersArea.get` does."""
        key = self.key(module=module, endpoint=endpoint)
        document = decoded(self, key, (yield from self.ask(b"GET", key)))
        return None if document is None else document["data"]

    def delete(self, module: str, endpoint: str) -> Program[bool]:
        """Drop an answer; say whether it was there."""
        return (yield from self.remove(module=module, endpoint=endpoint))


class ItemsArea(Area):
    """JSON values by the name of an item."""

    def put(self, item: str, data: object, *, ttl: int | None = None) -> Program[None]:
        """Keep JSON `data` for `ttl` seconds, by default as long as the contract allows."""
        key, seconds = self.key(item=item), self.lifetime(ttl)
        yield from self.ask(b"SET", key, json.dumps(data).encode(), b"EX", b"%d" % seconds)

    def get(self, item: str) -> Program[object | None]:
        """Return the data, or None; raise ValueUnreadableError for what is no JSON."""
        key = self.key(item=item)
        return read_json(key, (yield from self.ask(b"GET", key)))

    def delete(self, item: str) -> Program[bool]:
        """Drop an item; say whether it was there."""
        return (yield from self.remove(item=item))


def decoded(area: Area, key: bytes, reply: Reply) -> Mapping[str, Any] | None:
    """Return a stored JSON object, or None for a key that is not there.

    Raises:
        ValueUnreadableError: it is no JSON object with `data` and the tenant.
        ForeignValueError: it names another tenant.

    """
    document = read_json(key, reply)
    if reply is None:
        return None
    if not isinstance(document, dict) or not document.keys() >= {"data", "tenant_id"}:
        raise ValueUnreadableError(key.decode())
    if document["tenant_id"] != area.tenant:
        raise ForeignValueError(key.decode())
    return document


def read_json(key: bytes, reply: Reply) -> object | None:
    """Return what a JSON text stands for, None for no text; raise ValueUnreadableError."""
    if reply is None:
        return None
    try:
        value: object = json.loads(reply)  # type: ignore[arg-type] # the reply of GET and LPOP
    except (ValueError, RecursionError):
        raise ValueUnreadableError(key.decode()) from None
    return value
