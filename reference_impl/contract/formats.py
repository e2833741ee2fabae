# SPDX-License-Identifier: Apache-2.0
"""
Field formats: one parser for each kind of value that the contract names.

The specification keeps numbers with units in hashes (``145ms``, ``0.2%``,
``10000/hour``, ``8min_30s``), on which ``int()`` and ``float()`` fail (E18). Here every
format reads the text form into a typed value, or says in one sentence what was wanted.
"""

from __future__ import annotations

import ipaddress
import json
import re
import zoneinfo
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cache
from urllib.parse import urlsplit

from kryonix_cache.reference_impl.errors import FormatError


@dataclass(frozen=True, slots=True)
class Format:
    """A kind of value: its name, what is wanted, an example, and the parser of its text."""

    name: str
    wanted: str
    example: str
    read: Callable[[str], object]
    erratum: str | None = None

    def parse(self, text: str) -> object:
        """Return the typed value of `text`; raise FormatError when it has none."""
        try:
            return self.read(text)
        except FormatError:
            raise
        except (ValueError, OverflowError, RecursionError):
            raise FormatError(self.wanted, erratum=self.erratum) from None


def text_of(value: object) -> str:
    """Return the text form of a JSON value, so that one parser serves hashes and JSON alike."""
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)


def _matching(pattern: str) -> Callable[[str], str]:
    compiled = re.compile(pattern)

    def read(text: str) -> str:
        if not compiled.fullmatch(text):
            raise ValueError(text)
        return text

    return read


_ASCII_INTEGER = re.compile(r"-?[0-9]{1,18}")
_ASCII_NUMBER = re.compile(r"-?[0-9]{1,18}(?:\.[0-9]{1,18})?")


def _integer(text: str) -> int:
    if not _ASCII_INTEGER.fullmatch(text):
        raise ValueError(text)
    return int(text)


def _count(text: str) -> int:
    value = _integer(text)
    if value < 0:
        raise ValueError(text)
    return value


def _number(text: str) -> float:
    if not _ASCII_NUMBER.fullmatch(text):
        raise ValueError(text)
    return float(text)


def _within(low: float, high: float, text: str) -> float:
    value = _number(text)
    if not low <= value <= high:
        raise ValueError(text)
    return value


def _percent(text: str) -> float:
    return _within(0, 100, text.removesuffix("%"))


_UNIT_SECONDS: Mapping[str, float] = {"ms": 0.001, "s": 1, "min": 60, "h": 3600, "d": 86_400}
_DURATION_PART = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,9})?)(ms|s|min|h|d)")


def _duration(text: str) -> float:
    """Read ``145ms``, ``24h`` or ``8min_30s`` as seconds."""
    total = 0.0
    for part in text.split("_"):
        match = _DURATION_PART.fullmatch(part)
        if match is None:
            raise ValueError(text)
        total += float(match[1]) * _UNIT_SECONDS[match[2]]
    return total


_PERIOD_SECONDS: Mapping[str, int] = {"second": 1, "minute": 60, "hour": 3600, "day": 86_400}


def _rate(text: str) -> tuple[int, int]:
    """Read ``10000/hour`` as (count, seconds)."""
    count, _, period = text.partition("/")
    if period not in _PERIOD_SECONDS:
        raise ValueError(text)
    return _count(count), _PERIOD_SECONDS[period]


