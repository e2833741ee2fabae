# SPDX-License-Identifier: Apache-2.0
"""The demand that is replayed, and what a cache makes of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from kryonix_cache.conformance.optimising.habits import around, daily
from kryonix_cache.conformance.optimising.replay import KINDS, Demand, Kind, played

NOON = datetime(2026, 3, 17, 12, tzinfo=UTC)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_the_same_seed_gives_the_same_demand_and_another_another(kind: Kind) -> None:
    first, second, other = Demand(kind, 1), Demand(kind, 1), Demand(kind, 2)
    hours = [hour % 24 for hour in range(100)]
    demand = [first.hour(hour) for hour in hours]
    assert demand == [second.hour(hour) for hour in hours]
    assert demand != [other.hour(hour) for hour in hours]


def test_habits_are_seen_at_their_hours_and_noise_at_none() -> None:
    steady, _, noise = KINDS
    demand = Demand(steady, 0)
    by_hour = [set(demand.hour(hour)) for hour in range(24)]
    again = [set(demand.hour(hour)) for hour in range(24)]
    same = sum(len(one & two) for one, two in zip(by_hour, again, strict=True))
    assert same > 0.9 * sum(map(len, by_hour))
    demand = Demand(noise, 0)
    one, two = demand.hour(9), demand.hour(9)
    assert len(one.keys() & two.keys()) < len(one) / 2


def test_a_miss_is_loaded_and_lives_half_an_hour() -> None:
    cache: dict[str, float] = {}
    assert played({"a": [0.0, 10.0, 1799.0, 1801.0, 1802.0]}, 0.0, cache) == 3
    assert cache == {"a": 3601.0}


def test_what_was_preloaded_is_a_hit_from_the_first_request_on() -> None:
    assert played({"a": [5.0, 3599.0], "b": [1.0]}, 7200.0, {"a": 10_800.0}) == 2


def test_a_daily_habit_holds_all_its_days_and_nothing_later() -> None:
    reads = list(daily("acme", around(11, [("crm", "list")]), NOON))
    assert {read.at.hour for read in reads} == {10, 11, 12}
    assert max(read.at for read in reads) < NOON
    assert min(read.at for read in reads) >= NOON - timedelta(days=14)
    assert len([read for read in reads if read.at.hour == 11]) == 14
