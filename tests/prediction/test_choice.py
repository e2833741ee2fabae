# SPDX-License-Identifier: Apache-2.0
"""Which predictor a tenant's own days choose."""

from __future__ import annotations

import numpy as np
import pytest

from kryonix_cache.reference_impl.prediction.choice import PRICE, within_budget
from kryonix_cache.reference_impl.prediction.history import MOST_ITEMS, WINDOW_HOURS, look_back
from kryonix_cache.reference_impl.prediction.predictors import PREDICTORS, Outlook
from tests.prediction.demands import choice_of, demand, seasonal


@pytest.mark.parametrize("seed", range(8))
def test_none_wins_where_nothing_can_be_known(seed: int) -> None:
    """Rare reads of many items, all alike: whatever is preloaded is mostly for nothing."""
    counts = np.random.default_rng(seed).poisson(0.05, (500, 336)).astype(np.float64)
    choice = choice_of(demand(counts))
    assert choice.model == "none"
    assert "no predictor was better than no preload beyond noise" in choice.reason


@pytest.mark.parametrize("seed", range(4))
def test_the_hours_of_day_win_where_they_tell(seed: int) -> None:
    choice = choice_of(seasonal(seed=seed))
    assert choice.model in {"profile", "shrunk", "weekly"}
    assert choice.trials[choice.model].gain > choice.trials["recency"].gain > 0


def test_recent_hours_win_where_the_items_change_each_half_day() -> None:
    chance = np.random.default_rng(5)
    rates = np.repeat(chance.random((200, 28)) < 0.1, 12, axis=1) * 4.0
    choice = choice_of(demand(chance.poisson(rates).astype(np.float64)))
    assert choice.model == "persistence"


def test_weekends_are_learnt_from_weekends() -> None:
    """With two kinds of days the weekly profile does better on the first day of a weekend."""
    chance = np.random.default_rng(6)
    day = np.arange(336) // 24
    weekend = day % 7 >= 5
    groups = np.arange(100)[:, None] < 50
    rates = np.where(groups == weekend[None, :], 2.0, 0.01)
    table = demand(chance.poisson(rates).astype(np.float64))
    history = look_back(table, table.first_hour + 12 * 24 + 8)
    outlook = Outlook(history, history.hours, history.hours + 1)
    off = slice(0, 50)
    assert (
        PREDICTORS["weekly"](outlook)[off].mean() > 1.3 * PREDICTORS["shrunk"](outlook)[off].mean()
    )


@pytest.mark.parametrize("name", PREDICTORS)
def test_no_predictor_looks_at_its_own_hour_or_later_ones(name: str) -> None:
    table = seasonal(items=20)
    changed = table.counts.copy()
    changed[:, 250:] *= 17
    outlooks = [
        Outlook(look_back(demand(counts), table.next_hour), 200, 337)
        for counts in (table.counts, changed)
    ]
    before, after = (PREDICTORS[name](outlook) for outlook in outlooks)
    np.testing.assert_allclose(before[:, :51], after[:, :51], rtol=1e-4)
    assert not np.allclose(before[:, 51:], after[:, 51:])


@pytest.mark.parametrize("name", PREDICTORS)
def test_a_range_of_hours_is_predicted_as_each_alone(name: str) -> None:
    table = seasonal(items=20)
    history = look_back(table, table.next_hour)
    together = PREDICTORS[name](Outlook(history, 300, 337))
    alone = [PREDICTORS[name](Outlook(history, hour, hour + 1))[:, 0] for hour in range(300, 337)]
    np.testing.assert_allclose(together, np.array(alone).T, rtol=1e-3, atol=1e-6)


def test_the_budget_takes_the_best_of_each_hour() -> None:
    ranks = np.array([[1.0, 5.0], [2.0, 4.0], [3.0, 3.0], [3.0, 1.0]])
    worthwhile = np.array([[True, True], [True, False], [True, True], [True, True]])
    chosen = within_budget(ranks, worthwhile, 2)
    assert chosen.tolist() == [[False, True], [False, False], [True, True], [True, False]]
    assert within_budget(ranks, worthwhile, 4).tolist() == worthwhile.tolist()


def test_a_gain_is_saved_misses_less_the_price_of_preloads() -> None:
    trial = choice_of(seasonal()).trials["seasonal"]
    assert sum(trial.gains) == pytest.approx(trial.saved - PRICE * trial.preloads)
    assert trial.least < trial.gain


def test_a_history_is_bounded() -> None:
    counts = np.zeros((MOST_ITEMS + 100, 20 * 24))
    counts[:, ::24] = 1.0
    counts[-1] = 2.0
    history = look_back(demand(counts), demand(counts).next_hour)
    assert history.counts.shape == (MOST_ITEMS, WINDOW_HOURS)
    assert history.items[-1] == f"api-cache:crm.item{MOST_ITEMS + 99}"
    assert history.volume.sum() == counts[:, -WINDOW_HOURS:].sum()


def test_a_gain_by_chance_does_not_win() -> None:
    """Reads that are as likely as a preload costs: some predictor always seems to gain."""
    choices = [
        choice_of(demand(np.random.default_rng(seed).poisson(0.36, (40, 336)).astype(np.float64)))
        for seed in range(20)
    ]
    lucky = [
        choice for choice in choices if max(trial.gain for trial in choice.trials.values()) > 0
    ]
    assert len(lucky) >= 10
    assert sum(choice.model == "none" for choice in lucky) >= 0.8 * len(lucky)
