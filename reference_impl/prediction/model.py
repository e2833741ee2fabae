# SPDX-License-Identifier: Apache-2.0
"""What a prediction says: which items the next hour asks for, how sure that is, and why."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Predicted:
    """One item that is expected to be asked for.

    `expected` are requests in the hour; `probability` is that of at least one; `reason` explains
    it in words, with the figures it rests on.
    """

    item: str
    expected: float
    probability: float
    reason: str


@dataclass(frozen=True, slots=True)
class Forecast:
    """The prediction of one tenant for one hour (in whole hours since 1970, UTC).

    `model` names the predictor that won the back-test, or `none`. `items` are worth preloading,
    the likeliest first. `requests` are those of the whole hour, None where that is unknown.
    `confidence` is the mean probability of the items as calibrated by the back-test, 0 where
    nothing is predicted. `improvement` is the gain of hit rate in the back-test, in points; None
    without one. `reason` says why this model, or why none.
    """

    model: str
    hour: int
    items: tuple[Predicted, ...]
    requests: float | None
    confidence: float
    improvement: float | None
    reason: str
