# SPDX-License-Identifier: Apache-2.0
"""Demand to predict from: with a pattern that is known, or with none."""

from __future__ import annotations

import numpy as np

from kryonix_cache.reference_impl.demand.series import Demand
from kryonix_cache.reference_impl.prediction.choice import Choice, choose
from kryonix_cache.reference_impl.prediction.history import look_back

FIRST_HOUR = 482_256
LIFETIME_S = 3600.0


def demand(counts: np.ndarray) -> Demand:
    items = tuple(f"api-cache:crm.item{index}" for index in range(counts.shape[0]))
    return Demand(items, FIRST_HOUR, counts)


def rates_by_hour(items: int, hours: int, *, mean: float, seed: int) -> np.ndarray:
    """Return rates of items that each have an hour of day of their own."""
    peak = np.random.default_rng(seed).uniform(0, 24, items)
    angle = 2 * np.pi * (np.arange(hours)[None, :] - peak[:, None]) / 24
    rates: np.ndarray = mean * np.exp(3 * np.cos(angle)) / np.i0(3)
    return rates


def seasonal(items: int = 60, days: int = 14, *, mean: float = 0.8, seed: int = 1) -> Demand:
    rates = rates_by_hour(items, days * 24, mean=mean, seed=seed)
    return demand(np.random.default_rng(seed).poisson(rates).astype(np.float64))


def choice_of(table: Demand, *, budget: int = 40) -> Choice:
    return choose(look_back(table, table.next_hour), lifetime_s=LIFETIME_S, budget=budget)
