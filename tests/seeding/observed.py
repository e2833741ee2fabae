# SPDX-License-Identifier: Apache-2.0
"""What stands on a server, read by plain commands that seeding does not share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kryonix_cache.reference_impl.connection import Pools

DATABASES = range(16)


@dataclass(frozen=True, slots=True)
class Observed:
    """One key: its type, its value as plain data, and its seconds to live (None: for ever)."""

    type: str
    value: Any
    ttl: float | None


def observe(pools: Pools) -> dict[tuple[int, str], Observed]:
    """Read every key of a server."""
    found = {}
    for database in DATABASES:
        client = pools[database]
        for name in client.scan_iter(count=1000):
            kind = client.type(name).decode()
            milliseconds = client.pttl(name)
            found[database, name.decode()] = Observed(
                kind,
                read(client, name, kind),
                None if milliseconds < 0 else milliseconds / 1000,
            )
    return found


def read(client: Any, name: bytes, kind: str) -> Any:
    """Return the value of a key as plain data that JSON can hold."""
    if kind == "string":
        return client.get(name).decode()
    if kind == "hash":
        pairs = client.hgetall(name).items()
        return sorted([field.decode(), text.decode()] for field, text in pairs)
    if kind == "list":
        return [item.decode() for item in client.lrange(name, 0, -1)]
    if kind == "set":
        return sorted(item.decode() for item in client.smembers(name))
    scored = client.zrange(name, 0, -1, withscores=True)
    return [[member.decode(), score] for member, score in scored]


def values(pools: Pools) -> dict[tuple[int, str], tuple[str, Any]]:
    """Read every key without its time to live, which no two moments have in common."""
    return {place: (key.type, key.value) for place, key in observe(pools).items()}
