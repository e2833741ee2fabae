# SPDX-License-Identifier: Apache-2.0
"""Demand as a table: one row for each item, one column for each hour."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SECONDS_OF_HOUR = 3600
HOURS_OF_DAY = 24


@dataclass(frozen=True, slots=True, eq=False)
class Demand:
    """The reads of one tenant.

    `counts` has the shape (items, hours) and holds how often each item was read; sampled counts
    are scaled up, so they may be fractions. `first_hour` is the hour of the first column, in whole
    hours since 1970 (UTC). An item of a family is named `<family>:<item>`, as the contract's
    format `access` has it: `api-cache:crm.dashboard`. `running` are the reads so far of the hour
    that follows the table, by item; None where nobody looked.
    """

    items: tuple[str, ...]
    first_hour: int
    counts: NDArray[np.float64]
    running: NDArray[np.float64] | None = None

    @property
    def hours(self) -> int:
        """How many hours the table covers."""
        return int(self.counts.shape[1])

    @property
    def next_hour(self) -> int:
        """The first hour after the table."""
        return self.first_hour + self.hours
