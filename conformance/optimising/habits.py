# SPDX-License-Identifier: Apache-2.0
"""What tenants are used to read: habits that anybody can see, and none at all."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from kryonix_cache.fixtures.capabilities import Read

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from datetime import datetime

    Item = tuple[str, str]

DAYS = 14
HOUR = timedelta(hours=1)
_TIMES = 30
"""Reads of one answer in one hour: so many that no hour could lack it by chance."""


def items(module: str, count: int) -> list[Item]:
    """Return the names of so many answers of a module."""
    return [(module, f"e{number}") for number in range(count)]


def around(hour: int, asked: Collection[Item]) -> dict[int, Collection[Item]]:
    """Return a habit that lasts from the hour before to the hour after.

    So it does not matter whether an implementation looks at the hour that begins or the next one.
    """
    return {(hour + shift) % 24: asked for shift in (-1, 0, 1)}


def daily(
    tenant: str, habit: Mapping[int, Collection[Item]], until: datetime, days: int = DAYS
) -> Iterator[Read]:
    """Yield the reads of days that were all alike, the last of which ends with `until`."""
    midnight = until.replace(hour=0, minute=0, second=0, microsecond=0)
    for day in range(days, -1, -1):
        for hour, asked in sorted(habit.items()):
            moment = midnight - timedelta(days=day) + hour * HOUR
            if until - timedelta(days=days) <= moment < until:
                for module, endpoint in asked:
                    yield Read(tenant, module, endpoint, moment + timedelta(minutes=7), _TIMES)
