# SPDX-License-Identifier: Apache-2.0
"""Calibration: what a predictor's probabilities were worth where it was tried."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

BINS = 20
_MIDDLES = (np.arange(BINS) + 0.5) / BINS

_PRIOR_TRIALS = 20.0
"""A bin's own probability stands for so many trials: a bin with few trials stays as it was."""


@dataclass(frozen=True, slots=True, eq=False)
class Trials:
    """Predictions sorted into bins of equal width: how many, their sum, and how many came true.

    The last axis is that of the bins; the ones before it are the caller's, such as days.
    """

    number: NDArray[np.float64]
    predicted: NDArray[np.float64]
    true: NDArray[np.float64]

    @classmethod
    def count(
        cls,
        predicted: NDArray[np.float64],
        true: NDArray[np.float64],
        group: NDArray[np.int64],
        groups: int = 1,
    ) -> Self:
        """Sort predictions, flat arrays of one length, into groups 0, 1, ... and bins."""
        place = group * BINS + np.minimum((predicted * BINS).astype(np.int64), BINS - 1)
        shape, length = (groups, BINS), groups * BINS
        return cls(
            np.bincount(place, minlength=length).reshape(shape).astype(np.float64),
            np.bincount(place, weights=predicted, minlength=length)
            .reshape(shape)
            .astype(np.float64),
            np.bincount(place, weights=true, minlength=length).reshape(shape).astype(np.float64),
        )

    @property
    def running(self) -> Trials:
        """The trials of the groups before each one, and of all as the last."""

        def before(counts: NDArray[np.float64]) -> NDArray[np.float64]:
            sums = np.zeros((counts.shape[0] + 1, BINS))
            np.cumsum(counts, axis=0, out=sums[1:])
            return sums

        return Trials(before(self.number), before(self.predicted), before(self.true))


@dataclass(frozen=True, slots=True, eq=False)
class Calibration:
    """A rising, piecewise linear function from stated to measured probability."""

    stated: NDArray[np.float64]
    measured: NDArray[np.float64]

    @classmethod
    def fit_each(cls, trials: Trials) -> list[Self]:
        """Fit to the trials of each group by itself; without any a probability stands as stated."""
        stated = np.where(
            trials.number > 0, trials.predicted / np.maximum(trials.number, 1.0), _MIDDLES
        )
        weight = trials.number + _PRIOR_TRIALS
        measured = (trials.true + _PRIOR_TRIALS * stated) / weight
        rows = zip(stated, measured, weight, strict=True)
        return [cls(said, _rising(found, heavy)) for said, found, heavy in rows]

    @classmethod
    def none(cls) -> Self:
        """Return the calibration that leaves every probability as it was stated."""
        ends = np.array([0.0, 1.0])
        return cls(ends, ends)

    def apply(self, probability: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return what was measured where so much was stated."""
        result: NDArray[np.float64] = np.interp(probability, self.stated, self.measured)
        return result

    def threshold(self, wanted: float) -> float:
        """Return the stated probability from which on more than `wanted` was measured.

        Above 1 where that never was.
        """
        if self.measured[-1] <= wanted:
            return 2.0
        if self.measured[0] > wanted:
            return 0.0
        # `interp` wants a rising sequence; of a flat step it takes the end.
        return float(np.interp(wanted, self.measured, self.stated))


def _rising(values: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the closest rising sequence, by pooling neighbours that fall."""
    if (values[1:] >= values[:-1]).all():
        return values
    pools: list[tuple[float, float, int]] = []
    for value, weight in zip(values.tolist(), weights.tolist(), strict=True):
        pool = (value, weight, 1)
        while pools and pools[-1][0] >= pool[0]:
            other, heavy, length = pools.pop()
            total = heavy + pool[1]
            pool = ((other * heavy + pool[0] * pool[1]) / total, total, length + pool[2])
        pools.append(pool)
    return np.array([value for value, _, length in pools for _ in range(length)])
