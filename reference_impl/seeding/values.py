# SPDX-License-Identifier: Apache-2.0
"""
Values made from field formats: for each format of the contract one text that it accepts.

Made-up addresses lie in the names and networks that are reserved for examples (RFC 2606,
RFC 5737), so that no generated job can ever reach anybody.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from kryonix_cache.reference_impl.seeding.draw import Draw

MODULES = ("crm", "whatsapp", "agendamento", "financeiro", "portal", "marketing")
CHANNELS = ("cache_performance", "api_updates", "mobile_sync", "system_status", "alerts")


@dataclass(frozen=True, slots=True)
class Identity:
    """What tells one tenant from all others.

    `token` is made of 16 hexadecimal digits, `number` of 12 decimal ones; both differ between
    any two tenants. `secrets` holds a digest for each purpose.
    """

    tenant: str
    token: str
    number: str
    secrets: Mapping[str, str]

    @property
    def host(self) -> str:
        """The host name that is the tenant's alone."""
        return f"t-{self.token}.example.com"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a value stands: its field, its tenant, the moment of the data, its source of chance."""

    field: str
    identity: Identity
    moment: datetime
    sector: str
    draw: Draw


def compact(value: object) -> str:
    """Return JSON without blanks, text left readable."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _number(low: int, high: int, form: str = "{}") -> Callable[[Place], str]:
    return lambda place: form.format(place.draw.number(low, high))


def _tenths(low: int, high: int) -> Callable[[Place], str]:
    return lambda place: f"{place.draw.number(low * 10, high * 10) / 10}"


def _one_of(*options: str) -> Callable[[Place], str]:
    return lambda place: place.draw.choice(options)


def _name(place: Place) -> str:
    if place.field.endswith("_id"):
        return f"{place.field.removesuffix('_id')}_{place.draw.number(1, 999)}"
    return place.draw.choice(MODULES)


def _integer(place: Place) -> str:
    # A total must not be smaller than its parts.
    low, high = (5001, 9999) if place.field.startswith("total") else (0, 5000)
    return str(place.draw.number(low, high))


_STARTS = ("created", "connected", "session_start")
_LATEST = ("last", "measured", "updated")


def moment_of(place: Place) -> datetime:
    """Return when the thing that the field names happened: starts lie before last uses."""
    if place.field.startswith(_STARTS):
        seconds = -place.draw.number(2400, 10_800)
    elif place.field.startswith("next"):
        seconds = 900
    elif place.field.startswith(_LATEST):
        seconds = -place.draw.number(1, 300)
    else:
        seconds = -place.draw.number(301, 1500)
    return place.moment + timedelta(seconds=seconds)


def _time(place: Place) -> str:
    return moment_of(place).isoformat()


def _epoch(place: Place) -> str:
    return str(int(moment_of(place).timestamp()))


def _hours(place: Place) -> str:
    return compact(sorted({place.draw.number(0, 23, turn) for turn in range(3)}))


def _timeline_member(place: Place) -> str:
    return f"{_epoch(place)}:response_time:{place.draw.number(40, 250)}"


def _coordinates(place: Place) -> str:
    latitude, longitude = place.draw.number(-30, 4, "latitude"), place.draw.number(-70, -36)
    return f"{latitude}.5,{longitude}.5"


def _text(place: Place) -> str:
    return f"Synthetic {place.field.replace('_', ' ')} {place.draw.number(1, 999)}"


MAKERS: Mapping[str, Callable[[Place], str]] = {
    "text": _text,
    "name": _name,
    "tenant": lambda place: place.identity.tenant,
    "integer": _integer,
    "number": _tenths(1, 500),
    "fraction": _number(50, 99, "0.{}"),
    "percent": _tenths(1, 99),
    "duration": _number(20, 400, "{}ms"),
    "rate": _number(1, 20, "{}000/hour"),
    "time": _time,
    "time-or-now": _one_of("now"),
    "date": lambda place: (
        (place.moment - timedelta(days=place.draw.number(1, 700))).date().isoformat()
    ),
    "epoch": _epoch,
    "hour": _number(0, 23),
    "hour-list": _hours,
    "boolean": _one_of("true", "false"),
    "json": lambda place: compact({"count": place.draw.number(0, 99)}),
    "json-object": lambda place: compact({"count": place.draw.number(0, 99)}),
    "json-list": lambda place: compact(place.draw.some(MODULES, 2)),
    "name-list": lambda place: compact(place.draw.some(MODULES, 3)),
    "version": _number(0, 9, "1.2.{}"),
    "url": lambda place: f"https://{place.identity.host}/{place.field}",
    "host": lambda place: place.identity.host,
    "path": lambda place: f"/api/{place.draw.choice(MODULES)}/list",
    "email": lambda place: f"owner@{place.identity.host}",
    "phone": lambda place: f"+55{place.identity.number}",
    "color": lambda place: f"#{place.draw.number(0, 0xFFFFFF):06X}",
    "language": _one_of("pt-BR", "en", "es"),
    "timezone": _one_of("America/Sao_Paulo", "America/Manaus", "Europe/Lisbon"),
    "currency": _one_of("BRL", "EUR"),
    "ip": _number(1, 254, "192.0.2.{}"),
    "package": lambda place: f"com.example.t{place.identity.token}",
    "sector": lambda place: place.sector,
    "coordinates": _coordinates,
    "api-key": lambda place: f"sk_{place.identity.token}",
    "code": _number(100_000, 999_999),
    "timeline-member": _timeline_member,
    "access": lambda place: f"{place.draw.number(10, 23)}:api-cache:crm.list",
}
"""For each format the maker of its text; `enum` and `key-list` need more than their place."""

_NATIVE = frozenset(
    [
        "integer",
        "number",
        "fraction",
        "percent",
        "epoch",
        "hour",
        "hour-list",
        "boolean",
        "json",
        "json-object",
        "json-list",
        "name-list",
        "key-list",
    ]
)


def as_json(form: str, text: str) -> object:
    """Return the member of a JSON object that stands for `text` of the format `form`."""
    return json.loads(text) if form in _NATIVE else text


UNIQUE = frozenset(
    {"tenant", "url", "host", "email", "phone", "package", "api-key", "text", "name"}
)
"""Formats whose made text differs, or can be made to differ, between any two tenants."""


def unique_text(form: str, place: Place) -> str:
    """Return a text of the format `form` that no other tenant has, nor another unique field."""
    if form == "host":
        return f"{place.field.replace('_', '-')}.{place.identity.host}"
    if form in {"text", "name"}:
        return f"{place.field}-{place.identity.token}"
    return MAKERS[form](place)
