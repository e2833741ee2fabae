# SPDX-License-Identifier: Apache-2.0
"""Moments: what differs between two plays of the same program for no other reason than time."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

A_MOMENT = "(a moment)"
_NEAR_SECONDS = 86_400.0


def timeless(value: Any) -> Any:
    """Return a value with every moment of today in it, at each depth, as the same word."""
    if isinstance(value, Mapping):
        return {name: timeless(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [timeless(each) for each in value]
    return A_MOMENT if _is_moment(value) else value


def _is_moment(value: object) -> bool:
    """Say whether a value is near the present: ISO 8601, or epoch seconds or milliseconds."""
    if isinstance(value, str):
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            return _is_near(value)
        # A text such as 20260101 is a date to Python, and a number to us.
        return _is_near(value) or abs(_seconds(moment) - time.time()) < _NEAR_SECONDS
    return not isinstance(value, bool) and isinstance(value, int | float) and _is_near(value)


def _seconds(moment: datetime) -> float:
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _is_near(number: str | float) -> bool:
    try:
        seconds = float(number)
    except ValueError:
        return False
    return any(abs(each - time.time()) < _NEAR_SECONDS for each in (seconds, seconds / 1000))
