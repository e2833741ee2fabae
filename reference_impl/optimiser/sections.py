# SPDX-License-Identifier: Apache-2.0
"""The six sections of a tenant's analysis, made of facts, figures and demand.

Pure functions: what they are not given stays unknown, and no constant takes its place (E13, E17).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, cast

from kryonix_cache.reference_impl.contract.keys import glob_of
from kryonix_cache.reference_impl.demand.series import HOURS_OF_DAY
from kryonix_cache.reference_impl.optimiser.analysis import (
    Analysis,
    ApiUse,
    BusinessContext,
    CacheEfficiency,
    MobileUse,
    SdkUse,
)
from kryonix_cache.reference_impl.optimiser.report import Problem
from kryonix_cache.reference_impl.tenant.families import (
    ANSWERS,
    CONFIGURATION,
    CONNECTIONS,
    METRICS,
    REGISTRATION,
    SDK_ANALYTICS,
    SESSIONS,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kryonix_cache.reference_impl.contract import Contract
    from kryonix_cache.reference_impl.demand.series import Demand
    from kryonix_cache.reference_impl.optimiser.facts import TenantFacts
    from kryonix_cache.reference_impl.optimiser.figures import Figure, Figures
    from kryonix_cache.reference_impl.prediction.model import Forecast

SLOWEST_MS = 200
"""A mean answer as slow as this adds nothing to the score."""

PEAK = 1.5
"""An hour of the day is a peak from so many times the mean hour on."""

_LEAST_DAYS = 2
_HALF = 50
_DAYS_OF_WEEK = 7
_PLACES: Mapping[str, tuple[str, str]] = {
    "cache.hit_rate_percent": (METRICS, "cache_hit_rate"),
    "cache.response_ms": (METRICS, "avg_response_time"),
    "cache.api_calls": (METRICS, "api_calls_today"),
    "business.sector": (CONFIGURATION, "business_sector"),
    "business.timezone": (CONFIGURATION, "timezone"),
    "business.business_hours": (CONFIGURATION, "business_hours"),
    "business.operating_days": (CONFIGURATION, "business_hours"),
    "business.notification_preferences": (CONFIGURATION, "notification_preferences"),
    "sdk.modules": (REGISTRATION, "modules_enabled"),
    "sdk.subscription": (REGISTRATION, "subscription_status"),
    "sdk.requests": (SDK_ANALYTICS, "total_requests_today"),
    "sdk.most_used_endpoint": (SDK_ANALYTICS, "most_used_endpoint"),
    "sdk.error_rate_percent": (SDK_ANALYTICS, "error_rate"),
}
_COUNTED: Mapping[str, tuple[str, ...]] = {
    "mobile.sessions": (SESSIONS,),
    "mobile.active_sessions": (SESSIONS,),
    "mobile.platforms": (SESSIONS,),
    "mobile.users": (SESSIONS, CONNECTIONS),
    "mobile.mobile_users": (SESSIONS, CONNECTIONS),
    "mobile.share_percent": (SESSIONS, CONNECTIONS),
    "api.answers": (ANSWERS,),
    "api.modules": (ANSWERS,),
    "api.lifetimes": (ANSWERS,),
}


def analyse(
    contract: Contract, facts: TenantFacts, figures: Figures, demand: Demand, forecast: Forecast
) -> tuple[Analysis, tuple[Problem, ...]]:
    """Return the analysis of a tenant, and what could not be used for it."""
    business, problems = _business(figures)
    analysis = Analysis(
        mobile=_mobile(facts),
        api=ApiUse(facts.answers, facts.modules, facts.lifetimes),
        cache=_cache(figures),
        business=business,
        sdk=_sdk(figures),
        forecast=forecast,
        peak_hours=peak_hours(demand),
    )
    return (
        _with_sources(analysis, contract, facts, figures),
        (*facts.problems, *figures.problems, *problems),
    )


def peak_hours(demand: Demand) -> tuple[int, ...]:
    """Return the hours of the day (UTC) that ask for much more than the mean one.

    None without two whole days, or where each hour asks for about as much.
    """
    if demand.hours < _LEAST_DAYS * HOURS_OF_DAY or not demand.items:
        return ()
    sums, seen = [0.0] * HOURS_OF_DAY, [0] * HOURS_OF_DAY
    for index, reads in enumerate(demand.counts.sum(axis=0).tolist()):
        hour = (demand.first_hour + index) % HOURS_OF_DAY
        sums[hour] += reads
        seen[hour] += 1
    means = [total / count for total, count in zip(sums, seen, strict=True)]
    threshold = PEAK * sum(means) / HOURS_OF_DAY
    return tuple(hour for hour, mean in enumerate(means) if mean > 0 and mean >= threshold)


def _mobile(facts: TenantFacts) -> MobileUse:
    share = 100 * facts.mobile_users / facts.users if facts.users else None
    return MobileUse(
        sessions=facts.sessions,
        active_sessions=facts.active_sessions,
        platforms=facts.platforms,
        users=facts.users,
        mobile_users=facts.mobile_users,
        share_percent=share,
    )


def _cache(figures: Figures) -> CacheEfficiency:
    hit_rate = cast("float | None", _value(figures, METRICS, "cache_hit_rate"))
    seconds = cast("float | None", _value(figures, METRICS, "avg_response_time"))
    response = None if seconds is None else round(1000 * seconds, 6)
    score = None
    if hit_rate is not None and response is not None:
        fast = max(0.0, SLOWEST_MS - response) / SLOWEST_MS
        score = round(hit_rate / 100 * _HALF + fast * _HALF, 2)
    return CacheEfficiency(
        hit_rate_percent=hit_rate,
        response_ms=response,
        api_calls=cast("int | None", _value(figures, METRICS, "api_calls_today")),
        score=score,
    )


def _business(figures: Figures) -> tuple[BusinessContext, tuple[Problem, ...]]:
    hours = figures.get(CONFIGURATION, "business_hours")
    days, problems = _operating_days(hours)
    return (
        BusinessContext(
            sector=cast("str | None", _value(figures, CONFIGURATION, "business_sector")),
            timezone=_text(_value(figures, CONFIGURATION, "timezone")),
            operating_days=days,
            business_hours=None if hours is None else cast("Mapping[str, object]", hours.value),
            notification_preferences=cast(
                "Mapping[str, object] | None",
                _value(figures, CONFIGURATION, "notification_preferences"),
            ),
        ),
        problems,
    )


def _operating_days(hours: Figure | None) -> tuple[int | None, tuple[Problem, ...]]:
    days = None if hours is None else cast("Mapping[str, object]", hours.value).get("days")
    if hours is None or days is None:
        return None, ()
    if isinstance(days, list) and all(
        type(day) is int and 0 <= day <= _DAYS_OF_WEEK for day in days
    ):
        return len(set(days)), ()
    return None, (Problem(hours.source, "days is not a list of days of the week"),)


def _sdk(figures: Figures) -> SdkUse:
    modules = cast("list[str] | None", _value(figures, REGISTRATION, "modules_enabled"))
    return SdkUse(
        modules=None if modules is None else tuple(modules),
        subscription=cast("str | None", _value(figures, REGISTRATION, "subscription_status")),
        requests=cast("int | None", _value(figures, SDK_ANALYTICS, "total_requests_today")),
        most_used_endpoint=cast("str | None", _value(figures, SDK_ANALYTICS, "most_used_endpoint")),
        error_rate_percent=cast("float | None", _value(figures, SDK_ANALYTICS, "error_rate")),
    )


def _value(figures: Figures, family: str, field: str) -> object | None:
    figure = figures.get(family, field)
    return None if figure is None else figure.value


def _text(value: object | None) -> str | None:
    return None if value is None else str(value)


def _with_sources(
    analysis: Analysis, contract: Contract, facts: TenantFacts, figures: Figures
) -> Analysis:
    sources = {
        name: figure.source
        for name, place in _PLACES.items()
        if (figure := figures.get(*place)) is not None
    }
    if analysis.business.operating_days is None:
        sources.pop("business.operating_days", None)
    if analysis.cache.score is not None:
        sources["cache.score"] = sources["cache.hit_rate_percent"]
    for name, families in _COUNTED.items():
        if name == "mobile.share_percent" and analysis.mobile.share_percent is None:
            continue
        sources[name] = ", ".join(
            f"db {database} {glob_of(family.pattern, facts.tenant)}"
            for family in map(contract.family, families)
            for database in family.databases
        )
    return replace(analysis, sources=sources)
