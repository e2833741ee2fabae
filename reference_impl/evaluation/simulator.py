# SPDX-License-Identifier: Apache-2.0
"""A simulated cache with times to live: the same requests, preloaded by one arm or another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from kryonix_cache.reference_impl.demand.series import SECONDS_OF_HOUR
from kryonix_cache.reference_impl.prediction.choice import PRICE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from kryonix_cache.reference_impl.evaluation.arms import Plan, Setting
    from kryonix_cache.reference_impl.evaluation.workload import Workload

WARM_SHARE = 0.5
"""What still lives for this share of the time to live is warm and not preloaded."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one arm did in the hours that are judged.

    `useful` are preloads that were asked for while they lived. `origin_loads` are all loads, those
    that a user waited for and those that nobody did.
    """

    requests: int
    misses: int
    preloads: int
    useful: int

    @property
    def hit_rate(self) -> float:
        """Hits in percent of the requests; 0 without any."""
        return 100.0 * (self.requests - self.misses) / self.requests if self.requests else 0.0

    @property
    def origin_loads(self) -> int:
        """Misses and preloads."""
        return self.misses + self.preloads

    @property
    def useful_share(self) -> float | None:
        """Useful preloads in percent; None without any preload."""
        return 100.0 * self.useful / self.preloads if self.preloads else None

    @property
    def cost(self) -> float:
        """Misses, and preloads at their price."""
        return self.misses + PRICE * self.preloads

    def __add__(self, other: Outcome) -> Outcome:
        return Outcome(
            self.requests + other.requests,
            self.misses + other.misses,
            self.preloads + other.preloads,
            self.useful + other.useful,
        )


class _Cache:
    """Expiries by item, in hours since the start of the workload."""

    def __init__(self, items: int, lifetime: float) -> None:
        self._expiry = np.full(items, -np.inf)
        self._until = np.full(items, -np.inf)
        self._lifetime = lifetime
        self.preloads = 0
        self.useful = 0

    def preload(self, wanted: NDArray[np.int64], now: float) -> None:
        """Load what is not warm."""
        # Not `>`: a preload of the hour before would be taken for cold for ever.
        cold = wanted[self._expiry[wanted] - now < WARM_SHARE * self._lifetime]
        self._expiry[cold] = now + self._lifetime
        self._until[cold] = now + self._lifetime
        self.preloads += cold.size

    def serve(self, item: NDArray[np.int64], at: NDArray[np.float64]) -> int:
        """Serve requests in the order of their time and return how many missed."""
        live = at < self._until[item]
        asked = np.unique(item[live])
        self.useful += asked.size
        self._until[asked] = -np.inf
        misses = 0
        cold = at >= self._expiry[item]
        while cold.any():
            item, at = item[cold], at[cold]
            loaded, first = np.unique(item, return_index=True)
            self._expiry[loaded] = at[first] + self._lifetime
            misses += loaded.size
            cold = at >= self._expiry[item]
        return misses


def simulate(workload: Workload, plan: Plan, setting: Setting, hours: Iterable[int]) -> Outcome:
    """Play consecutive hours; the cache is empty before the first one."""
    cache = _Cache(len(workload.items), setting.lifetime_s / SECONDS_OF_HOUR)
    requests = misses = 0
    for hour in hours:
        cache.preload(plan.wanted[hour][: setting.budget], float(hour))
        span = slice(*workload.edges[hour : hour + 2].tolist())
        requests += span.stop - span.start
        misses += cache.serve(workload.item[span], workload.at[span])
    return Outcome(requests, misses, cache.preloads, cache.useful)
