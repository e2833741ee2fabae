# SPDX-License-Identifier: Apache-2.0
"""The contract's families that the judges of an optimiser write and read, by their names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kryonix_cache.reference_impl.tenant.families import (
    ANSWERS,
    CONFIGURATION,
    CONNECTIONS,
    ESSENTIALS,
    METRICS,
    PATTERNS,
    PREDICTION,
    PRELOADED,
    QUEUES,
    REGISTRATION,
    SDK_ANALYTICS,
    SESSIONS,
    WARMED,
)

if TYPE_CHECKING:
    from kryonix_cache.reference_impl.contract import Contract

__all__ = [
    "ANALYSIS",
    "ANSWERS",
    "CONFIGURATION",
    "CONNECTIONS",
    "ESSENTIALS",
    "LOCK",
    "METRICS",
    "PATTERNS",
    "PREDICTION",
    "PRELOADED",
    "QUEUES",
    "RECOMMENDATIONS",
    "RECORDS",
    "REGISTRATION",
    "SDK_ANALYTICS",
    "SDK_CONFIG",
    "SESSIONS",
    "WARMED",
    "WRITTEN",
    "unmet",
]

ANALYSIS = "analysis-result"
RECOMMENDATIONS = "applied-recommendations"
LOCK = "optimiser-lock"
SDK_CONFIG = "sdk-config-cache"

RECORDS = (PATTERNS, PREDICTION, RECOMMENDATIONS, ANALYSIS)
"""What an optimiser writes about its work."""

WRITTEN = (ESSENTIALS, PRELOADED, WARMED)
"""What it writes for readers: values of the tenant."""

_NEEDED = (
    *(ANSWERS, CONFIGURATION, CONNECTIONS, METRICS, QUEUES, REGISTRATION, SDK_ANALYTICS),
    *(SDK_CONFIG, SESSIONS, LOCK, *RECORDS, *WRITTEN),
)


def unmet(contract: Contract) -> str | None:
    """Return why no optimiser can be judged by the contract, or None if one can."""
    if contract.optimiser is None:
        return "the contract has no rules for an optimiser"
    names = {family.name for family in contract.families}
    missing = [name for name in _NEEDED if name not in names]
    return f"the contract has no {' and '.join(missing)}" if missing else None
