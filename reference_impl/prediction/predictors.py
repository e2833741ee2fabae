# SPDX-License-Identifier: Apache-2.0
"""Predictors: each says, from the hours before, how often each item is asked for in an hour.

All of them are weighted sums of past hours, so one predicts a whole range of hours as one product
of matrices. A column of weights is zero from its own hour on: nothing looks ahead.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Protocol

import numpy as np

from kryonix_cache.reference_impl.demand.series import HOURS_OF_DAY

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from kryonix_cache.reference_impl.prediction.history import History

_WEEK_DAYS = 7
_EPOCH_WEEKDAY = 3  # the first of January 1970 was a Thursday; Monday is 0
_SATURDAY = 5

_RECENCY_HOURS = 48.0
_PROFILE_DAYS = 7.0
_NEIGHBOURS = {-2: 0.1, -1: 0.5, 0: 1.0, 1: 0.5, 2: 0.1}
"""Weights of the hours beside the wanted one: a peak does not keep to the minute."""

_OTHER_DAYS = 0.15
"""Weight of a weekday for a weekend, and the other way round, where the kind of day counts."""

_PRIOR_READS = 2.0
"""So many reads speak for an item without a pattern before its own hours count."""

_PRIOR_MEMORY = 0.5
"""How much of an hour's surprise lasts into the next one, before the tenant's own hours tell."""
_PRIOR_SPREAD = 4.0
"""Sum of squared surprises (of the logarithm) after which the tenant's own hours weigh as much."""


class Predictor(Protocol):
    """Returns expected reads, shape (items, stop - start), of the columns from `start` to `stop`.

    Column `hours` is the hour that follows the history.
    """

    def __call__(self, history: History, start: int, stop: int) -> NDArray[np.float64]:
        """Predict each column from those before it."""
        ...


def persistence(history: History, start: int, stop: int) -> NDArray[np.float64]:
    """Expect the hour before again."""
    return _shifted(history.counts, 1, start, stop)


def seasonal(history: History, start: int, stop: int) -> NDArray[np.float64]:
    """Expect the same hour of the day before again."""
    return _shifted(history.counts, HOURS_OF_DAY, start, stop)


def recency(history: History, start: int, stop: int) -> NDArray[np.float64]:
    """Expect the exponentially weighted mean of the hours before."""
    weights = _recent(history.hours, start, stop)
    return history.counts @ (weights / np.maximum(weights.sum(axis=0), 1e-12))


def profile(history: History, start: int, stop: int) -> NDArray[np.float64]:
    """Expect the decayed mean of the same hour of earlier days, neighbours included."""
    weights = _daily(history.hours, start, stop)
    return history.counts @ (weights / np.maximum(weights.sum(axis=0), 1e-12))


def shrunk(history: History, start: int, stop: int) -> NDArray[np.float64]:
    """Expect an item's recent share, as far as its reads tell bent by its hours, of the volume."""
    return _bent(history, start, stop, None)


def weekly(history: History, start: int, stop: int) -> NDArray[np.float64]:
    """Expect the same as `shrunk`, weekdays learnt from weekdays and weekends from weekends."""
    return _bent(history, start, stop, history.first_hour % (HOURS_OF_DAY * _WEEK_DAYS))


PREDICTORS: dict[str, Predictor] = {
    "persistence": persistence,
    "recency": recency,
    "seasonal": seasonal,
    "profile": profile,
    "shrunk": shrunk,
    "weekly": weekly,
}
"""The candidates of the back-test beside `none`."""

WORDS = {
    "none": "no preload",
    "persistence": "the hour before",
    "recency": "the mean of recent hours",
    "seasonal": "the same hour of the day before",
    "profile": "the hour-of-day profile",
    "shrunk": "the hour-of-day profile shrunk to recent reads",
    "weekly": "the profile of weekdays and weekends shrunk to recent reads",
}


