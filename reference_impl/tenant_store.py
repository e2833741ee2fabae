# SPDX-License-Identifier: Apache-2.0
"""
The reference tenant store: cached API answers and mobile sessions of one tenant at a time.

A handle is bound to one tenant when it is opened, and every key it uses is built by the
contract from that tenant: no argument of any method can name a key outside it. Each family
is reached through the client of its own database (E12).
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeAlias, cast

from kryonix_cache.reference_impl.errors import ValueTooLongLivedError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    import redis

    from kryonix_cache.reference_impl.connection import Clients
    from kryonix_cache.reference_impl.contract import Contract

Text: TypeAlias = bytes | bytearray | memoryview | str | int | float
"""What redis-py takes as a field's name or value."""

_SCAN_COUNT = 1000
CACHE = "api-cache"
SESSION = "mobile-session"


def serves(contract: Contract) -> bool:
    """Say whether the contract has the families that the store works with."""
    parts = {family.name: set(family.parts) for family in contract.families}
    return parts.get(CACHE) == {"tenant", "module", "endpoint"} and parts.get(SESSION) == {
        "tenant",
        "session",
    }


class TenantStore:
    """Opens handles; holds the contract and one client for each database."""

    def __init__(self, contract: Contract, clients: Clients) -> None:
        self._contract = contract
        self._clients = clients

    def open(self, tenant: str) -> TenantHandle:
        """Return the handle of `tenant`; raise InvalidTenantIdError before any byte is sent."""
        self._contract.tenant.check(tenant)
        return TenantHandle(self._contract, self._clients, tenant)


class TenantHandle:
    """What one tenant can do, and nothing that reaches another tenant."""

    def __init__(self, contract: Contract, clients: Clients, tenant: str) -> None:
        self.tenant = tenant
        self._contract = contract
        self._clients = clients

    def put(self, module: str, endpoint: str, data: object, *, ttl: int) -> None:
        """Cache the answer of `endpoint` for `ttl` seconds.

        Raises ValueTooLongLivedError above the contract's limit, and KeyPartError for a
        module or an endpoint that no key can hold.
        """
        self._check_ttl(CACHE, ttl)
        answer = {
            "data": data,
            "tenant_id": self.tenant,
            "module": module,
            "cached_at": _now(),
        }
        self._client(CACHE).set(
            self._key(CACHE, module=module, endpoint=endpoint), json.dumps(answer), ex=ttl
        )

    def get(self, module: str, endpoint: str) -> object | None:
        """Return the cached data of `endpoint`, or None if it is not cached."""
        text = self._client(CACHE).get(self._key(CACHE, module=module, endpoint=endpoint))
        return None if text is None else json.loads(cast("bytes", text))["data"]

    def list(self) -> Collection[tuple[str, str]]:
        """Return (module, endpoint) of every cached answer, by a scan of the database."""
        return sorted((p["module"], p["endpoint"]) for p in self._parts_of_own_keys(CACHE))

    def delete(self, module: str, endpoint: str) -> bool:
        """Drop a cached answer; say whether it was there."""
        key = self._key(CACHE, module=module, endpoint=endpoint)
        return bool(self._client(CACHE).delete(key))

    def start_session(self, session: str, fields: Mapping[str, str]) -> None:
        """Write a mobile session with the contract's lifetime, in one transaction."""
        key = self._key(SESSION, session=session)
        now = _now()
        record: dict[Text, Text] = {
            "created_at": now,
            "last_activity": now,
        }
        record.update(fields)
        record["tenant_id"] = self.tenant
        pipeline = self._client(SESSION).pipeline(transaction=True)
        pipeline.delete(key)
        pipeline.hset(key, mapping=record)
        pipeline.expire(key, self._max_seconds(SESSION))
        pipeline.execute()

    def read_session(self, session: str) -> Mapping[str, str]:
        """Return the fields of a session; empty if there is none."""
        reply = self._client(SESSION).hgetall(self._key(SESSION, session=session))
        fields = cast("dict[bytes, bytes]", reply)
        return {name.decode(): value.decode() for name, value in fields.items()}

    def list_sessions(self) -> Collection[str]:
        """Return the ids of the tenant's sessions, by a scan of the database."""
        return sorted(parts["session"] for parts in self._parts_of_own_keys(SESSION))

    def end_session(self, session: str) -> bool:
        """Drop a session; say whether it was there."""
        return bool(self._client(SESSION).delete(self._key(SESSION, session=session)))

    def _client(self, family: str) -> redis.Redis:
        return self._clients[self._contract.family(family).databases[0]]

    def _key(self, family: str, **parts: str) -> bytes:
        return self._contract.key(family, tenant=self.tenant, **parts)

    def _max_seconds(self, family: str) -> int:
        seconds = self._contract.family(family).ttl.max_seconds
        if seconds is None:
            raise ValueTooLongLivedError(f"The family {family!r} never expires.")
        return seconds

    def _check_ttl(self, family: str, ttl: int) -> None:
        limit = self._max_seconds(family)
        if not 0 < ttl <= limit:
            raise ValueTooLongLivedError(
                f"A key of family {family!r} lives 1 to {limit} seconds, not {ttl}."
            )

    def _parts_of_own_keys(self, family: str) -> Iterator[Mapping[str, str]]:
        # The pattern only thins out the traffic; the parsed tenant decides, because a glob
        # is no exact match of a key. SCAN may repeat a key.
        database = self._contract.family(family).databases[0]
        pattern = re.sub(r"([*?\[\]\\])", r"\\\1", self.tenant)
        seen: set[bytes] = set()
        for key in self._clients[database].scan_iter(match=f"*:{pattern}:*", count=_SCAN_COUNT):
            parsed = self._contract.parse(database, key)
            if key in seen or parsed is None:
                continue
            seen.add(key)
            if parsed.tenant == self.tenant and parsed.family.name == family:
                yield parsed.parts


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
