# SPDX-License-Identifier: Apache-2.0
"""
Readers: functions from the text of a value to its typed value.

Each raises ValueError (or OverflowError, RecursionError) for a text that has no value. They
accept ASCII digits only: ``int()`` and ``float()`` also take ``1_000``, ``inf`` and the
digits of every script, which another reader of the same cache would refuse.
"""

from __future__ import annotations

import json
import re
import zoneinfo
from datetime import UTC, date, datetime
from functools import cache
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from kryonix_cache.reference_impl.errors import FormatError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_INTEGER = re.compile(r"-?[0-9]{1,18}")
_NUMBER = re.compile(r"-?[0-9]{1,18}(?:\.[0-9]{1,18})?")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_DURATION_PART = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,9})?)(ms|s|min|h|d)")
_TIMELINE_MEMBER = re.compile(r"([0-9]{9,13}):([a-z0-9_]+):(-?[0-9]+(?:\.[0-9]+)?)")
_ACCESS = re.compile(r"([01][0-9]|2[0-3]):([a-z0-9-]{1,64}):([A-Za-z0-9_.-]{1,256})")
_TIMEZONE_SHAPE = re.compile(r"[A-Za-z_]+(?:/[A-Za-z_+-]+)*")
_UNIT_SECONDS: Mapping[str, float] = {"ms": 0.001, "s": 1, "min": 60, "h": 3600, "d": 86_400}
_PERIOD_SECONDS: Mapping[str, int] = {"second": 1, "minute": 60, "hour": 3600, "day": 86_400}
_LAST_EPOCH = 32_503_680_000


def matching(pattern: str) -> Callable[[str], str]:
    """Return a reader of the texts that `pattern` matches as a whole."""
    compiled = re.compile(pattern)

    def read(text: str) -> str:
        if not compiled.fullmatch(text):
            raise ValueError(text)
        return text

    return read


def integer(text: str) -> int:
    """Read a whole number of at most 18 digits."""
    if not _INTEGER.fullmatch(text):
        raise ValueError(text)
    return int(text)


def count(text: str) -> int:
    """Read a whole number that is not negative."""
    value = integer(text)
    if value < 0:
        raise ValueError(text)
    return value


def number(text: str) -> float:
    """Read a decimal number without exponent."""
    if not _NUMBER.fullmatch(text):
        raise ValueError(text)
    return float(text)


def within(low: float, high: float) -> Callable[[str], float]:
    """Return a reader of the numbers from `low` to `high`."""

    def read(text: str) -> float:
        value = number(text)
        if not low <= value <= high:
            raise ValueError(text)
        return value

    return read


_zero_to_hundred = within(0, 100)


def percent(text: str) -> float:
    """Read ``78.5`` or ``0.2%`` as a number from 0 to 100."""
    return _zero_to_hundred(text.removesuffix("%"))


def duration(text: str) -> float:
    """Read ``145ms``, ``24h`` or ``8min_30s`` as seconds."""
    total = 0.0
    for part in text.split("_"):
        match = _DURATION_PART.fullmatch(part)
        if match is None:
            raise ValueError(text)
        total += float(match[1]) * _UNIT_SECONDS[match[2]]
    return total


def rate(text: str) -> tuple[int, int]:
    """Read ``10000/hour`` as (count, seconds)."""
    amount, _, period = text.partition("/")
    if period not in _PERIOD_SECONDS:
        raise ValueError(text)
    return count(amount), _PERIOD_SECONDS[period]


def day(text: str) -> date:
    """Read ``2025-01-15``; the week and the compact form of ISO 8601 are refused."""
    if not _DATE.fullmatch(text):
        raise ValueError(text)
    return date.fromisoformat(text)


def time(text: str) -> datetime:
    """Read an ISO 8601 time as UTC; raise FormatError where it has no offset (E27)."""
    if "T" not in text:
        raise ValueError(text)
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise FormatError("a time with an offset, as 2025-01-27T10:00:00Z", erratum="E27")
    return moment.astimezone(UTC)


def time_or_now(text: str) -> datetime | None:
    """Read a time, or ``now`` as None."""
    return None if text == "now" else time(text)


_epoch_seconds = within(0, _LAST_EPOCH)


def epoch(text: str) -> datetime:
    """Read seconds since 1970 as UTC."""
    return datetime.fromtimestamp(_epoch_seconds(text), UTC)


def hour(text: str) -> int:
    """Read an hour of the day, 0 to 23."""
    value = count(text)
    if value > 23:  # noqa: PLR2004
        raise ValueError(text)
    return value


def boolean(text: str) -> bool:
    """Read ``true`` or ``false``."""
    if text not in {"true", "false"}:
        raise ValueError(text)
    return text == "true"


def _no_constant(text: str) -> object:
    raise ValueError(text)


def json_value(text: str) -> object:
    """Read JSON; NaN and Infinity are none."""
    return json.loads(text, parse_constant=_no_constant, object_pairs_hook=_once_each)


def _once_each(pairs: list[tuple[str, object]]) -> dict[str, object]:
    # Of two members with one name each reader takes another one: a tenant_id that is there
    # twice would be judged by one and used by the other.
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError(pairs)
    return members


def json_object(text: str) -> dict[str, object]:
    """Read a JSON object."""
    value = json_value(text)
    if isinstance(value, dict):
        return value
    raise ValueError(text)


def json_list(text: str) -> list[object]:
    """Read a JSON list."""
    value = json_value(text)
    if isinstance(value, list):
        return value
    raise ValueError(text)


def list_of(read: Callable[[str], object]) -> Callable[[str], tuple[object, ...]]:
    """Return a reader of JSON lists whose every item `read` can read."""

    def read_all(text: str) -> tuple[object, ...]:
        return tuple(read(text_of(item)) for item in json_list(text))

    return read_all


def text_of(value: object) -> str:
    """Return the text form of a JSON value, so that one reader serves hashes and JSON alike."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def url(text: str) -> str:
    """Read an http or https address with a host."""
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError(text)
    if any(character.isspace() for character in text):
        raise ValueError(text)
    return text


@cache
def _timezones() -> frozenset[str]:
    return frozenset(zoneinfo.available_timezones())


def timezone(text: str) -> str:
    """Read the name of a time zone; on a machine without zone data its shape decides."""
    known = _timezones()
    if text not in known and (known or not _TIMEZONE_SHAPE.fullmatch(text)):
        raise ValueError(text)
    return text


_latitude, _longitude = within(-90, 90), within(-180, 180)


def coordinates(text: str) -> tuple[float, float]:
    """Read ``latitude,longitude`` in degrees."""
    north, _, east = text.partition(",")
    return _latitude(north), _longitude(east)


def timeline_member(text: str) -> tuple[int, str, float]:
    """Read ``<epoch>:<figure>:<value>``: equal values at two times stay two members (E33)."""
    match = _TIMELINE_MEMBER.fullmatch(text)
    if match is None:
        raise ValueError(text)
    return int(match[1]), match[2], float(match[3])


def access(text: str) -> tuple[int, str, str]:
    """Read ``<hour>:<family>:<item>``, the hour of a day from 00 to 23, as three values."""
    match = _ACCESS.fullmatch(text)
    if match is None:
        raise ValueError(text)
    return int(match[1]), match[2], match[3]