def volumes(
    history: History, start: int, stop: int, phase: int | None = None
) -> NDArray[np.float64]:
    """Return the expected reads of all items in each of the columns.

    The usual logarithm for the hour of day, plus what lasts of the last hour's surprise; how much
    lasts is learnt from the hours before each column.
    """
    hours = history.hours
    logs = np.log1p(history.volume)
    begin = min(HOURS_OF_DAY, start)
    weights = _daily_of(hours, begin, stop, phase)
    totals = weights.sum(axis=0)
    recent = _recent(hours, begin, stop)
    flat = logs @ recent / np.maximum(recent.sum(axis=0), 1e-12)
    usual = (logs @ weights + 0.5 * flat) / (totals + 0.5)
    surprise = logs[begin:stop] - usual[: hours - begin]
    before, after = surprise[:-1], surprise[1:]
    products = np.concatenate(([0.0, 0.0], np.cumsum(before * after)))
    squares = np.concatenate(([0.0, 0.0], np.cumsum(before * before)))
    memory = np.clip(
        (products + _PRIOR_MEMORY * _PRIOR_SPREAD) / (squares + _PRIOR_SPREAD), 0.0, 1.0
    )
    last = np.concatenate(([0.0], surprise))
    known = usual[start - begin :] + (memory[: last.size] * last)[start - begin : stop - begin]
    return np.expm1(np.clip(known, 0.0, 30.0))


def _bent(history: History, start: int, stop: int, phase: int | None) -> NDArray[np.float64]:
    recent = _recent(history.hours, start, stop)
    daily = _daily_of(history.hours, start, stop, phase)
    share = history.counts @ recent / np.maximum(history.volume @ recent, 1e-12)
    there, wanted = history.counts @ daily, share * (history.volume @ daily)
    bend = (there + _PRIOR_READS) / (wanted + _PRIOR_READS)
    return volumes(history, start, stop, phase) * share * bend


def _shifted(counts: NDArray[np.float64], lag: int, start: int, stop: int) -> NDArray[np.float64]:
    table = np.zeros((counts.shape[0], stop - start))
    first = max(start, lag)
    table[:, first - start :] = counts[:, first - lag : stop - lag]
    return table


@lru_cache(maxsize=64)
def _recent(hours: int, start: int, stop: int) -> NDArray[np.float64]:
    """Return weights (hours, stop - start) that decay with age."""
    age = np.arange(start, stop)[None, :] - np.arange(hours)[:, None]
    return np.where(age > 0, np.exp(-(age - 1) / _RECENCY_HOURS), 0.0)


def _daily_of(hours: int, start: int, stop: int, phase: int | None) -> NDArray[np.float64]:
    """Return the weights of `_daily`, smaller between weekdays and weekends.

    `phase` is the first column's hour of the week since the epoch, None where days are alike.
    """
    weights = _daily(hours, start, stop)
    if phase is None:
        return weights
    weekend = _weekend(np.arange(stop) + phase)
    same = weekend[:hours, None] == weekend[None, start:]
    return weights * np.where(same, 1.0, _OTHER_DAYS)


@lru_cache(maxsize=64)
def _daily(hours: int, start: int, stop: int) -> NDArray[np.float64]:
    """Return weights (hours, stop - start) of the same hour of earlier days, and its neighbours."""
    age = np.arange(start, stop)[None, :] - np.arange(hours)[:, None]
    days = np.rint(age / HOURS_OF_DAY)
    beside = age - days * HOURS_OF_DAY
    near = np.zeros(age.shape)
    for offset, weight in _NEIGHBOURS.items():
        near[beside == offset] = weight
    return np.where((age > 0) & (days > 0), near * np.exp(-(days - 1) / _PROFILE_DAYS), 0.0)


def _weekend(hour: NDArray[np.int64]) -> NDArray[np.bool_]:
    return (hour // HOURS_OF_DAY + _EPOCH_WEEKDAY) % _WEEK_DAYS >= _SATURDAY
