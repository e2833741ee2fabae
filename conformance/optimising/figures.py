# SPDX-License-Identifier: Apache-2.0
"""Tenants of whom everything is known, and the figures that an analysis must give of them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from kryonix_cache.conformance.optimising.families import (
    CONFIGURATION,
    METRICS,
    QUEUES,
    REGISTRATION,
    SDK_ANALYTICS,
    SDK_CONFIG,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from kryonix_cache.conformance.optimising.scene import Scene
    from kryonix_cache.conformance.optimising.tenants import MadeTenant


@dataclass(frozen=True, slots=True)
class Wanted:
    """A figure as it must be: how it is compared, and how a reader is told of it."""

    fits: Callable[[object], bool]
    text: str
    erratum: str | None = None


Figures: TypeAlias = "Mapping[str, Wanted]"


def _same(value: object, erratum: str | None = None) -> Wanted:
    return Wanted(lambda found: found == value and type(found) is type(value), repr(value), erratum)


def _near(value: float, erratum: str | None = None) -> Wanted:
    def fits(found: object) -> bool:
        return (
            isinstance(found, int | float)
            and not isinstance(found, bool)
            and abs(found - value) < 0.01  # noqa: PLR2004 (a score may be rounded to two places)
        )

    return Wanted(fits, f"{value:g}", erratum)


def _unknown(why: str, erratum: str | None = None) -> Wanted:
    return Wanted(lambda found: found is None, f"None, for {why}", erratum)


def _none_of(why: str) -> Wanted:
    """Nothing was counted, which may be said as 0 or as unknown."""

    def fits(found: object) -> bool:
        return not (any(found.values()) if isinstance(found, dict) else found)

    return Wanted(fits, f"none, for {why}")


def _counts(values: Mapping[str, int]) -> Wanted:
    def fits(found: object) -> bool:
        return found is not None and {k: v for k, v in dict(found).items() if v} == values  # type: ignore[call-overload]

    return Wanted(fits, f"{dict(values)}")


def _names(*values: str) -> Wanted:
    return Wanted(
        lambda found: not isinstance(found, str | None) and sorted(found) == sorted(values),  # type: ignore[call-overload]
        f"{sorted(values)}",
    )


_NO_PREDICTION = {
    "predicted": Wanted(lambda found: not found, "nothing, for no read was ever recorded", "E17"),
    "confidence": Wanted(lambda found: found == 0, "0, for nothing is predicted", "E17"),
}


def known_tenants(scene: Scene) -> list[tuple[MadeTenant, Figures]]:
    """Write the tenants; return the figures of each."""
    makers = {
        "rich": _rich,
        "slow": _slow,
        "claims": _claims,
        "mere-claims": _mere_claims,
        "platforms": _platforms,
        "units": _units,
        "half": _half,
        # Its id begins like the one of another tenant.
        "rich2": _bare,
    }
    return [(tenant := scene.tenant(name), make(tenant)) for name, make in makers.items()]


def _rich(tenant: MadeTenant) -> Figures:
    """Write a user with three sessions, one with two at a desk, and some who are only connected."""
    for _ in range(3):
        tenant.session("ana", "mobile", "android")
    for _ in range(2):
        tenant.session("bia", "desktop")
    tenant.session("caio", "tablet", "ios")
    tenant.connection("duda", "mobile", "ios")
    tenant.connection("eva", "desktop")
    tenant.connection("ana", "desktop")
    for module, endpoint, ttl in (
        ("crm", "dashboard", 250),
        ("crm", "list", 350),
        ("users", "profile", 1700),
        ("users", "list", 1900),
        ("users", "roles", 7000),
    ):
        tenant.answer(module, endpoint, ttl=ttl)
    tenant.string(SDK_CONFIG, "{}", ttl=1000)
    tenant.metrics(
        cache_hit_rate="91.2%",
        avg_response_time="145ms",
        api_calls_today="1250",
        # Nobody wrote `total_users`, so that this would be 4500 %.
        mobile_users="45",
    )
    tenant.hash(
        CONFIGURATION,
        {
            "timezone": "America/Sao_Paulo",
            "business_sector": "medicina",
            "business_hours": json.dumps({"open": "08:00", "days": [1, 2, 3, 6]}),
            "notification_preferences": "{}",
        },
    )
    tenant.hash(
        REGISTRATION,
        {"modules_enabled": '["crm","whatsapp"]', "subscription_status": "active"},
    )
    tenant.hash(
        SDK_ANALYTICS,
        {
            "total_requests_today": "3400",
            "most_used_endpoint": "/api/crm/leads",
            "error_rate": "0.2%",
        },
    )
    return {
        "mobile_sessions": _same(6),
        "mobile_percent": _near(60, "E13"),
        "platforms": _counts({"android": 3, "web": 2, "ios": 1}),
        "answers": _same(5),
        "modules": _counts({"crm": 2, "users": 3}),
        "lifetimes": _counts({"short": 1, "medium": 2, "long": 2}),
        "hit_rate_percent": _near(91.2, "E18"),
        "response_ms": _near(145, "E18"),
        "api_calls": _same(1250),
        "performance_score": _near(59.35),
        "sector": _same("medicina"),
        "timezone": _same("America/Sao_Paulo"),
        "operating_days": _same(4),
        "sdk_modules": _names("crm", "whatsapp"),
        "subscription": _same("active"),
        "sdk_requests": _same(3400),
        "sdk_most_used_endpoint": _same("/api/crm/leads"),
        "sdk_error_percent": _near(0.2, "E18"),
        **_NO_PREDICTION,
    }


def _slow(tenant: MadeTenant) -> Figures:
    """Write times in other units, and slower than the score counts."""
    tenant.metrics(cache_hit_rate="50", avg_response_time="1min_30s")
    return {
        "hit_rate_percent": _near(50, "E18"),
        "response_ms": _near(90_000, "E18"),
        "performance_score": _near(25),
    }


def _claims(tenant: MadeTenant) -> Figures:
    """Write metrics that speak of mobile users, where the only users sit at desks."""
    tenant.metrics(mobile_users="45")
    tenant.users(mobile=0, others=2)
    return {"mobile_percent": _near(0, "E13"), "mobile_sessions": _same(2)}


def _mere_claims(tenant: MadeTenant) -> Figures:
    """Write metrics that speak of mobile users, where there is no user at all."""
    tenant.metrics(mobile_users="45", total_users="50")
    return {"mobile_percent": _unknown("nobody has a session or connection", "E13")}


def _platforms(tenant: MadeTenant) -> Figures:
    """Write connections that do not tell the device, where the platform tells it."""
    tenant.connection("ana", None, "android")
    tenant.connection("bia", None, "web")
    tenant.connection("caio", None, None)
    tenant.connection("duda", "desktop", "ios")
    return {"mobile_percent": _near(25), "mobile_sessions": _none_of("there are connections only")}


def _units(tenant: MadeTenant) -> Figures:
    """Write numbers that are none."""
    tenant.metrics(cache_hit_rate="4500%", avg_response_time="fast", api_calls_today="lots")
    tenant.hash(SDK_ANALYTICS, {"total_requests_today": "1e400", "error_rate": "nan"})
    unreadable = _unknown("what is written there is no figure", "E18")
    return {
        "hit_rate_percent": unreadable,
        "response_ms": unreadable,
        "api_calls": unreadable,
        "performance_score": _unknown("neither of its parts is known", "E18"),
        "sdk_requests": unreadable,
        "sdk_error_percent": unreadable,
        "sdk_most_used_endpoint": _unknown("the field is not there"),
    }


def _half(tenant: MadeTenant) -> Figures:
    """Write one half of what makes the score."""
    tenant.hash(METRICS, {"cache_hit_rate": "80"})
    return {
        "hit_rate_percent": _near(80),
        "response_ms": _unknown("the field is not there", "E13"),
        "api_calls": _unknown("the field is not there", "E13"),
        "performance_score": _unknown("the response time is not known", "E13"),
    }


def _bare(tenant: MadeTenant) -> Figures:
    """Write a job in a queue, and nothing else."""
    place = tenant.place(QUEUES, queue="mail")
    tenant.clients[place[0]].rpush(place[1], "{}")
    unknown = _unknown("nothing is known of the tenant", "E13")
    nothing = _none_of("the tenant has no such key")
    return {
        "mobile_sessions": nothing,
        "mobile_percent": unknown,
        "platforms": nothing,
        "answers": nothing,
        "modules": nothing,
        "lifetimes": nothing,
        "hit_rate_percent": unknown,
        "response_ms": unknown,
        "api_calls": unknown,
        "performance_score": unknown,
        "sector": unknown,
        "timezone": unknown,
        "operating_days": unknown,
        "sdk_modules": unknown,
        "subscription": unknown,
        "sdk_requests": unknown,
        "sdk_most_used_endpoint": unknown,
        "sdk_error_percent": unknown,
        **_NO_PREDICTION,
    }
