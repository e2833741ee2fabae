# SPDX-License-Identifier: Apache-2.0
"""What a forecast says, what it rests on, and that nothing odd breaks it."""

from __future__ import annotations

import time
from dataclasses import replace

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra.numpy import array_shapes, arrays

from kryonix_cache.conformance.model.programs import SETTINGS
from kryonix_cache.reference_impl.demand.series import Demand
from kryonix_cache.reference_impl.prediction.choice import LEAST_HOURS, PRICE
from kryonix_cache.reference_impl.prediction.forecast import forecast
from tests.prediction.demands import (
    FIRST_HOUR,
    LIFETIME_S,
    choice_of,
    demand,
    rates_by_hour,
    seasonal,
)

ODD = st.sampled_from([0.0, 0.0, 1.0, 3.0, 0.1, -5.0, np.nan, np.inf, -np.inf, 1e300, 1e-300])
TABLES = array_shapes(min_dims=2, max_dims=2, min_side=0, max_side=150).flatmap(
    lambda shape: arrays(np.float64, (min(shape[0], 6), shape[1]), elements=ODD)
)


@SETTINGS
@given(
    counts=TABLES,
    ahead=st.integers(-400, 400),
    lifetime=st.sampled_from([0.0, -1.0, 1.0, 900.0, 3600.0, 86_400.0, float("nan"), float("inf")]),
    budget=st.sampled_from([-1, 0, 1, 3, 10**9]),
)
def test_no_demand_however_odd_breaks_a_forecast(
    counts: np.ndarray, ahead: int, lifetime: float, budget: int
) -> None:
    table = demand(counts)
    hour = table.next_hour + ahead
    said = forecast(table, hour, lifetime_s=lifetime, budget=budget)
    assert said.hour == hour
    assert len(said.items) <= max(budget, 0)
    assert {item.item for item in said.items} <= set(table.items)
    assert all(PRICE < item.probability <= 1 for item in said.items)
    assert all(np.isfinite(item.expected) and item.expected >= 0 for item in said.items)
    assert (said.confidence > 0) == bool(said.items)
    assert said.confidence <= 1
    assert said.requests is None or np.isfinite(said.requests)
    assert said.reason
    assert said == forecast(table, hour, lifetime_s=lifetime, budget=budget)


def test_odd_figures_count_as_no_read() -> None:
    """A figure that is no number, or negative, changes nothing about the other items."""
    table = seasonal()
    odd = table.counts.copy()
    odd[:, ::7] = np.where(odd[:, ::7] == 0, np.nan, odd[:, ::7])
    odd[:, ::5] = np.where(odd[:, ::5] == 0, -3.0, odd[:, ::5])
    hour = table.next_hour
    assert forecast(demand(odd), hour, lifetime_s=LIFETIME_S, budget=40) == forecast(
        table, hour, lifetime_s=LIFETIME_S, budget=40
    )


def test_a_forecast_names_the_items_whose_hour_comes() -> None:
    """The likeliest items come first, and each says what it rests on."""
    table = seasonal(mean=2.0)
    said = forecast(table, table.next_hour, lifetime_s=LIFETIME_S, budget=10)
    true = rates_by_hour(60, 14 * 24 + 1, mean=2.0, seed=1)[:, -1]
    best = {table.items[index] for index in np.argsort(-true)[:15]}
    assert len(said.items) == 10
    assert sum(item.item in best for item in said.items) >= 8
    chances = [item.probability for item in said.items]
    assert chances == sorted(chances, reverse=True)
    assert "earlier days at 00h UTC" in said.items[0].reason
    assert said.improvement is not None
    assert said.improvement > 0
    assert "misses" in said.reason


def test_nothing_after_the_hour_is_looked_at() -> None:
    table = seasonal(days=16)
    hour = table.first_hour + 14 * 24
    future = table.counts.copy()
    future[:, 14 * 24 :] = 1000.0
    other = replace(table, counts=future)
    said = forecast(table, hour, lifetime_s=LIFETIME_S, budget=40)
    assert said.items
    assert said == forecast(other, hour, lifetime_s=LIFETIME_S, budget=40)


@pytest.mark.parametrize("hours", [0, 1, 24, LEAST_HOURS - 1])
def test_too_little_history_gives_no_prediction(hours: int) -> None:
    table = demand(np.full((3, hours), 5.0))
    said = forecast(table, table.next_hour, lifetime_s=LIFETIME_S, budget=10)
    assert (said.items, said.confidence, said.model) == ((), 0.0, "none")
    assert said.requests is None
    assert said.improvement is None


def test_enough_history_of_what_always_comes_gives_one() -> None:
    table = demand(np.full((3, LEAST_HOURS), 5.0))
    said = forecast(table, table.next_hour, lifetime_s=LIFETIME_S, budget=10)
    assert {item.item for item in said.items} == set(table.items)
    assert said.confidence > 0.9
    assert said.requests == pytest.approx(15, rel=0.2)


def test_quiet_hours_before_the_first_read_are_no_history() -> None:
    counts = np.zeros((3, 14 * 24))
    counts[:, -48:] = 5.0
    table = demand(counts)
    assert not forecast(table, table.next_hour, lifetime_s=LIFETIME_S, budget=10).items


