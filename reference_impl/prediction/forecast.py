# SPDX-License-Identifier: Apache-2.0
"""The forecast of one tenant for one hour: what to preload, how sure that is, and why."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from kryonix_cache.reference_impl.demand.series import HOURS_OF_DAY
from kryonix_cache.reference_impl.prediction.choice import (
    LEAST_HOURS,
    NONE,
    PRICE,
    choose,
    probability,
    within_budget,
)
from kryonix_cache.reference_impl.prediction.history import look_back, running_reads
from kryonix_cache.reference_impl.prediction.model import Forecast, Predicted
from kryonix_cache.reference_impl.prediction.predictors import (
    PREDICTORS,
    WORDS,
    Outlook,
    volumes,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from kryonix_cache.reference_impl.demand.series import Demand
    from kryonix_cache.reference_impl.prediction.choice import Choice
    from kryonix_cache.reference_impl.prediction.history import History


def forecast(
    demand: Demand,
    hour: int,
    *,
    lifetime_s: float,
    budget: int,
    choice: Choice | None = None,
    elapsed: float | None = None,
) -> Forecast:
    """Predict what `hour` asks for, from the columns before it alone.

    `lifetime_s` is how long a preload lives; at most `budget` items are named. A `choice` that was
    made from the same demand less than a day ago may be handed on: the back-test is most of the
    work. Odd figures are taken for no read, and nothing is raised for them; with too little to
    learn from, nothing is predicted.

    `elapsed` says that the hour before `hour`, the first after the table, is still running, and
    which share of it is over: the rest of it is taken for what was expected. Without `elapsed` it
    is over, and whatever is not in the table was not read.
    """
    history = look_back(demand, hour if elapsed is None else hour - 1)
    if not math.isfinite(lifetime_s) or lifetime_s <= 0:
        return _nothing(history, hour, f"A time to live of {lifetime_s} s allows no preload.")
    if choice is None:
        choice = choose(history, lifetime_s=lifetime_s, budget=budget)
    happened = history
    if elapsed is not None:
        happened, history = _with_running(demand, history, choice.model, elapsed)
    requests = _requests(history)
    if choice.model == NONE or not history.items or budget < 1:
        return Forecast(NONE, hour, (), requests, 0.0, choice.improvement, choice.reason)
    last = history.hours
    expected = PREDICTORS[choice.model](Outlook(history, last, last + 1))
    chances = choice.calibration.apply(probability(expected, lifetime_s))
    known = (history.admitted_from <= last)[:, None]
    chosen = within_budget(expected, known & (chances > PRICE), budget)[:, 0]
    items = _items(happened, choice.model, chosen, expected[:, 0], chances[:, 0])
    confidence = sum(item.probability for item in items) / len(items) if items else 0.0
    return Forecast(
        choice.model, hour, items, requests, confidence, choice.improvement, choice.reason
    )


def _with_running(
    demand: Demand, history: History, model: str, elapsed: float
) -> tuple[History, History]:
    """Return the history with the running hour: as far as it went, and as it is expected to end.

    An hour that is half over has not half the demand of others. What it asked for so far counts,
    for bursts show in it first.
    """
    reads, volume = running_reads(demand, history)
    happened = history.followed_by(reads, volume)
    left = 1.0 - min(max(elapsed, 0.0), 1.0)
    last = history.hours
    expected = np.zeros(len(history.items))
    if model != NONE and history.items:
        expected = PREDICTORS[model](Outlook(history, last, last + 1))[:, 0]
    usual = _requests(history) or 0.0
    return happened, history.followed_by(reads + left * expected, volume + left * usual)


def _nothing(history: History, hour: int, reason: str) -> Forecast:
    return Forecast(NONE, hour, (), _requests(history), 0.0, None, reason)


def _requests(history: History) -> float | None:
    if history.hours < LEAST_HOURS:
        return None
    return float(volumes(history, history.hours, history.hours + 1)[0])


def _items(
    history: History,
    model: str,
    chosen: NDArray[np.bool_],
    expected: NDArray[np.float64],
    chances: NDArray[np.float64],
) -> tuple[Predicted, ...]:
    indexes = np.flatnonzero(chosen)
    order = indexes[np.lexsort((indexes, -expected[indexes], -chances[indexes]))]
    return tuple(
        Predicted(
            history.items[index],
            float(expected[index]),
            float(chances[index]),
            _reason(history, model, index, float(expected[index]), float(chances[index])),
        )
        for index in order.tolist()
    )


def _reason(history: History, model: str, index: int, expected: float, chance: float) -> str:
    counts = history.counts[index]
    same = counts[history.hours % HOURS_OF_DAY :: HOURS_OF_DAY]
    return (
        f"read in {np.count_nonzero(same)} of {same.size} earlier days at "
        f"{history.hour % HOURS_OF_DAY:02}h UTC, {counts[-HOURS_OF_DAY:].sum():.0f} times in the "
        f"last {HOURS_OF_DAY} hours; {WORDS[model]} expects {expected:.1f} reads, "
        f"probability {chance:.2f}"
    )