def _time(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if "T" not in text:
        raise ValueError(text)
    if moment.tzinfo is None:
        raise FormatError("a time with an offset, as 2025-01-27T10:00:00Z", erratum="E27")
    return moment.astimezone(UTC)


def _time_or_now(text: str) -> datetime | None:
    return None if text == "now" else _time(text)


def _epoch(text: str) -> datetime:
    return datetime.fromtimestamp(_within(0, 32_503_680_000, text), UTC)


def _hour(text: str) -> int:
    return int(_within(0, 23, str(_integer(text))))


def _boolean(text: str) -> bool:
    if text not in {"true", "false"}:
        raise ValueError(text)
    return text == "true"


def _no_constant(text: str) -> object:
    raise ValueError(text)


def _json(text: str) -> object:
    return json.loads(text, parse_constant=_no_constant)


def _json_object(text: str) -> dict[str, object]:
    value = _json(text)
    if not isinstance(value, dict):
        raise ValueError(text)
    return value


def _json_list(text: str) -> list[object]:
    value = _json(text)
    if not isinstance(value, list):
        raise ValueError(text)
    return value


def _list_of(read: Callable[[str], object]) -> Callable[[str], tuple[object, ...]]:
    def read_all(text: str) -> tuple[object, ...]:
        return tuple(read(text_of(item)) for item in _json_list(text))

    return read_all


def _url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname or any(c.isspace() for c in text):
        raise ValueError(text)
    return text


def _timezone(text: str) -> str:
    if text not in _timezone_names():
        raise ValueError(text)
    return text


@cache
def _timezone_names() -> frozenset[str]:
    # Installed zone data differs between machines; names without data would otherwise all
    # fail on a slim image, so the shape decides there.
    return frozenset(zoneinfo.available_timezones())


def _timezone_or_shape(text: str) -> str:
    return _timezone(text) if _timezone_names() else _matching(r"[A-Za-z_]+(?:/[A-Za-z_+-]+)*")(text)


def _coordinates(text: str) -> tuple[float, float]:
    latitude, _, longitude = text.partition(",")
    return _within(-90, 90, latitude), _within(-180, 180, longitude)


_TIMELINE_MEMBER = re.compile(r"([0-9]{9,13}):([a-z0-9_]+):(-?[0-9]+(?:\.[0-9]+)?)")


def _timeline_member(text: str) -> tuple[int, str, float]:
    """Read ``<epoch>:<figure>:<value>``: equal values at two times stay two members (E33)."""
    match = _TIMELINE_MEMBER.fullmatch(text)
    if match is None:
        raise ValueError(text)
    return int(match[1]), match[2], float(match[3])


_NAME = r"[A-Za-z0-9_.+-]{1,128}"
_HOST = r"(?=.{1,253}$)[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)+"

FORMATS: Mapping[str, Format] = {
    form.name: form
    for form in (
        Format("text", "text of at most 65536 characters", "Text", _matching(r"(?s).{0,65536}")),
        Format("name", "a name of letters, digits and _ . + -", "crm", _matching(_NAME)),
        Format("tenant", "the tenant of the key", "acme", _matching(r"(?s).+")),
        Format("enum", "one of the listed words", "active", str),
        Format("integer", "a whole number, not negative", "1250", _count, "E18"),
        Format("number", "a number without a unit", "89.2", _number, "E18"),
        Format("fraction", "a number from 0 to 1", "0.94", lambda t: _within(0, 1, t), "E18"),
        Format("percent", "a number from 0 to 100, % allowed", "78.5", _percent, "E18"),
        Format("duration", "amounts with units, as 145ms or 8min_30s", "145ms", _duration, "E18"),
        Format("rate", "count/period, as 10000/hour", "10000/hour", _rate, "E18"),
        Format("time", "an ISO 8601 time with offset", "2025-01-27T10:00:00Z", _time),
        Format("time-or-now", "an ISO 8601 time with offset, or now", "now", _time_or_now),
        Format("date", "a date, as 2025-01-15", "2025-01-15", date.fromisoformat),
        Format("epoch", "seconds since 1970", "1737972000", _epoch, "E18"),
        Format("hour", "an hour from 0 to 23", "14", _hour, "E18"),
        Format("hour-list", "a JSON list of hours from 0 to 23", "[9,14,18]", _list_of(_hour)),
        Format("boolean", "true or false", "true", _boolean),
        Format("json", "JSON", '{"a":1}', _json),
        Format("json-object", "a JSON object", '{"a":1}', _json_object),
        Format("json-list", "a JSON list", '["a"]', _json_list),
        Format("name-list", "a JSON list of names", '["crm"]', _list_of(_matching(_NAME))),
        Format("key-list", "a JSON list of keys", '["tenant:acme:sdk:config"]', _list_of(str)),
        Format("version", "a version, as 1.2.5", "1.2.5", _matching(r"[0-9]{1,9}(?:\.[0-9]{1,9}){1,3}")),
        Format("url", "an http or https address", "https://acme.example.com/a.png", _url),
        Format("host", "a host name in lower case", "acme.example.com", _matching(_HOST)),
        Format("path", "a path, as /api/crm/leads", "/api/crm/leads", _matching(r"/[^\s?#]{0,1024}")),
        Format("email", "a mail address", "a@example.com", _matching(r"[^@\s]{1,64}@[^@\s]{1,189}")),
        Format("phone", "a phone number, as +5517987654321", "+5517987654321", _matching(r"\+[0-9]{8,15}")),
        Format("color", "a colour, as #2E7D32", "#2E7D32", _matching(r"#[0-9A-Fa-f]{6}")),
        Format("language", "a language, as pt-BR", "pt-BR", _matching(r"[a-z]{2,3}(?:-[A-Z]{2})?")),
        Format("timezone", "a time zone, as America/Sao_Paulo", "America/Sao_Paulo", _timezone_or_shape),
        Format("currency", "a currency, as BRL", "BRL", _matching(r"[A-Z]{3}")),
        Format("ip", "an IP address", "192.0.2.1", lambda t: str(ipaddress.ip_address(t))),
        Format("package", "a package name, as com.example.app", "com.example.app",
               _matching(r"[A-Za-z][A-Za-z0-9_-]*(?:\.[A-Za-z][A-Za-z0-9_-]*)+")),
        Format("sector", "a sector's name", "medicina", _matching(r"[a-z0-9_-]{1,64}")),
        Format("coordinates", "latitude,longitude", "-23.55,-46.63", _coordinates),
        Format("api-key", "an API key of at least 16 characters", "sk_acme_0123456789", _matching(r"[A-Za-z0-9_-]{16,256}")),
        Format("code", "a code of 4 to 10 digits", "456789", _matching(r"[0-9]{4,10}")),
        Format("timeline-member", "<epoch>:<figure>:<value>", "1737972000:response_time:145",
               _timeline_member, "E33"),
    )
}


def host_of(text: str) -> str:
    """Return the host that a host name or an address names; facts compare hosts (E29)."""
    return urlsplit(text).hostname or text if "://" in text else text
