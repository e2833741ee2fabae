# SPDX-License-Identifier: Apache-2.0
"""Made tenants: known data, written out of band, to hold an optimiser's word against."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, cast

from kryonix_cache.conformance.optimising.families import (
    ANSWERS,
    CONNECTIONS,
    METRICS,
    SESSIONS,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kryonix_cache.conformance.datasets import Place
    from kryonix_cache.reference_impl.connection import Clients
    from kryonix_cache.reference_impl.contract import Contract

    # What redis-py takes for the fields of a hash.
    _Mapping = Mapping[
        bytes | bytearray | memoryview | str | int | float,
        bytes | bytearray | memoryview | str | int | float,
    ]

_PLATFORMS = {"mobile": "android", "tablet": "ios", "desktop": "web"}
GOOD_HIT_RATE = "97.5"
"""No rule that asks for a low hit rate fires on it."""


@dataclass(slots=True)
class MadeTenant:
    """Writes keys of one tenant; `now` is the present of the story that its times lie in."""

    id: str
    contract: Contract
    clients: Clients
    now: datetime
    _numbers: dict[str, int] = field(default_factory=dict)

    def place(self, family: str, **parts: str) -> Place:
        """Return database and key of one of the tenant's keys."""
        key = self.contract.key(family, tenant=self.id, **parts)
        return self.contract.family(family).databases[0], key

    def answer_place(self, module: str, endpoint: str) -> Place:
        """Return database and key of a cached answer."""
        return self.place(ANSWERS, module=module, endpoint=endpoint)

    def answer(
        self,
        module: str,
        endpoint: str,
        *,
        ttl: int | None,
        age: float | None = 0,
        cached_at: str | None = None,
        data: object = None,
    ) -> Place:
        """Write a cached answer that is `age` seconds old; None writes no time, or `cached_at`.

        Without `ttl` it never expires.
        """
        value: dict[str, object] = {"tenant_id": self.id, "module": module}
        if cached_at is None and age is not None:
            cached_at = (self.now - timedelta(seconds=age)).isoformat()
        if cached_at is not None:
            value["cached_at"] = cached_at
        value["data"] = (
            data if data is not None else {"of": f"{module}/{endpoint}", "tenant": self.id}
        )
        return self.string(ANSWERS, json.dumps(value), ttl=ttl, module=module, endpoint=endpoint)

    def string(self, family: str, text: str | bytes, *, ttl: int | None, **parts: str) -> Place:
        """Write a text of any family."""
        place = self.place(family, **parts)
        self.clients[place[0]].set(place[1], text, ex=ttl)
        return place

    def hash(
        self,
        family: str,
        fields: Mapping[str, str | bytes],
        *,
        ttl: int | None = None,
        **parts: str,
    ) -> Place:
        """Write a hash of any family."""
        place = self.place(family, **parts)
        client = self.clients[place[0]]
        client.unlink(place[1])
        client.hset(place[1], mapping=cast("_Mapping", fields))
        if ttl is not None:
            client.expire(place[1], ttl)
        return place

    def metrics(self, **fields: str) -> Place:
        """Write the figures of the day, those that the contract calls for and `fields`."""
        usual = {
            "mobile_users": "0",
            "api_calls_today": "10",
            "cache_hit_rate": GOOD_HIT_RATE,
            "avg_response_time": "20ms",
            "active_sessions": "0",
        }
        return self.hash(METRICS, usual | fields)

    def session(self, user: str, device: str | None, platform: str | None = None) -> Place:
        """Write a session of a user on a device; None leaves the field out."""
        name = f"s{self._next('session')}"
        fields = {
            "tenant_id": self.id,
            "user_id": user,
            "created_at": self.now.isoformat(),
            "last_activity": self.now.isoformat(),
            **_device(device, platform),
        }
        return self.hash(SESSIONS, fields, ttl=1500, session=name)

    def connection(self, user: str, device: str | None, platform: str | None = None) -> Place:
        """Write an open connection of a user."""
        name = f"c{self._next('connection')}"
        fields = {
            "user_id": user,
            "connection_id": name,
            "connected_at": self.now.isoformat(),
            "last_ping": self.now.isoformat(),
            "subscribed_events": "[]",
            **_device(device, platform),
        }
        return self.hash(CONNECTIONS, fields, connection=name)

    def users(self, mobile: int, others: int) -> None:
        """Write so many users, each with one session."""
        for number in range(mobile):
            self.session(f"m{number}", "mobile")
        for number in range(others):
            self.session(f"d{number}", "desktop")

    def _next(self, what: str) -> int:
        self._numbers[what] = self._numbers.get(what, 0) + 1
        return self._numbers[what]


def _device(device: str | None, platform: str | None) -> dict[str, str]:
    if platform is None and device is not None:
        platform = _PLATFORMS[device]
    named = {"device_type": device, "platform": platform}
    return {name: value for name, value in named.items() if value is not None}
