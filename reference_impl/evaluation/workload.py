# SPDX-License-Identifier: Apache-2.0
"""A workload: single requests in the order of their time, which every arm is shown alike."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from kryonix_cache.reference_impl.demand.series import (
    HOURS_OF_DAY,
    SECONDS_OF_HOUR,
    Demand,
)
from kryonix_cache.reference_impl.evaluation.errors import LogTooLargeError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from kryonix_cache.reference_impl.demand.logs import Access

MOST_REQUESTS = 4_000_000
"""A longer workload is thinned to about so many requests, and says so."""

_MOST_CELLS = 40_000_000


@dataclass(frozen=True, slots=True, eq=False)
class Workload:
    """Requests of one tenant.

    `item` are indexes into `items`; `at` are hours since the start of `first_hour`, rising;
    `edges[h]` is the first request of hour h. `rates` are the true rates by item and hour, which
    only a generator knows. `synthetic` says what of it was made up, empty for nothing.
    """

    name: str
    items: tuple[str, ...]
    first_hour: int
    item: NDArray[np.int64]
    at: NDArray[np.float64]
    edges: NDArray[np.int64]
    demand: Demand
    rates: NDArray[np.float32] | None
    synthetic: str
    notes: tuple[str, ...] = ()

    @property
    def hours(self) -> int:
        """How many hours it covers."""
        return self.edges.size - 1


def assemble(
    name: str,
    items: tuple[str, ...],
    *,
    first_hour: int,
    hours: int,
    item: NDArray[np.int64],
    at: NDArray[np.float64],
    rates: NDArray[np.float32] | None = None,
    synthetic: str = "",
    notes: tuple[str, ...] = (),
) -> Workload:
    """Put requests in any order into the order of their time, and count them by hour."""
    order = np.argsort(at, kind="stable")
    item, at = item[order], at[order]
    edges = np.searchsorted(at, np.arange(hours + 1))
    place = item * hours + at.astype(np.int64)
    counts = np.bincount(place, minlength=len(items) * hours).reshape(len(items), hours)
    demand = Demand(items, first_hour, counts.astype(np.float64))
    return Workload(name, items, first_hour, item, at, edges, demand, rates, synthetic, notes)


def from_accesses(name: str, accesses: Iterable[Access]) -> Workload:
    """Make a workload of the reads of one tenant; there must be at least one.

    An access that stands for several reads is taken for so many at the same moment.

    Raises:
        LogTooLargeError: it names more items and hours than a table of them can hold.

    """
    names: dict[str, int] = {}
    rows = [
        (
            names.setdefault(f"{access.family}:{access.item}", len(names)),
            access.at.timestamp() / SECONDS_OF_HOUR,
            max(1, round(access.count)),
        )
        for access in accesses
    ]
    first = int(min(row[1] for row in rows))
    hours = int(max(row[1] for row in rows)) - first + 1
    if len(names) * hours > _MOST_CELLS:
        raise LogTooLargeError(name, len(names), hours)
    number, notes = _thinned(np.array([row[2] for row in rows], dtype=np.float64))
    item = np.repeat(np.array([row[0] for row in rows], dtype=np.int64), number)
    at = np.repeat(np.array([row[1] for row in rows]), number) - first
    return assemble(
        name, tuple(names), first_hour=first, hours=hours, item=item, at=at, notes=notes
    )


def _thinned(number: NDArray[np.float64]) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    total = float(number.sum())
    if total <= MOST_REQUESTS:
        return number.astype(np.int64), ()
    kept = MOST_REQUESTS / total
    thinned = np.random.default_rng(0).poisson(number * kept).astype(np.int64)
    return thinned, (f"thinned to {kept:.2%} of its requests",)


def shuffle_hours(workload: Workload, seed: int) -> Workload:
    """Return the same requests with the hours of each day in an order of chance.

    Volume and popularity of a day stay; what an hour of the day tells is gone.
    """
    chance = np.random.default_rng([seed, workload.first_hour])
    whole = workload.hours // HOURS_OF_DAY * HOURS_OF_DAY
    days = np.arange(whole).reshape(-1, HOURS_OF_DAY)
    moved = np.arange(workload.hours)
    moved[:whole] = chance.permuted(days, axis=1).ravel()
    hour = workload.at.astype(np.int64)
    at = moved[hour] + (workload.at - hour)
    rates = workload.rates
    if rates is not None:
        turned = np.empty_like(rates)
        turned[:, moved] = rates
        rates = turned
    mixed = assemble(
        workload.name,
        workload.items,
        first_hour=workload.first_hour,
        hours=workload.hours,
        item=workload.item,
        at=at,
    )
    return replace(mixed, rates=rates, synthetic=workload.synthetic, notes=workload.notes)
