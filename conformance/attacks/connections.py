# SPDX-License-Identifier: Apache-2.0
"""Connections of tenants: what is sent on them, and what stands for a reply where none comes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import redis

from kryonix_cache.conformance.attacks.replies import NoReply, TimedOut, is_refusal
from kryonix_cache.conformance.outcomes import RequirementNotMetError
from kryonix_cache.reference_impl.connection import lease

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kryonix_cache.reference_impl.connection import (
        Command,
        GuardedConnection,
        Pools,
        Reply,
    )

_SENTINEL = b"that-is-all"
_MOST_PUSHES = 1000


class LoginRefusedError(RequirementNotMetError):
    """The login that the system gave for a tenant opens nothing."""

    def __init__(self, error: Exception) -> None:
        super().__init__(f"the login that the system gave is refused: {error}")


def exchange(pools: Pools, database: int, commands: Sequence[Command]) -> list[Reply]:
    """Send a pipeline; where the connection is refused or lost, that is the reply to each."""
    try:
        with lease(pools[database]) as connection:
            return converse(connection, commands)
    except redis.exceptions.AuthenticationError as error:
        raise LoginRefusedError(error) from error
    except redis.ResponseError as error:
        # The database could not be selected.
        return [error for _ in commands]


def converse(connection: GuardedConnection, commands: Sequence[Command]) -> list[Reply]:
    """Send a pipeline on a connection; where it is lost, that is the reply to each."""
    try:
        return connection.exchange(commands)
    except redis.TimeoutError as error:
        return [TimedOut(f"no reply ({error})") for _ in commands]
    except redis.ConnectionError as error:
        return [NoReply(f"no reply ({error})") for _ in commands]


def one_by_one(connection: GuardedConnection, commands: Sequence[Command]) -> list[Reply]:
    """Send commands each after the reply to the one before."""
    return [converse(connection, [command])[0] for command in commands]


def received(connection: GuardedConnection) -> list[Reply]:
    """Return what has arrived on a connection by the time that a PING is answered.

    The server sends in the order in which things happened, so nothing is under way any more.
    """
    messages: list[Reply] = []
    try:
        connection.send_batch([(b"PING", _SENTINEL)])
        while len(messages) < _MOST_PUSHES:
            message = connection.read_replies(1)[0]
            if message in (_SENTINEL, [b"pong", _SENTINEL]) or is_refusal(message):
                break
            messages.append(message)
    except (redis.ConnectionError, redis.TimeoutError):
        # What came before the end counts.
        pass
    return messages