def test_an_item_of_a_single_day_is_never_predicted() -> None:
    """What was read on one day only may be gone tomorrow."""
    table = seasonal(mean=2.0)
    counts = table.counts.copy()
    counts[0] = 0.0
    counts[0, -24:] = 500.0
    said = forecast(demand(counts), table.next_hour, lifetime_s=LIFETIME_S, budget=60)
    assert said.items
    assert table.items[0] not in {item.item for item in said.items}
    counts[0, -30] = 1.0
    said = forecast(demand(counts), table.next_hour, lifetime_s=LIFETIME_S, budget=60)
    assert table.items[0] in {item.item for item in said.items}


def test_no_item_gives_no_prediction() -> None:
    table = Demand((), FIRST_HOUR, np.zeros((0, 336)))
    assert not forecast(table, table.next_hour, lifetime_s=LIFETIME_S, budget=10).items


def test_a_long_gap_before_the_hour_ends_what_is_known() -> None:
    table = seasonal()
    said = forecast(table, table.next_hour + 15 * 24, lifetime_s=LIFETIME_S, budget=10)
    assert (said.items, said.confidence) == ((), 0.0)


def test_the_running_hour_counts_for_what_it_is_expected_to_end_with() -> None:
    """Half an hour ahead the next hour is predicted nearly as well as when it begins."""
    table = seasonal(items=80, days=20, mean=1.5, seed=2)
    halves = np.random.default_rng(7).binomial(table.counts.astype(np.int64), 0.5)
    hits = dict.fromkeys(("half over", "without reads", "over"), 0)
    for column in range(17 * 24, 20 * 24):
        hour = table.first_hour + column
        running = halves[:, column - 1].astype(np.float64)
        known = Demand(table.items, table.first_hour, table.counts[:, : column - 1], running)
        choice = choice_of(known)
        asked = {table.items[index] for index in np.flatnonzero(table.counts[:, column])}
        for name, before, elapsed in (
            ("half over", known, 0.5),
            ("without reads", known, None),
            ("over", table, None),
        ):
            said = forecast(
                before, hour, lifetime_s=LIFETIME_S, budget=20, choice=choice, elapsed=elapsed
            )
            assert said.hour == hour
            hits[name] += sum(item.item in asked for item in said.items)
    assert hits["half over"] > hits["without reads"]
    assert hits["half over"] >= 0.98 * hits["over"]


def test_a_burst_shows_in_the_running_hour() -> None:
    counts = np.zeros((3, 14 * 24))
    counts[:, ::2] = 1.0
    calm = demand(counts)
    burst = replace(calm, running=np.array([0.0, 40.0, 0.0]))
    choice = replace(choice_of(calm), model="recency")
    before, after = (
        forecast(
            each, calm.next_hour + 1, lifetime_s=LIFETIME_S, budget=3, choice=choice, elapsed=0.5
        )
        for each in (calm, burst)
    )
    expected = {item.item: item.expected for item in before.items}
    assert after.items[0].item == calm.items[1]
    assert after.items[0].expected > 1.5 * expected.get(calm.items[1], 0.3)
    # What is only expected of the running hour was not read: 11 before it, 40 in it.
    assert "51 times in the last 24 hours" in after.items[0].reason


@pytest.mark.parametrize("running", [None, np.array([np.nan, -1.0]), np.zeros(7)])
def test_odd_reads_of_the_running_hour_break_nothing(running: np.ndarray | None) -> None:
    table = replace(seasonal(items=2), running=running)
    said = forecast(table, table.next_hour + 1, lifetime_s=LIFETIME_S, budget=2, elapsed=0.75)
    plain = forecast(
        replace(table, running=None),
        table.next_hour + 1,
        lifetime_s=LIFETIME_S,
        budget=2,
        elapsed=0.75,
    )
    assert said == plain


def test_a_choice_of_the_same_demand_gives_the_same_forecast() -> None:
    table = seasonal()
    choice = choice_of(table)
    assert forecast(
        table, table.next_hour, lifetime_s=LIFETIME_S, budget=40, choice=choice
    ) == forecast(table, table.next_hour, lifetime_s=LIFETIME_S, budget=40)


def test_confidence_says_how_often_it_is_right() -> None:
    """Over many hours as many predictions come true as were promised, within five points."""
    table = seasonal(items=80, days=28, mean=0.7, seed=3)
    promised, true = [], []
    for column in range(14 * 24, 28 * 24, 5):
        hour = table.first_hour + column
        for item in forecast(table, hour, lifetime_s=LIFETIME_S, budget=20).items:
            promised.append(item.probability)
            true.append(table.counts[table.items.index(item.item), column] > 0)
    assert len(promised) > 500
    assert np.mean(promised) == pytest.approx(np.mean(true), abs=0.05)


def test_a_forecast_costs_little() -> None:
    """128 items and two weeks, with the back-test, take a few milliseconds of a core."""
    table = seasonal(items=128)
    costs = []
    for _ in range(60):
        start = time.thread_time()
        said = forecast(table, table.next_hour, lifetime_s=LIFETIME_S, budget=40)
        costs.append(time.thread_time() - start)
    assert said.items
    # The least of many, because other work of the machine only ever adds to it; less than ten are
    # needed where nothing else runs.
    assert min(costs) < 0.020
