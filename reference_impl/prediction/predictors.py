# SPDX-License-Identifier: Apache-2.0
"""Predictors: each says, from the hours before, how often each item is asked for in an hour.

All of them are weighted sums of past hours, so one predicts a whole range of hours at once; each
sum takes hours before its own only. Products of matrices would be shorter to write, but they start
threads, and those cost more than they gain on a machine that is busy.
"""

from __future__ import annotations

from functools import cached_property
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
_REACH = max(_NEIGHBOURS)

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
        # The last two rows give shares and means: they are the same sums, of all reads and of one.
        self._rows = np.vstack((history.counts, history.volume, np.ones(history.hours)))

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
        return _mean(self._recent)

    @cached_property
    def daily(self) -> NDArray[np.float64]:
        """Mean reads of the same hour of earlier days."""
        return _mean(self._daily)

    def bent(self, *, weekly: bool) -> NDArray[np.float64]:
        """Return an item's recent share of the expected volume, bent by its own hours.

        The fewer reads tell of the hours, the less they bend.
        """
        share = self._recent[:-2] / np.maximum(self._recent[-2], _TINY)
        daily = self._weekly if weekly else self._daily
        bend = (daily[:-2] + _PRIOR_READS) / (share * daily[-2] + _PRIOR_READS)
        expected = volumes(self.history, self.start, self.stop, weekly=weekly)
        result: NDArray[np.float64] = expected * share * bend
        return result

    @cached_property
    def _recent(self) -> NDArray[np.float64]:
        return _recent_sums(self._rows, self.start, self.stop)

    @cached_property
    def _daily(self) -> NDArray[np.float64]:
        return _daily_sums(self._near, self.start, self.stop)

    @cached_property
    def _weekly(self) -> NDArray[np.float64]:
        return _daily_sums(self._near, self.start, self.stop, self.history.first_hour)

    @cached_property
    def _near(self) -> NDArray[np.float64]:
        return _with_neighbours(self._rows)


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
    rows = np.vstack((logs, np.ones(history.hours)))
    recent = _recent_sums(rows, begin, stop)
    first_hour = history.first_hour if weekly else None
    daily = _daily_sums(_with_neighbours(rows), begin, stop, first_hour)
    flat = recent[0] / np.maximum(recent[1], _TINY)
    usual: NDArray[np.float64] = (daily[0] + _PRIOR_DAYS * flat) / (daily[1] + _PRIOR_DAYS)
    return usual


def _mean(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    mean: NDArray[np.float64] = sums[:-2] / np.maximum(sums[-1], _TINY)
    return mean


def _recent_sums(rows: NDArray[np.float64], start: int, stop: int) -> NDArray[np.float64]:
    """Return for each column the sums of those before it, decayed with age."""
    # A history is short enough for weights that grow with time: at most e to the seventh.
    grown = np.exp(np.arange(rows.shape[1]) / _RECENCY_HOURS)
    sums = np.zeros((rows.shape[0], rows.shape[1] + 1))
    np.cumsum(rows * grown, axis=1, out=sums[:, 1:])
    return sums[:, start:stop] * np.exp((1 - np.arange(start, stop)) / _RECENCY_HOURS)


def _with_neighbours(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return each hour with a part of those beside it, from `_REACH` hours before the first on."""
    hours = rows.shape[1]
    near = np.zeros((rows.shape[0], hours + 2 * _REACH))
    for offset, weight in _NEIGHBOURS.items():
        near[:, _REACH + offset : _REACH + offset + hours] += weight * rows
    return near[:, : hours + _REACH]


def _daily_sums(
    near: NDArray[np.float64], start: int, stop: int, first_hour: int | None = None
) -> NDArray[np.float64]:
    """Return for each column the sums of the same hour of earlier days, decayed with age.

    With the hour of the first column, days of another kind count less.
    """
    weekend = None if first_hour is None else _weekends(first_hour, stop)
    sums = np.zeros((near.shape[0], stop - start))
    for age in range(1, (stop - 1 + _REACH) // HOURS_OF_DAY + 1):
        first, last = max(start - age * HOURS_OF_DAY, -_REACH), stop - age * HOURS_OF_DAY
        skipped = first - (start - age * HOURS_OF_DAY)
        past = near[:, first + _REACH : last + _REACH] * np.exp((1 - age) / _PROFILE_DAYS)
        if weekend is not None:
            alike = weekend[first + _REACH : last + _REACH] == weekend[start + skipped + _REACH :]
            past *= np.where(alike, 1.0, _OTHER_DAYS)
        sums[:, skipped:] += past
    return sums


def _weekends(first_hour: int, stop: int) -> NDArray[np.bool_]:
    """Return which hours lie in a weekend, from `_REACH` hours before the first on."""
    day = (np.arange(-_REACH, stop) + first_hour) // HOURS_OF_DAY
    weekend: NDArray[np.bool_] = (day + _EPOCH_WEEKDAY) % _WEEK_DAYS >= _SATURDAY
    return weekend
