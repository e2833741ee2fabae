# SPDX-License-Identifier: Apache-2.0
"""Cached API answers of one tenant."""

from __future__ import annotations

import json
from functools import cached_property
from typing import TYPE_CHECKING, cast

from kryonix_cache.reference_impl.tenant.area import Area, now
from kryonix_cache.reference_impl.tenant.documents import decoded
from kryonix_cache.reference_impl.tenant.exchanges import Call
from kryonix_cache.reference_impl.tenant.preloads import Preloads

if TYPE_CHECKING:
    from collections.abc import Callable

    from kryonix_cache.reference_impl.bulk import Reply
    from kryonix_cache.reference_impl.tenant.exchanges import Plan, Program


class AnswersArea(Area):
    """Answers by module and endpoint; what is stored names its tenant, and is checked for it.

    Reads are counted by the recorder of the handle, whether they find an answer or not: demand is
    what was asked for.
    """

    def put(self, module: str, endpoint: str, data: object, *, ttl: int) -> Plan[None]:
        """Cache JSON `data` as the answer of `endpoint` for `ttl` seconds.

        What was preloaded for it is dropped: `fetch` would find it when this answer has ended.
        Raises ValueTooLongLivedError above the contract's limit.
        """
        key, seconds = self.key(module=module, endpoint=endpoint), self.lifetime(ttl)
        text = self._text(module, data)
        # In this order: if only one of the two happens, no older data comes after newer data.
        yield from self._preloads.drop(module, endpoint)
        yield self.ask(b"SET", key, text, b"EX", b"%d" % seconds)

    def get(self, module: str, endpoint: str) -> Program[object | None]:
        """Return the cached data of `endpoint`, or None if it is not cached.

        Raises ValueUnreadableError or ForeignValueError for a value that this handle cannot
        have written.
        """
        key = self.key(module=module, endpoint=endpoint)
        self._note(module, endpoint)
        answer = decoded(self, key, (yield from self.ask(b"GET", key)))
        return None if answer is None else answer["data"]

    def fetch(
        self, module: str, endpoint: str, load: Callable[[], object], *, ttl: int
    ) -> Plan[object]:
        """Return the data of `endpoint`: cached, else preloaded, else loaded and cached.

        `load` returns JSON data, in the form for asyncio also something to await, and is called
        only where there is neither; its data is cached for `ttl` seconds. What it raises passes
        through, and nothing is cached then. Preloaded data is served as long as it lives, whatever
        `ttl` says. Raises as `put` and `get` do, ValueTooLongLivedError before anything is sent.
        """
        key, seconds = self.key(module=module, endpoint=endpoint), self.lifetime(ttl)
        self._note(module, endpoint)
        answer = decoded(self, key, cast("Reply", (yield self.ask(b"GET", key))))
        if answer is not None:
            return answer["data"]
        found = yield from self._preloads.find(module, endpoint)
        if found is not None:
            return found.data
        data = yield Call(load)
        yield self.ask(b"SET", key, self._text(module, data), b"EX", b"%d" % seconds)
        return data

    def list(self) -> Program[list[tuple[str, str]]]:
        """Return (module, endpoint) of every cached answer."""
        return [(parts["module"], parts["endpoint"]) for parts in (yield from self.own_keys())]

    def delete(self, module: str, endpoint: str) -> Plan[bool]:
        """Drop a cached answer, and what was preloaded for it; say whether it was there."""
        key = self.key(module=module, endpoint=endpoint)
        yield from self._preloads.drop(module, endpoint)
        return (yield self.ask(b"UNLINK", key)) == 1

    @cached_property
    def _preloads(self) -> Preloads:
        return Preloads(self._contract, self.tenant)

    def _note(self, module: str, endpoint: str) -> None:
        if self.recorder is not None:
            self.recorder.note(self.tenant, self.family.name, module, endpoint)

    def _text(self, module: str, data: object) -> bytes:
        answer = {"data": data, "tenant_id": self.tenant, "module": module, "cached_at": now()}
        return json.dumps(answer).encode()
