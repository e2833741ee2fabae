# SPDX-License-Identifier: Apache-2.0
"""Calibration: stated probabilities become measured ones."""

from __future__ import annotations

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from kryonix_cache.conformance.model.programs import SETTINGS
from kryonix_cache.reference_impl.prediction.calibration import BINS, Calibration, Trials


def calibrated(stated: np.ndarray, true: np.ndarray) -> Calibration:
    trials = Trials.count(stated, true, np.zeros(stated.size, dtype=np.int64))
    return Calibration.fit_each(trials.running)[1]


def test_what_promises_too_much_is_corrected() -> None:
    chance = np.random.default_rng(1)
    stated = chance.random(50_000)
    true = (chance.random(50_000) < stated / 2).astype(np.float64)
    apply = calibrated(stated, true).apply
    for value in (0.2, 0.5, 0.9):
        assert apply(np.array([value]))[0] == pytest.approx(value / 2, abs=0.03)


def test_a_few_trials_change_little() -> None:
    one = calibrated(np.array([0.82]), np.array([0.0]))
    assert one.apply(np.array([0.82]))[0] == pytest.approx(0.82, abs=0.06)


@SETTINGS
@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), max_size=80), st.floats(0.01, 0.99))
def test_a_calibration_rises_and_stays_a_probability(
    trials: list[tuple[float, bool]], wanted: float
) -> None:
    stated = np.array([row[0] for row in trials])
    fitted = calibrated(stated, np.array([float(row[1]) for row in trials]))
    values = fitted.apply(np.linspace(0, 1, 201))
    assert (np.diff(values) >= -1e-12).all()
    assert values.min() >= 0
    assert values.max() <= 1
    threshold = fitted.threshold(wanted)
    if threshold <= 1:
        assert fitted.apply(np.array([threshold + 1e-6]))[0] >= wanted - 1e-9
    assert fitted.stated.size == BINS
