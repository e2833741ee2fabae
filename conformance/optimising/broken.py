# SPDX-License-Identifier: Apache-2.0
"""Broken data, case by case: what is broken, what may be known all the same, what must be said."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from kryonix_cache.conformance.optimising.families import (
    ANSWERS,
    CONFIGURATION,
    METRICS,
    PATTERNS,
    REGISTRATION,
    SDK_ANALYTICS,
    SESSIONS,
)
from kryonix_cache.conformance.optimising.scene import MOMENT

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from kryonix_cache.conformance.optimising.scene import Scene
    from kryonix_cache.conformance.optimising.tenants import MadeTenant

HIT_RATE, CALLS = "hit_rate_percent", "api_calls"
_FIELDS = 50_000
_DEPTH = 100_000


@dataclass(frozen=True, slots=True)
class Broken:
    """One case: it breaks one thing of a tenant of whom the rest is known.

    `unknown` are the figures that nobody can know then; `known` are others that must be right.
    Without `said` the case is no fault of the data that a reader would have to be told of.
    """

    name: str
    spoil: Callable[[MadeTenant], object]
    unknown: tuple[str, ...] = ()
    known: Mapping[str, object] = field(default_factory=lambda: {"sector": "health"})
    said: bool = True


def _metric(**fields: str) -> Callable[[MadeTenant], object]:
    return lambda tenant: tenant.metrics(**fields)


def _as_string(family: str) -> Callable[[MadeTenant], object]:
    """Put a string where the contract has another type."""

    def spoil(tenant: MadeTenant) -> object:
        database, key = tenant.place(family)
        tenant.clients[database].unlink(key)
        return tenant.clients[database].set(key, "no such thing")

    return spoil


def _answer(text: str | bytes) -> Callable[[MadeTenant], object]:
    """Write an answer that the mobile rule would copy, and the TTL rule extend."""
    parts = {"module": "crm", "endpoint": "dashboard"}
    return lambda tenant: tenant.string(ANSWERS, text, ttl=900, **parts)


def _answer_as_list(tenant: MadeTenant) -> None:
    database, key = tenant.answer_place("crm", "dashboard")
    tenant.clients[database].rpush(key, "a")
    tenant.clients[database].expire(key, 900)


def _config(**fields: str) -> Callable[[MadeTenant], object]:
    usual = {"business_sector": "health", "timezone": "UTC", "business_hours": '{"days":[1]}'}
    return lambda tenant: tenant.hash(CONFIGURATION, usual | fields)


def _enormous(tenant: MadeTenant) -> None:
    tenant.metrics()
    database, key = tenant.place(METRICS)
    enormous_hash(tenant, database, key, _FIELDS)


def enormous_hash(tenant: MadeTenant, database: int, key: bytes, fields: int) -> None:
    """Add so many fields to a hash, in portions that a server takes at once."""
    with tenant.clients[database].pipeline(transaction=False) as pipeline:
        for start in range(0, fields, 10_000):
            names = range(start, min(start + 10_000, fields))
            pipeline.hset(key, mapping={f"x{number}": "0" for number in names})
        pipeline.execute()


_UNREADABLE = {
    "in units that nobody knows": "eighty",
    "of more than a hundred": "4500%",
    "negative": "-5",
    "infinite": "inf",
    "an exponent": "1e400",
    "empty": "",
    "of many digits": "9" * 5000,
}


def cases() -> list[Broken]:
    """Return the cases."""
    late = (MOMENT + timedelta(days=400)).isoformat()
    metrics = {"sector": "health", "sdk_requests": 7}
    sector = {"hit_rate_percent": 40.0, "timezone": "UTC"}
    return [
        *(
            Broken(f"a hit rate {how}", _metric(cache_hit_rate=text), (HIT_RATE,), {CALLS: 10})
            for how, text in _UNREADABLE.items()
        ),
        Broken(
            "calls that are negative", _metric(api_calls_today="-1"), (CALLS,), {HIT_RATE: 97.5}
        ),
        Broken(
            "calls without end",
            _metric(api_calls_today="9" * 400, cache_hit_rate="40"),
            (CALLS,),
            {HIT_RATE: 40.0},
        ),
        Broken(
            "figures that are not UTF-8",
            lambda tenant: tenant.hash(
                METRICS, {"cache_hit_rate": b"\xff\xfe", "api_calls_today": b"5"}
            ),
            (HIT_RATE,),
            {CALLS: 5},
        ),
        Broken("metrics of another type", _as_string(METRICS), (HIT_RATE, CALLS), metrics),
        Broken("an enormous hash", _enormous, said=False),
        Broken(
            "hours that are no JSON",
            _config(business_hours="{"),
            ("operating_days",),
            {"sector": "health", "timezone": "UTC"},
        ),
        Broken(
            "a time zone that is none",
            _config(timezone="Mars/Olympus"),
            ("timezone",),
            {"sector": "health", "operating_days": 1},
        ),
        Broken(
            "a configuration of another type",
            _as_string(CONFIGURATION),
            ("sector",),
            {HIT_RATE: 40.0},
        ),
        Broken(
            "modules that are no JSON",
            lambda tenant: tenant.hash(
                REGISTRATION, {"modules_enabled": "[", "subscription_status": "trial"}
            ),
            ("sdk_modules",),
            {"subscription": "trial"},
        ),
        Broken("usage of another type", _as_string(SDK_ANALYTICS), ("sdk_requests",), sector),
        Broken(
            "a session of another type",
            lambda tenant: tenant.string(SESSIONS, "x", ttl=900, session="broken"),
            known={"mobile_percent": 100.0},
        ),
        Broken("an answer that is no JSON", _answer("{torn"), known=sector, said=False),
        Broken(
            "an answer that is nested without end", _answer("[" * _DEPTH), known=sector, said=False
        ),
        Broken(
            "an answer that is not UTF-8", _answer(b'{"data":"\xff"}'), known=sector, said=False
        ),
        Broken("an answer of another type", _answer_as_list, known=sector),
        Broken(
            "an answer of the future",
            _answer(f'{{"tenant_id":"x","cached_at":"{late}","data":1}}'),
            known=sector,
            said=False,
        ),
        Broken(
            "an answer of the year 0",
            _answer('{"tenant_id":"x","cached_at":"0000-00-00T00:00:00Z","data":1}'),
            known=sector,
            said=False,
        ),
        Broken("records of another type", _as_string(PATTERNS), known=sector),
        *(
            Broken(f"{family} of another type", _as_string(family), known=sector, said=False)
            for family in ("access-history", "value-sightings", "optimisation-trail")
        ),
    ]


def whole(tenant: MadeTenant) -> MadeTenant:
    """Write all data of a tenant on whom the rules fire; a case breaks one thing of it then."""
    tenant.metrics(cache_hit_rate="40")
    tenant.users(mobile=2, others=0)
    _config()(tenant)
    tenant.hash(SDK_ANALYTICS, {"total_requests_today": "7"})
    tenant.answer("users", "profile", ttl=900, age=30)
    return tenant


def judge_case(scene: Scene, case: Broken, tenant: MadeTenant, analysis: object) -> None:
    """Add a finding for each figure that the broken thing should, or should not, have touched."""
    for name in case.unknown:
        if (found := getattr(analysis, name)) is not None:
            scene.evidence.found(
                f"tenant {tenant.id}, which has {case.name}: {name}",
                found=found,
                wanted="None: nobody can know it",
                erratum="E18",
            )
    for name, wanted in case.known.items():
        if (found := getattr(analysis, name)) != wanted:
            scene.evidence.found(
                f"tenant {tenant.id}, which has {case.name}: {name}",
                found=found,
                wanted=f"{wanted}: that field is in order",
                erratum="E18",
            )
