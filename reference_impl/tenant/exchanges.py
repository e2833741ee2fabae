# SPDX-License-Identifier: Apache-2.0
"""
Operations as programs that yield batches of commands and are sent the replies.

A program decides what to send and what replies mean, and touches no socket: one runner plays it
blocking, another in an event loop (`runners`), so that both forms of the tenant handle share one
description. A program stays on one connection from its first batch to its end. What needs several
databases, or a function of the caller's, is a plan: programs one after another.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias, TypeVar

import redis

from kryonix_cache.reference_impl.bulk import Reply
from kryonix_cache.reference_impl.errors import ContentionError

if TYPE_CHECKING:
    from kryonix_cache.reference_impl.forbidden import Command

T = TypeVar("T")

_ATTEMPTS = 16
_FIRST_PAUSE_S = 0.001
_LONGEST_PAUSE_S = 0.064
_REFUSALS: dict[str, type[redis.ResponseError]] = {
    "NOPERM": redis.exceptions.NoPermissionError,
    "OOM": redis.exceptions.OutOfMemoryError,
    "READONLY": redis.exceptions.ReadOnlyError,
}


@dataclass(frozen=True, slots=True)
class Batch:
    """Commands for one database, sent at once.

    `wait` are the seconds that the server itself may take its time over them, `pause` those to let
    pass before they are sent.
    """

    database: int
    commands: Sequence[Command]
    wait: float = 0
    pause: float = 0


Program: TypeAlias = Generator[Batch, list[Reply], T]
"""Yields batches, is sent their replies, and returns what the operation answers."""


@dataclass(frozen=True, slots=True)
class Call:
    """A function of the caller's, called while no connection is taken.

    The form for asyncio awaits what it returns, if that can be awaited.
    """

    function: Callable[[], object]


Plan: TypeAlias = Generator[Program[object] | Call, object, T]
"""Yields programs and calls, is sent their answers, and returns what the operation answers."""


def ask(database: int, *command: bytes, wait: float = 0) -> Program[Reply]:
    """Send one command and return its reply; raise redis.ResponseError where it is refused."""
    (reply,) = yield Batch(database, [command], wait)
    return accepted(reply)


def transact(database: int, *commands: Command) -> Program[list[Reply] | None]:
    """Send a transaction and return its replies; None if a watched key has changed."""
    replies = yield Batch(database, [(b"MULTI",), *commands, (b"EXEC",)])
    # What was refused when it was queued is the cause; EXEC then says only that it gave up.
    for reply in replies:
        accepted(reply)
    result = replies[-1]
    if not isinstance(result, list):
        return None
    return [accepted(reply) for reply in result]


def change_if_there(database: int, key: bytes, *commands: Command) -> Program[bool]:
    """Change a key unless it is gone, as one step; say whether it was there.

    A script would need one round trip, but scripts are shared by all tenants, so no tenant's
    own user may run any. Raises ContentionError where others change the key all the time.
    """
    pause = 0.0
    for attempt in range(_ATTEMPTS):
        watched, there = yield Batch(database, [(b"WATCH", key), (b"EXISTS", key)], pause=pause)
        accepted(watched)
        if not accepted(there):
            yield from ask(database, b"UNWATCH")
            return False
        if (yield from transact(database, *commands)) is not None:
            return True
        # By chance, for two in step would make each other fail again and again.
        longest = min(_FIRST_PAUSE_S * 2**attempt, _LONGEST_PAUSE_S)
        pause = random.uniform(0, longest)  # noqa: S311 (no secret)
    raise ContentionError(_ATTEMPTS)


def accepted(reply: Reply) -> Reply:
    """Return the reply; raise it if it is an error."""
    if isinstance(reply, redis.ResponseError):
        code = str(reply).partition(" ")[0]
        raise _REFUSALS.get(code, type(reply))(str(reply)) from None
    return reply
