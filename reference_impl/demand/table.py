# SPDX-License-Identifier: Apache-2.0
"""A table of reads under construction: what the history holds, and what is counted since."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from kryonix_cache.reference_impl.demand.series import Demand

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

_HALF_LIFE_H = 72.0


class Table:
    """Reads of one tenant by item and hour, in a window of hours that ends before `end`.

    Those of the hour `end` are kept apart.
    """

    def __init__(self, end: int, hours: int) -> None:
        self.end = end
        self.start = end - hours
        self._rows: dict[str, NDArray[np.float64]] = {}
        self._cells: dict[str, dict[int, float]] = {}
        self._running: dict[str, float] = {}

    def add(self, item: str, hour: int, count: float) -> bool:
        """Add reads of one hour; say whether it lies in the window."""
        if hour == self.end:
            self._running[item] = self._running.get(item, 0.0) + count
        if not self.start <= hour < self.end:
            return False
        cells = self._cells.setdefault(item, {})
        cells[hour] = cells.get(hour, 0.0) + count
        return True

    def add_row(self, item: str, first_hour: int, counts: NDArray[np.float64]) -> None:
        """Add reads of consecutive hours; those outside of the window are left out."""
        row = np.zeros(self.end - self.start)
        if first_hour <= self.end < first_hour + len(counts):
            self.add(item, self.end, float(counts[self.end - first_hour]))
        begin, stop = max(first_hour, self.start), min(first_hour + len(counts), self.end)
        if begin < stop:
            row[begin - self.start : stop - self.start] = counts[
                begin - first_hour : stop - first_hour
            ]
            self._rows[item] = self._rows[item] + row if item in self._rows else row

    def demand(self, most_items: int) -> Demand:
        """Return at most so many items, those with most reads of late, in the order of names.

        The first hour is the first one that was read in. A read counts half as much for each three
        days that it is old.
        """
        rows = {item: self._row(item) for item in self._heaviest(most_items)}
        used = [hour for row in rows.values() for hour in np.flatnonzero(row)[:1]]
        first = self.start + int(min(used, default=self.end - self.start))
        counts = np.zeros((len(rows), self.end - first))
        for index, row in enumerate(rows.values()):
            counts[index] = row[first - self.start :]
        running = np.array([self._running.get(item, 0.0) for item in rows])
        return Demand(tuple(rows), first, counts, running)

    def _heaviest(self, most_items: int) -> Iterable[str]:
        weights = self._weights()
        ranked = sorted(weights, key=lambda item: (-weights[item], item))
        return sorted(ranked[:most_items])

    def _weights(self) -> Mapping[str, float]:
        ages = self.end - 1 - np.arange(self.start, self.end)
        decay = 0.5 ** (ages / _HALF_LIFE_H)
        weights = {item: float(row @ decay) for item, row in self._rows.items()}
        for item, cells in self._cells.items():
            more = sum(count * decay[hour - self.start] for hour, count in cells.items())
            weights[item] = weights.get(item, 0.0) + float(more)
        return {item: weight for item, weight in weights.items() if weight > 0}

    def _row(self, item: str) -> NDArray[np.float64]:
        row = self._rows.get(item)
        row = np.zeros(self.end - self.start) if row is None else row.copy()
        for hour, count in self._cells.get(item, {}).items():
            row[hour - self.start] += count
        return row
