# SPDX-License-Identifier: Apache-2.0
"""Reads of tenants, what the server then holds of them, and a clock that stands still."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

import redis

from kryonix_cache.reference_impl.connection import lease
from kryonix_cache.reference_impl.contract import default_contract
from kryonix_cache.reference_impl.demand import items

if TYPE_CHECKING:
    from kryonix_cache.reference_impl.connection import Pools
    from kryonix_cache.reference_impl.demand.series import Demand
    from kryonix_cache.reference_impl.tenant.exchanges import Batch, Program

T = TypeVar("T")

CONTRACT = default_contract()
DATABASE = CONTRACT.family(items.COUNTERS).databases[0]
NOON = datetime(2026, 3, 4, 12, 30, tzinfo=UTC)
MOST = items.most_members(CONTRACT)


class Clock:
    """A clock that stands still until it is set."""

    def __init__(self, at: datetime = NOON) -> None:
        self.at = at

    def __call__(self) -> float:
        return self.at.timestamp()

    def forward(self, **time: float) -> None:
        self.at += timedelta(**time)


def counter_key(tenant: str, at: datetime = NOON) -> bytes:
    return items.counter_key(CONTRACT, tenant, items.hour_of(at))


def history_key(tenant: str) -> bytes:
    return CONTRACT.key(items.HISTORY, tenant=tenant)


def counters(pools: Pools, tenant: str, at: datetime = NOON) -> dict[str, float]:
    """Return what is counted on the day of `at`."""
    found: Any = pools[DATABASE].zrange(counter_key(tenant, at), 0, -1, withscores=True)
    return {member.decode(): score for member, score in found}


def count(pools: Pools, tenant: str, at: datetime, item: str, reads: float) -> None:
    """Count reads as a recorder would."""
    member = items.counter_of(items.hour_of(at), item)
    pools[DATABASE].zincrby(counter_key(tenant, at), reads, member)
    pools[DATABASE].expire(counter_key(tenant, at), 1000)


def cells(demand: Demand) -> dict[tuple[str, datetime], float]:
    """Return the counts of a table that are not zero, by item and hour."""
    return {
        (item, items.moment_of(demand.first_hour + hour)): float(value)
        for item, row in zip(demand.items, demand.counts, strict=True)
        for hour, value in enumerate(row)
        if value
    }


def batches_of(program: Program[T], pools: Pools, steps: int | None = None) -> list[Batch]:
    """Play a program on a real connection, or its first steps only; return what it sent."""
    sent: list[Batch] = []
    with lease(pools[DATABASE]) as connection:
        try:
            batch = next(program)
            while steps is None or len(sent) < steps:
                sent.append(batch)
                batch = program.send(connection.exchange(batch.commands))
        except StopIteration:
            return sent
        finally:
            connection.drop()
    return sent


def error_of(pools: Pools, *command: str | bytes) -> str:
    """Return what the server says against a command."""
    try:
        pools[DATABASE].execute_command(*command)
    except redis.ResponseError as error:
        return str(error)
    return ""
