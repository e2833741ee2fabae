# SPDX-License-Identifier: Apache-2.0
"""The contract's families that the tenant handle works with, by the names of its areas."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kryonix_cache.reference_impl.contract import Contract

ANSWERS = "api-cache"
SESSIONS = "mobile-session"
QUEUES = "queue"
CONNECTIONS = "websocket-connection"
CHANNELS = "websocket-channels"
TIMELINE = "perf-timeline"
WARMED = "warming"
PRELOADED = "preload"
ESSENTIALS = "mobile-essentials"
CONFIGURATION = "tenant-config"
BRANDING = "branding"
MODULES = "module-config"
METRICS = "tenant-metrics"
PATTERNS = "usage-patterns"
PREDICTION = "prediction"
REGISTRATION = "sdk-registration"
SDK_SESSIONS = "sdk-session"
SDK_ANALYTICS = "sdk-analytics"
APP = "mobile-app"
APP_ANALYTICS = "app-analytics"

BROADCASTS = "tenant-broadcast"
"""A family of channels."""

_PARTS = {
    ANSWERS: {"tenant", "module", "endpoint"},
    SESSIONS: {"tenant", "session"},
    QUEUES: {"tenant", "queue"},
    CONNECTIONS: {"tenant", "connection"},
    WARMED: {"tenant", "module", "endpoint"},
    PRELOADED: {"tenant", "item"},
    BROADCASTS: {"tenant", "channel"},
}


def serves(contract: Contract, *names: str) -> bool:
    """Say whether the contract has these families, with the parts that the handle gives."""
    parts = {family.name: set(family.parts) for family in contract.families}
    parts |= {channel.name: set(channel.parts) for channel in contract.channels}
    return all(parts.get(name) == _PARTS[name] for name in names)
