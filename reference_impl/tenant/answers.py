# SPDX-License-Identifier: Apache-2.0
"""Cached API answers of one tenant."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from kryonix_cache.reference_impl.tenant.area import Area, now
from kryonix_cache.reference_impl.tenant.documents import decoded

if TYPE_CHECKING:
    from kryonix_cache.reference_impl.tenant.exchanges import Program


class AnswersArea(Area):
    """Answers by module and endpoint; what is stored names its tenant, and is checked for it."""

    def put(self, module: str, endpoint: str, data: object, *, ttl: int) -> Program[None]:
        """Cache JSON `data` as the answer of `endpoint` for `ttl` seconds.

        Raises ValueTooLongLivedError above the contract's limit.
        """
        key, seconds = self.key(module=module, endpoint=endpoint), self.lifetime(ttl)
        answer = {"data": data, "tenant_id": self.tenant, "module": module, "cached_at": now()}
        yield from self.ask(b"SET", key, json.dumps(answer).encode(), b"EX", b"%d" % seconds)

    def get(self, module: str, endpoint: str) -> Program[object | None]:
        """Return the cached data of `endpoint`, or None if it is not cached.

        Raises ValueUnreadableError or ForeignValueError for a value that this handle cannot
        have written.
        """
        key = self.key(module=module, endpoint=endpoint)
        answer = decoded(self, key, (yield from self.ask(b"GET", key)))
        return None if answer is None else answer["data"]

    def list(self) -> Program[list[tuple[str, str]]]:
        """Return (module, endpoint) of every cached answer."""
        return [(parts["module"], parts["endpoint"]) for parts in (yield from self.own_keys())]

    def delete(self, module: str, endpoint: str) -> Program[bool]:
        """Drop a cached answer; say whether it was there."""
        return (yield from self.remove(module=module, endpoint=endpoint))
