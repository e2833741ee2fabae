# SPDX-License-Identifier: Apache-2.0
"""Optimisers, judged by what their predictions are worth to readers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from kryonix_cache.conformance.optimising.replay import Replay

if TYPE_CHECKING:
    from kryonix_cache.conformance.evidence import Evidence
    from kryonix_cache.conformance.optimising.scene import Scene


@pytest.mark.requirement("optimiser.prediction-value")
def test_preloading_helps_readers_with_habits_and_burdens_no_source(
    scene: Scene, evidence: Evidence
) -> None:
    """Requests are replayed hour by hour; confidence says how often a prediction is right."""
    replay = Replay(scene)
    replay.play()
    replay.judge()
    evidence.settle()
