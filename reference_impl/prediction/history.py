# SPDX-License-Identifier: Apache-2.0
"""What a prediction may look at: the reads before one hour, cleaned, as a table of fixed extent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from kryonix_cache.reference_impl.demand.series import HOURS_OF_DAY

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from kryonix_cache.reference_impl.demand.series import Demand

WINDOW_HOURS = 14 * HOURS_OF_DAY
"""How far back anything looks."""

MOST_ITEMS = 512
"""So many items are looked at, the most read first; the cost of a forecast is bounded by it."""

_MOST_READS = 1e12
"""Larger counts are taken for this one: sums and squares of them stay finite."""


@dataclass(frozen=True, slots=True, eq=False)
class History:
    """Reads by item and hour, up to but not including one hour.

    The last column is the hour before `hour`; the first is the first hour with a read, at most
    `WINDOW_HOURS` earlier. `volume` are the reads of each hour, those of left out items included.
    `admitted_from[i]` is the first column at which item i had been seen on two distinct days; one
    past the end for an item that never was.
    """

    items: tuple[str, ...]
    hour: int
    counts: NDArray[np.float64]
    volume: NDArray[np.float64]
    admitted_from: NDArray[np.int64]

    @property
    def hours(self) -> int:
        """How many hours lie before `hour`."""
        return int(self.counts.shape[1])

    @property
    def first_hour(self) -> int:
        """The hour of the first column."""
        return self.hour - self.hours

    def followed_by(self, reads: NDArray[np.float64], volume: float) -> History:
        """Return the history with one column more: reads of these items in `hour`, and of all."""
        return History(
            self.items,
            self.hour + 1,
            np.hstack((self.counts, reads[:, None])),
            np.append(self.volume, volume),
            self.admitted_from,
        )


def look_back(demand: Demand, hour: int) -> History:
    """Return what was known of the demand before `hour`.

    Counts that are no number, or negative, are taken for no read. Hours between the table's end
    and `hour` are hours without a read.
    """
    counts = _window(demand, hour)
    volume = counts.sum(axis=0)
    read = np.flatnonzero(volume)
    first = int(read[0]) if read.size else counts.shape[1]
    counts, volume = counts[:, first:], volume[first:]
    admitted = _admitted_from(counts, hour)
    kept = np.flatnonzero(admitted < counts.shape[1] + 1)
    if kept.size > MOST_ITEMS:
        order = np.argsort(-counts[kept].sum(axis=1), kind="stable")
        kept = np.sort(kept[order[:MOST_ITEMS]])
    return History(
        tuple(demand.items[index] for index in kept),
        hour,
        np.ascontiguousarray(counts[kept]),
        volume,
        admitted[kept],
    )


def running_reads(demand: Demand, history: History) -> tuple[NDArray[np.float64], float]:
    """Return the reads so far of the hour after the table: those of the history's items, of all."""
    if demand.running is None or demand.running.shape != (len(demand.items),):
        return np.zeros(len(history.items)), 0.0
    with np.errstate(invalid="ignore"):
        reads = np.where(demand.running > 0, np.minimum(demand.running, _MOST_READS), 0.0)
    of = dict(zip(demand.items, reads.tolist(), strict=True))
    return np.array([of[item] for item in history.items]), float(reads.sum())


def _window(demand: Demand, hour: int) -> NDArray[np.float64]:
    """Return the last hours before `hour`, padded where the table ends earlier."""
    counts = np.asarray(demand.counts, dtype=np.float64)
    if counts.ndim != 2 or counts.shape[0] != len(demand.items):  # noqa: PLR2004 (items, hours)
        return np.zeros((0, 0))
    start = max(hour - WINDOW_HOURS, demand.first_hour)
    if start >= hour:
        return np.zeros((counts.shape[0], 0))
    known = counts[:, start - demand.first_hour : max(hour - demand.first_hour, 0)]
    table = np.zeros((counts.shape[0], hour - start))
    with np.errstate(invalid="ignore"):
        table[:, : known.shape[1]] = np.where(known > 0, np.minimum(known, _MOST_READS), 0.0)
    return table


def _admitted_from(counts: NDArray[np.float64], hour: int) -> NDArray[np.int64]:
    items, hours = counts.shape
    if not items or not hours:
        return np.full(items, hours + 1, dtype=np.int64)
    seen = counts > 0
    day = (np.arange(hours) + hour - hours) // HOURS_OF_DAY
    first_day = day[seen.argmax(axis=1)]
    again = seen & (day[None, :] > first_day[:, None])
    admitted: NDArray[np.int64] = np.where(again.any(axis=1), again.argmax(axis=1) + 1, hours + 1)
    return admitted
