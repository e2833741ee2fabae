# SPDX-License-Identifier: Apache-2.0
"""The analysis of one tenant: the specification's six sections, each figure with its source.

None stands for what is unknown: no rule fires on it, and no record names a figure for it (E13).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kryonix_cache.reference_impl.prediction.model import Forecast

Lifetime = Literal["short", "medium", "long"]
"""Time to live under 300 s, under 1800 s, and from there on."""


@dataclass(frozen=True, slots=True)
class MobileUse:
    """Sessions and connections: `share_percent` of users with a mobile one, 0 to 100 (E13)."""

    sessions: int
    active_sessions: int
    platforms: Mapping[str, int]
    users: int
    mobile_users: int
    share_percent: float | None


@dataclass(frozen=True, slots=True)
class ApiUse:
    """Cached answers by module and by remaining time to live."""

    answers: int
    modules: Mapping[str, int]
    lifetimes: Mapping[Lifetime, int]


@dataclass(frozen=True, slots=True)
class CacheEfficiency:
    """The tenant's measured figures; `score` is 0 to 100, None unless both its parts are known."""

    hit_rate_percent: float | None
    response_ms: float | None
    api_calls: int | None
    score: float | None


@dataclass(frozen=True, slots=True)
class BusinessContext:
    """What the configuration says of the business."""

    sector: str | None
    timezone: str | None
    operating_days: int | None
    business_hours: Mapping[str, object] | None
    notification_preferences: Mapping[str, object] | None


@dataclass(frozen=True, slots=True)
class SdkUse:
    """Registration and use of the SDK."""

    modules: tuple[str, ...] | None
    subscription: str | None
    requests: int | None
    most_used_endpoint: str | None
    error_rate_percent: float | None

    @property
    def healthy(self) -> bool | None:
        """Whether fewer than one request in a hundred fails; None if that is unknown."""
        return None if self.error_rate_percent is None else self.error_rate_percent < 1


@dataclass(frozen=True, slots=True)
class Analysis:
    """The six sections; `sources` says for each figure, as `cache.hit_rate_percent`, its key."""

    mobile: MobileUse
    api: ApiUse
    cache: CacheEfficiency
    business: BusinessContext
    sdk: SdkUse
    forecast: Forecast
    peak_hours: tuple[int, ...]
    sources: Mapping[str, str] = field(default_factory=dict)
