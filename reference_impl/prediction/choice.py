# SPDX-License-Identifier: Apache-2.0
"""The choice of a predictor: each is tried on the tenant's own last days, against no preload."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from kryonix_cache.reference_impl.demand.series import HOURS_OF_DAY, SECONDS_OF_HOUR
from kryonix_cache.reference_impl.prediction.calibration import Calibration, Trials
from kryonix_cache.reference_impl.prediction.predictors import PREDICTORS, WORDS, Outlook

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from numpy.typing import NDArray

    from kryonix_cache.reference_impl.prediction.history import History

NONE = "none"

PRICE = 0.3
"""What a preload costs, in misses: an item is preloaded where it is likelier than this."""

_LEARNING_HOURS = 2 * HOURS_OF_DAY
_MOST_DAYS = 7
_FEWEST_DAYS = 2
LEAST_HOURS = _LEARNING_HOURS + _FEWEST_DAYS * HOURS_OF_DAY
"""With a shorter history nothing is predicted."""

# Student's 98 % quantile, one-sided, by the number of days that are compared. Not 95 %: the best of
# six predictors would beat `none` by chance alone in one case of five.
_QUANTILES = {2: 15.9, 3: 4.85, 4: 3.48, 5: 3.00, 6: 2.76, 7: 2.61}


@dataclass(frozen=True, slots=True)
class Trial:
    """How a predictor did: misses saved, preloads, and those for nothing; `gains` by day.

    A day's gain are the misses saved less the price of the preloads. `least` is the gain of a day
    that is beyond noise: what is above 0 there beats `none`.
    """

    model: str
    saved: float
    preloads: int
    gains: tuple[float, ...]
    least: float

    @property
    def wasted(self) -> float:
        """Preloads of what nobody asked for in time."""
        return self.preloads - self.saved

    @property
    def gain(self) -> float:
        """The mean gain of a day."""
        return sum(self.gains) / len(self.gains)


@dataclass(frozen=True, slots=True)
class Choice:
    """The model to use, how to read its probabilities, and the back-test that says so.

    `improvement` is the gain of hit rate in the back-test, in points; None without one.
    """

    model: str
    calibration: Calibration
    trials: Mapping[str, Trial] = field(default_factory=dict)
    improvement: float | None = None
    reason: str = ""


def choose(
    history: History,
    *,
    lifetime_s: float,
    budget: int,
    among: Collection[str] = tuple(PREDICTORS),
) -> Choice:
    """Try every predictor on the last days, hour by hour, and return the best one.

    Each hour is predicted from the hours before it, with the calibration of the days before, the
    same budget and the same rule. `none` wins unless another, of the names in `among`, is better
    beyond noise.
    """
    if history.hours < LEAST_HOURS:
        return Choice(NONE, Calibration.none(), reason=_too_little(history))
    if not history.items or budget < 1:
        return Choice(NONE, Calibration.none(), reason=_nothing(history, budget))
    stage = _Stage.of(history, lifetime_s, budget)
    results = {name: stage.play(name) for name in among}
    trials = {name: trial for name, (trial, _) in results.items()}
    better = [name for name, trial in trials.items() if trial.least > 0]
    if not better:
        return Choice(NONE, Calibration.none(), trials, 0.0, _none_wins(trials, stage.days))
    model = max(better, key=lambda name: trials[name].gain)
    saved, reads = trials[model].saved, stage.reads
    return Choice(
        model,
        results[model][1],
        trials,
        100.0 * saved / reads if reads else 0.0,
        _wins(model, trials, stage.days),
    )


def probability(expected: NDArray[np.float64], lifetime_s: float) -> NDArray[np.float64]:
    """Return the chance of a read while a preload lives, within its first hour at most.

    Reads are taken to come independently of each other; the calibration mends what they do not.
    """
    return -np.expm1(-expected * _share_of_hour(lifetime_s))


def within_budget(
    ranks: NDArray[np.float64], worthwhile: NDArray[np.bool_], budget: int
) -> NDArray[np.bool_]:
    """Return which of the worthwhile, items by hours, are the `budget` best of each hour."""
    crowded = np.flatnonzero(worthwhile.sum(axis=0) > budget)
    if not crowded.size:
        return worthwhile
    chosen = worthwhile.copy()
    table = np.where(worthwhile[:, crowded], ranks[:, crowded], -np.inf)
    best = np.argpartition(-table, budget - 1, axis=0)[:budget]
    kept = np.zeros(table.shape, dtype=np.bool_)
    np.put_along_axis(kept, best, values=True, axis=0)
    chosen[:, crowded] = kept
    return chosen


@dataclass(frozen=True, slots=True, eq=False)
class _Stage:
    """The hours of a back-test, and what truly happened in them."""

    outlook: Outlook
    lifetime_s: float
    budget: int
    days: int
    admitted: NDArray[np.bool_]
    asked: NDArray[np.float64]
    happened: NDArray[np.float64]
    """`asked` of what was admitted, flat; `day` are the days of that."""
    day: NDArray[np.int64]
    reads: float

    @classmethod
    def of(cls, history: History, lifetime_s: float, budget: int) -> _Stage:
        days = min(_MOST_DAYS, (history.hours - _LEARNING_HOURS) // HOURS_OF_DAY)
        start = history.hours - days * HOURS_OF_DAY
        counts = history.counts[:, start:]
        admitted = history.admitted_from[:, None] <= np.arange(start, history.hours)
        asked = _asked(counts, _share_of_hour(lifetime_s))
        day = np.broadcast_to(np.arange(counts.shape[1]) // HOURS_OF_DAY, counts.shape)
        return cls(
            Outlook(history, start, history.hours),
            lifetime_s,
            budget,
            days,
            admitted,
            asked,
            asked[admitted],
            day[admitted],
            float(history.volume[start:].sum()),
        )

    def play(self, name: str) -> tuple[Trial, Calibration]:
        expected = PREDICTORS[name](self.outlook)
        stated = probability(expected, self.lifetime_s)
        trials = Trials.count(stated[self.admitted], self.happened, self.day, self.days)
        *before, last = Calibration.fit_each(trials.running)
        worth = [calibration.threshold(PRICE) for calibration in before]
        worthwhile = self.admitted & (stated > np.repeat(worth, HOURS_OF_DAY))
        trial = self._judge(name, within_budget(expected, worthwhile, self.budget))
        return trial, last

    def _judge(self, name: str, chosen: NDArray[np.bool_]) -> Trial:
        saved = np.where(chosen, self.asked, 0.0).sum(axis=0).reshape(self.days, -1).sum(axis=1)
        preloads = chosen.sum(axis=0).reshape(self.days, -1).sum(axis=1)
        gains = saved - PRICE * preloads
        total, right = float(preloads.sum()), float(saved.sum())
        # Days that happen to be alike say nothing about chance: a coin's spread is the least.
        share = (right + 1.0) / (total + 2.0)
        coin = np.sqrt(total * share * (1.0 - share)) / self.days
        error = max(float(gains.std(ddof=1)) / np.sqrt(self.days), float(coin))
        least = float(gains.mean()) - _QUANTILES[self.days] * error
        return Trial(name, right, int(total), tuple(gains.tolist()), least)


def _asked(counts: NDArray[np.float64], share: float) -> NDArray[np.float64]:
    """Return the chance that one of the reads of an hour falls into its first `share`."""
    if share == 1.0:
        return (counts > 0).astype(np.float64)
    return np.where(counts > 0, 1.0 - (1.0 - share) ** counts, 0.0)


def _share_of_hour(lifetime_s: float) -> float:
    return min(max(lifetime_s, 0.0), SECONDS_OF_HOUR) / SECONDS_OF_HOUR


def _too_little(history: History) -> str:
    return (
        f"{history.hours} hours of reads are too few: {LEAST_HOURS} are needed to learn from "
        f"{_LEARNING_HOURS} and to try {_FEWEST_DAYS} days."
    )


def _nothing(history: History, budget: int) -> str:
    if budget < 1:
        return "The budget allows no preload."
    return f"No item was read on two distinct days in {history.hours} hours."


def _wins(model: str, trials: Mapping[str, Trial], days: int) -> str:
    trial = trials[model]
    text = (
        f"In the last {days} days {WORDS[model]} would have saved {trial.saved:.0f} misses, with "
        f"{trial.wasted:.0f} of {trial.preloads} preloads for nothing"
    )
    others = [other for other in trials.values() if other.model != model]
    if not others:
        return f"{text}."
    second = max(others, key=lambda other: other.gain)
    return (
        f"{text}; next best was {WORDS[second.model]} with {second.saved:.0f} saved and "
        f"{second.wasted:.0f} for nothing."
    )


def _none_wins(trials: Mapping[str, Trial], days: int) -> str:
    best = max(trials.values(), key=lambda trial: trial.gain)
    return (
        f"In the last {days} days no predictor was better than no preload beyond noise; the best, "
        f"{WORDS[best.model]}, would have saved {best.saved:.0f} misses, with "
        f"{best.wasted:.0f} of {best.preloads} preloads for nothing."
    )
