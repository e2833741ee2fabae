# SPDX-License-Identifier: Apache-2.0
"""The connections of the server as the administrator sees them, by their numbers."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, cast

import redis

if TYPE_CHECKING:
    from kryonix_cache.conformance.attacks.arena import Arena

_POLL_SECONDS = 0.005


def users_by_connection(arena: Arena) -> dict[int, str]:
    """Return the user of each connection by its number; who has not logged in is the default."""
    reply = arena.as_admin([(b"CLIENT", b"LIST")])[0]
    if isinstance(reply, redis.ResponseError):
        raise reply
    lines = cast("bytes", reply).decode(errors="replace").splitlines()
    fields = [dict(word.partition("=")[::2] for word in line.split()) for line in lines]
    return {int(each["id"]): each["user"] for each in fields}


def latest_connection(arena: Arena, user: str) -> int | None:
    """Return the number of the connection that a user opened last; None if it has none."""
    numbers = [number for number, each in users_by_connection(arena).items() if each == user]
    return max(numbers, default=None)


def wait_for_end(arena: Arena, number: int | None, until: float) -> None:
    """Return once the server has closed a connection, or at a moment of time.monotonic()."""
    while time.monotonic() < until and number in users_by_connection(arena):
        time.sleep(_POLL_SECONDS)
