# SPDX-License-Identifier: Apache-2.0
"""The arms of an evaluation: what each of them would preload at the start of each hour.

All arms are given the same budget and the same rule, and may look at the hours before only; the
oracle alone knows the true rates.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from kryonix_cache.reference_impl.demand.series import HOURS_OF_DAY, Demand
from kryonix_cache.reference_impl.prediction.choice import (
    NONE,
    PRICE,
    choose,
    probability,
    within_budget,
)
from kryonix_cache.reference_impl.prediction.history import WINDOW_HOURS, look_back
from kryonix_cache.reference_impl.prediction.predictors import PREDICTORS, Outlook

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from numpy.typing import NDArray

    from kryonix_cache.reference_impl.evaluation.workload import Workload
    from kryonix_cache.reference_impl.prediction.choice import Choice
    from kryonix_cache.reference_impl.prediction.history import History

WARM_UP_HOURS = 7 * HOURS_OF_DAY
"""Hours that are learnt from and not judged."""

_CONSTANTS = 4
"""So many needs the source predicts, always the same ones (E17)."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What all arms share: time to live, preloads for each hour, items that a history holds."""

    lifetime_s: float = 3600.0
    budget: int = 40
    history_items: int = 128


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """What an arm wants warm: `wanted[h]` are items of hour h, the likeliest first.

    `chances[h]` are their stated probabilities, where the arm states any. `models` counts the days
    that each predictor was used.
    """

    wanted: tuple[NDArray[np.int64], ...]
    chances: tuple[NDArray[np.float64], ...] | None = None
    models: tuple[tuple[str, int], ...] = ()


Arm: TypeAlias = "Callable[[Workload, Setting], Plan]"


def nothing(workload: Workload, setting: Setting) -> Plan:
    """Preload nothing."""
    del setting
    empty = np.zeros(0, dtype=np.int64)
    return Plan((empty,) * workload.hours)


def persistence(workload: Workload, setting: Setting) -> Plan:
    """Preload what the hour before asked for most."""
    return _naive(workload, setting, 1)


def seasonal(workload: Workload, setting: Setting) -> Plan:
    """Preload what the same hour of the day before asked for most."""
    return _naive(workload, setting, HOURS_OF_DAY)


def constants(workload: Workload, setting: Setting) -> Plan:
    """Preload the same few items in every hour, as the source does.

    The source's items mean nothing here, so its four stand for the four items that were read most
    while nothing was judged: the best that their author can have meant.
    """
    read = workload.demand.counts[:, :WARM_UP_HOURS].sum(axis=1)
    best = np.argsort(-read, kind="stable")[: min(_CONSTANTS, setting.budget)]
    return Plan((best,) * workload.hours)


def oracle(workload: Workload, setting: Setting) -> Plan:
    """Preload by the true rates; by what was then asked for, where no rates are known."""
    rates = workload.demand.counts if workload.rates is None else workload.rates
    return Plan(_by_rates(rates.astype(np.float64), setting))


def ours(workload: Workload, setting: Setting) -> Plan:
    """Preload what the forecast names; the predictor is chosen anew each day."""
    return _forecasts(workload, setting, tuple(PREDICTORS))


def single(model: str) -> Arm:
    """Return the arm that has one predictor to choose from, and `none`."""

    def plan(workload: Workload, setting: Setting) -> Plan:
        return _forecasts(workload, setting, (model,))

    return plan


ARMS: dict[str, Arm] = {
    "none": nothing,
    "persistence": persistence,
    "seasonal naive": seasonal,
    "constants": constants,
    "ours": ours,
    "oracle": oracle,
}


def _naive(workload: Workload, setting: Setting, lag: int) -> Plan:
    before = np.zeros_like(workload.demand.counts)
    before[:, lag:] = workload.demand.counts[:, :-lag]
    return Plan(_by_rates(before, setting))


def _by_rates(rates: NDArray[np.float64], setting: Setting) -> tuple[NDArray[np.int64], ...]:
    worthwhile = probability(rates, setting.lifetime_s) > PRICE
    chosen = within_budget(rates, worthwhile, setting.budget)
    return tuple(_ranked(chosen[:, hour], rates[:, hour]) for hour in range(rates.shape[1]))


def _ranked(chosen: NDArray[np.bool_], rates: NDArray[np.float64]) -> NDArray[np.int64]:
    index = np.flatnonzero(chosen)
    return index[np.argsort(-rates[index], kind="stable")]


def _forecasts(workload: Workload, setting: Setting, among: Collection[str]) -> Plan:
    """Plan day by day; a test holds it against `forecast`, hour by hour.

    A day is predicted in one go: each of its hours still sees those before it only.
    """
    wanted: list[NDArray[np.int64]] = [np.zeros(0, dtype=np.int64)] * workload.hours
    chances: list[NDArray[np.float64]] = [np.zeros(0)] * workload.hours
    used: dict[str, int] = {}
    for start in range(WARM_UP_HOURS, workload.hours, HOURS_OF_DAY):
        stop = min(start + HOURS_OF_DAY, workload.hours)
        kept = _most_read(workload, start, setting.history_items)
        demand = Demand(
            tuple(workload.items[index] for index in kept),
            workload.first_hour,
            workload.demand.counts[kept, :stop],
        )
        choice = choose(
            look_back(demand, workload.first_hour + start),
            lifetime_s=setting.lifetime_s,
            budget=setting.budget,
            among=among,
        )
        used[choice.model] = used.get(choice.model, 0) + 1
        if choice.model == NONE:
            continue
        history = look_back(demand, workload.first_hour + stop)
        index = dict(zip(demand.items, kept.tolist(), strict=True))
        items = np.array([index[name] for name in history.items], dtype=np.int64)
        for hour, ranked, chance in _day(history, choice, setting, start, stop):
            wanted[hour] = items[ranked]
            chances[hour] = chance
    return Plan(tuple(wanted), tuple(chances), tuple(sorted(used.items())))


def _day(
    history: History, choice: Choice, setting: Setting, start: int, stop: int
) -> Iterator[tuple[int, NDArray[np.int64], NDArray[np.float64]]]:
    """Yield for each hour what to preload, as rows of the history, and how likely it is."""
    first = history.hours - (stop - start)
    expected = PREDICTORS[choice.model](Outlook(history, first, history.hours))
    chance = choice.calibration.apply(probability(expected, setting.lifetime_s))
    admitted = history.admitted_from[:, None] <= np.arange(first, history.hours)
    chosen = within_budget(expected, admitted & (chance > PRICE), setting.budget)
    for column in range(stop - start):
        ranked = _ranked(chosen[:, column], expected[:, column])
        yield start + column, ranked, chance[ranked, column]


def _most_read(workload: Workload, start: int, limit: int) -> NDArray[np.int64]:
    """Return the items that a history of bounded size holds at an hour."""
    read = workload.demand.counts[:, max(0, start - WINDOW_HOURS) : start].sum(axis=1)
    best = np.argsort(-read, kind="stable")[:limit]
    return np.sort(best[read[best] > 0])
