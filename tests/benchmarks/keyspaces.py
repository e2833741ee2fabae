# SPDX-License-Identifier: Apache-2.0
"""A keyspace of many tenants with equally many keys each, written fast."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from kryonix_cache.reference_impl.connection import bulk
from kryonix_cache.reference_impl.contract import default_contract

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from kryonix_cache.reference_impl.connection import Pools

CONTRACT = default_contract()
MODULES = ("crm", "users", "notifications", "sales", "agenda")
BATCH = 1000

_Command = tuple[bytes, ...]


def fill(pools: Pools, tenants: int, keys_each: int, at: datetime) -> int:
    """Write the tenants; return how many keys there are.

    Half of a tenant's keys are cached answers, a fifth sessions, a tenth connections, the rest
    jobs' queues; besides there are its metrics, settings, registration and use of the SDK.
    """
    waiting: dict[int, list[_Command]] = {}
    for number in range(tenants):
        for database, command in _tenant(f"t{number:05}", keys_each, at):
            commands = waiting.setdefault(database, [])
            commands.append(command)
            if len(commands) >= BATCH:
                _send(pools, database, commands)
    for database, commands in waiting.items():
        _send(pools, database, commands)
    return sum(pools[database].dbsize() for database in range(16))


def _send(pools: Pools, database: int, commands: list[_Command]) -> None:
    with bulk(pools[database]) as connection:
        replies = connection.exchange(commands)
    assert not [reply for reply in replies if isinstance(reply, Exception)]
    commands.clear()


def _tenant(tenant: str, keys: int, at: datetime) -> Iterator[tuple[int, _Command]]:
    name = tenant.encode()
    written = json.dumps(
        {
            "tenant_id": tenant,
            "module": "crm",
            "cached_at": at.isoformat(),
            "data": {"rows": list(range(40))},
        }
    ).encode()
    yield from _hashes(name)
    answers, sessions, connections = keys // 2, keys // 5, keys // 10
    for number in range(answers):
        module = MODULES[number % len(MODULES)].encode()
        key = b"tenant:%b:api:%b:e%d" % (name, module, number)
        yield 1, (b"SET", key, written, b"EX", b"%d" % (600 + number * 13 % 6000))
    for number in range(sessions):
        key = b"tenant:%b:mobile:session:s%d" % (name, number)
        yield 0, (b"HSET", key, *_user(number))
        yield 0, (b"EXPIRE", key, b"1800")
    for number in range(connections):
        yield 11, (b"HSET", b"websocket:tenant:%b:c%d" % (name, number), *_user(number))
    for number in range(keys - answers - sessions - connections - 4):
        yield 2, (b"RPUSH", b"queue:tenant:%b:q%d" % (name, number), b"{}")


def _user(number: int) -> _Command:
    device = (b"mobile", b"tablet", b"desktop")[number % 3]
    return (b"user_id", b"u%d" % (number % 60), b"device_type", device, b"platform", b"web")


def _hashes(name: bytes) -> Iterator[tuple[int, _Command]]:
    yield 3, (
        b"HSET", b"metrics:tenant:" + name, b"cache_hit_rate", b"78.5", b"avg_response_time",
        b"145ms", b"api_calls_today", b"6000",
    )  # fmt: skip
    yield 7, (
        b"HSET", b"config:tenant:" + name, b"business_sector", b"medicina", b"timezone",
        b"America/Sao_Paulo", b"business_hours", b'{"days":[1,2,3,4,5]}',
        b"notification_preferences", b"{}",
    )  # fmt: skip
    yield 5, (
        b"HSET", b"sdk:tenant:" + name, b"modules_enabled", b'["crm"]',
        b"subscription_status", b"active",
    )  # fmt: skip
    yield 5, (
        b"HSET", b"sdk:analytics:tenant:" + name, b"total_requests_today", b"900",
        b"error_rate", b"0.2%",
    )  # fmt: skip
