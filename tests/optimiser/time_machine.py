# SPDX-License-Identifier: Apache-2.0
"""A server's time, moved by hand: every time to live is lowered, and what is over is deleted."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from kryonix_cache.reference_impl.connection import bulk
from tests.optimiser.keyspace import AT, put_answer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kryonix_cache.reference_impl.connection import Pools


@dataclass
class TimeMachine:
    """The present of a server that is `now` by its writers' clock."""

    pools: Pools
    now: datetime = AT
    _databases: tuple[int, ...] = field(default=tuple(range(16)))

    def advance(self, seconds: int) -> None:
        """Let so much time pass."""
        self.now += timedelta(seconds=seconds)
        for database in self._databases:
            with bulk(self.pools[database]) as connection:
                names = _names(self.pools, database)
                lifetimes = connection.exchange([(b"PTTL", name) for name in names])
                moves = []
                for name, lifetime in zip(names, lifetimes, strict=True):
                    assert isinstance(lifetime, int)
                    left = lifetime - 1000 * seconds
                    if lifetime < 0:
                        continue
                    moves.append(
                        (b"PEXPIRE", name, b"%d" % left) if left > 0 else (b"UNLINK", name)
                    )
                if moves:
                    connection.exchange(moves)


def _names(pools: Pools, database: int) -> list[bytes]:
    return list(pools[database].scan_iter(count=1000))


@dataclass
class Application:
    """Writes an answer anew whenever it is gone, with the lifetime that it likes."""

    time: TimeMachine
    lifetimes: Mapping[str, int]
    undated: Mapping[str, int] = field(default_factory=dict)
    _written: dict[bytes, datetime] = field(default_factory=dict)
    rewritten: int = 0

    def refresh(self, tenant: str) -> None:
        """Write what is gone."""
        client = self.time.pools[1]
        for item, lifetime in self.lifetimes.items():
            if not client.exists(_key(tenant, item)):
                key = put_answer(
                    self.time.pools, tenant, item, ttl=lifetime, age=0, at=self.time.now
                )
                self._note(key)
        for item, lifetime in self.undated.items():
            key = _key(tenant, item)
            if not client.exists(key):
                client.set(key, json.dumps({"data": self.rewritten}), ex=lifetime)
                self._note(key)

    def _note(self, key: bytes) -> None:
        self._written[key] = self.time.now
        self.rewritten += 1

    def oldest(self, *, at_the_end: bool) -> float:
        """Return the age in seconds of the oldest answer, now or when it will expire."""
        ages = [0.0]
        client = self.time.pools[1]
        for key, written in self._written.items():
            left = client.pttl(key) / 1000
            if left > 0:
                age = (self.time.now - written).total_seconds()
                ages.append(age + left if at_the_end else age)
        return max(ages)


def _key(tenant: str, item: str) -> bytes:
    module, _, endpoint = item.partition(".")
    return f"tenant:{tenant}:api:{module}:{endpoint}".encode()
