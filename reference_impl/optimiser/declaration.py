# SPDX-License-Identifier: Apache-2.0
"""The families that the optimiser writes, and the one whose expiry it moves."""

from __future__ import annotations

from kryonix_cache.reference_impl.optimiser.records import APPLIED, RESULT
from kryonix_cache.reference_impl.tenant.families import (
    ANSWERS,
    ESSENTIALS,
    PATTERNS,
    PREDICTION,
    PRELOADED,
    WARMED,
)

WRITES = frozenset(
    {
        PATTERNS,
        PREDICTION,
        RESULT,
        APPLIED,
        ESSENTIALS,
        PRELOADED,
        WARMED,
        "value-sightings",
        "access-counters",
        "access-history",
        "optimiser-lock",
        "optimisation-trail",
    }
)
PROLONGS = frozenset({ANSWERS})
"""Their values are the application's: the optimiser lets them live longer and changes nothing."""
