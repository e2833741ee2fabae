# SPDX-License-Identifier: Apache-2.0
"""Predictors: each says, from the hours before, how often each item is asked for in an hour.

All of them are weighted sums of past hours, so one predicts a whole range of hours as one product
of matrices. A column of weights is zero from its own hour on: nothing looks ahead.
"""

from __future__ import annotations

from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from kryonix_cache.reference_impl.demand.series import HOURS_OF_DAY

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

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

_PRIOR_DAYS = 0.5
"""So many days speak for an even volume before the hours of the day count."""

_PRIOR_READS = 2.0
"""So many reads speak for an item without a pattern before its own hours count."""

_PRIOR_MEMORY = 0.5
"""How much of an hour's surprise lasts into the next one, before the tenant's own hours tell."""
_PRIOR_SPREAD = 4.0
"""Sum of squared surprises (of the logarithm) after which the tenant's own hours weigh as much."""

_TINY = 1e-12


class Outlook:
    """The columns `start` to `stop` of a history, each seen from the columns before it.

    Column `history.hours` is the hour that follows. The sums that several predictors share are
    made once.
    """

    def __init__(self, history: History, start: int, stop: int) -> None:
        self.history = history
        self.start = start
        self.stop = stop
        # Half the width, a tenth of the time; six digits are more than a forecast has.
        self._counts = history.counts.astype(np.float32)
        self._volume = history.volume

    def shifted(self, lag: int) -> NDArray[np.float64]:
        """Return the reads so many hours earlier, none where that lies before the history."""
        table = np.zeros((self.history.counts.shape[0], self.stop - self.start))
        first = max(self.start, lag)
        if first < self.stop:
            reads = self.history.counts[:, first - lag : self.stop - lag]
            table[:, first - self.start :] = reads
        return table

    @cached_property
    def recent(self) -> NDArray[np.float64]:
        """Mean reads of recent hours."""
        return self._mean(_recent(self.history.hours, self.start, self.stop))

    @cached_property
    def daily(self) -> NDArray[np.float64]:
        """Mean reads of the same hour of earlier days."""
        return self._mean(_daily(self.history.hours, self.start, self.stop))

    @cached_property
    def weekly(self) -> NDArray[np.float64]:
        """Mean reads of the same hour of earlier days of the same kind."""
        return self._mean(self._weekly_weights)

    def bent(self, *, weekly: bool) -> NDArray[np.float64]:
        """Return an item's recent share of the expected volume, bent by its own hours.

        The fewer reads tell of the hours, the less they bend.
        """
        hours, start, stop = self.history.hours, self.start, self.stop
        recent = _recent(hours, start, stop)
        daily = self._weekly_weights if weekly else _daily(hours, start, stop)
        usual = self.recent * _ratio(recent.sum(axis=0), self._volume @ recent)
        there = (self.weekly if weekly else self.daily) * daily.sum(axis=0)
        wanted = usual * (self._volume @ daily)
        bend = (there + _PRIOR_READS) / (wanted + _PRIOR_READS)
        expected: NDArray[np.float64] = (
            volumes(self.history, start, stop, weekly=weekly) * usual * bend
        )
        return expected

    @cached_property
    def _weekly_weights(self) -> NDArray[np.float64]:
        return _weekly(self.history.hours, self.start, self.stop, self.history.first_hour)

    def _mean(self, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        scaled = weights / np.maximum(weights.sum(axis=0), _TINY)
        mean: NDArray[np.float64] = (self._counts @ scaled.astype(np.float32)).astype(np.float64)
        return mean


Predictor: TypeAlias = "Callable[[Outlook], NDArray[np.float64]]"
"""Returns expected reads, items by columns."""


def persistence(outlook: Outlook) -> NDArray[np.float64]:
    """Expect the hour before again."""
    return outlook.shifted(1)


def seasonal(outlook: Outlook) -> NDArray[np.float64]:
    """Expect the same hour of the day before again."""
    return outlook.shifted(HOURS_OF_DAY)


def recency(outlook: Outlook) -> NDArray[np.float64]:
    """Expect the exponentially weighted mean of the hours before."""
    return outlook.recent


def profile(outlook: Outlook) -> NDArray[np.float64]:
    """Expect the decayed mean of the same hour of earlier days, neighbours included."""
    return outlook.daily


def shrunk(outlook: Outlook) -> NDArray[np.float64]:
    """Expect an item's recent share of the volume, bent by its hours as far as its reads tell."""
    return outlook.bent(weekly=False)


def weekly(outlook: Outlook) -> NDArray[np.float64]:
    """Expect the same as `shrunk`, weekdays learnt from weekdays and weekends from weekends."""
    return outlook.bent(weekly=True)


PREDICTORS: Mapping[str, Predictor] = {
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
    history: History, start: int, stop: int, *, weekly: bool = False
) -> NDArray[np.float64]:
    """Return the expected reads of all items in each of the columns.

    The usual logarithm for the hour of day, plus what lasts of the last hour's surprise; how much
    lasts is learnt from the hours before each column.
    """
    hours, begin = history.hours, min(HOURS_OF_DAY, start)
    logs = np.log1p(history.volume)
    usual = _usual(history, logs, begin, stop, weekly=weekly)
    surprise = logs[begin:stop] - usual[: hours - begin]
    before, after = surprise[:-1], surprise[1:]
    # The pair of two hours is known from the column after both.
    products = np.concatenate(([0.0, 0.0], np.cumsum(before * after)))
    squares = np.concatenate(([0.0, 0.0], np.cumsum(before * before)))
    memory = (products + _PRIOR_MEMORY * _PRIOR_SPREAD) / (squares + _PRIOR_SPREAD)
    last = np.concatenate(([0.0], surprise))
    lasting = np.clip(memory[: last.size], 0.0, 1.0) * last
    return np.expm1(np.clip(usual[start - begin :] + lasting[start - begin : stop - begin], 0, 30))


def _usual(
    history: History, logs: NDArray[np.float64], begin: int, stop: int, *, weekly: bool
) -> NDArray[np.float64]:
    hours = history.hours
    recent, daily = _recent(hours, begin, stop), _daily(hours, begin, stop)
    if weekly:
        daily = _weekly(hours, begin, stop, history.first_hour)
    flat = logs @ recent / np.maximum(recent.sum(axis=0), _TINY)
    usual: NDArray[np.float64] = (logs @ daily + _PRIOR_DAYS * flat) / (
        daily.sum(axis=0) + _PRIOR_DAYS
    )
    return usual


def _ratio(above: NDArray[np.float64], below: NDArray[np.float64]) -> NDArray[np.float64]:
    return above / np.maximum(below, _TINY)


@lru_cache(maxsize=64)
def _recent(hours: int, start: int, stop: int) -> NDArray[np.float64]:
    """Return weights (hours, stop - start) that decay with age."""
    age = np.arange(start, stop)[None, :] - np.arange(hours)[:, None]
    return np.where(age > 0, np.exp(-(age - 1) / _RECENCY_HOURS), 0.0)


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


def _weekly(hours: int, start: int, stop: int, first_hour: int) -> NDArray[np.float64]:
    """Return the weights of `_daily`, smaller between weekdays and weekends."""
    day = (np.arange(max(hours, stop)) + first_hour) // HOURS_OF_DAY
    weekend = (day + _EPOCH_WEEKDAY) % _WEEK_DAYS >= _SATURDAY
    same = weekend[:hours, None] == weekend[None, start:stop]
    return _daily(hours, start, stop) * np.where(same, 1.0, _OTHER_DAYS)
