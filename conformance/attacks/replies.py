# SPDX-License-Identifier: Apache-2.0
"""What a reply says to somebody who tried what is not allowed."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import redis

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from kryonix_cache.reference_impl.connection import Reply

_SHOWN = 160
_DIGEST = re.compile(r"#[0-9a-f]{16,}")
_NOT_UNDERSTOOD = ("ERR wrong number of arguments", "ERR unknown", "ERR syntax", "ERR Unknown")


class NoReply(redis.ResponseError):
    """The connection was closed."""


class TimedOut(NoReply):
    """Nothing came in time, which says nothing of the one who was asked."""


def is_refusal(reply: Reply) -> bool:
    """Say whether the server denied the permission; the texts differ, the code does not."""
    # redis-py takes the code away where it makes its own class of it.
    return isinstance(reply, redis.exceptions.NoPermissionError) or (
        isinstance(reply, redis.ResponseError) and str(reply).startswith("NOPERM")
    )


def is_locked_out(reply: Reply) -> bool:
    """Say whether the session may do nothing at all any more."""
    if isinstance(reply, TimedOut):
        return False
    if isinstance(reply, NoReply | redis.exceptions.AuthenticationError):
        return True
    return isinstance(reply, redis.ResponseError) and str(reply).startswith(
        ("NOAUTH", "WRONGPASS", "ERR AUTH", "ERR Client sent AUTH")
    )


def is_not_understood(reply: Reply) -> bool:
    """Say whether the words were wrong, so that nothing was tried."""
    return isinstance(reply, redis.ResponseError) and str(reply).startswith(_NOT_UNDERSTOOD)


def shown(reply: object) -> str:
    """Return a reply as it can stand in a report: short, and without digests of passwords."""
    text = str(reply) if isinstance(reply, Exception) else repr(reply)
    text = _DIGEST.sub("#...", text)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def bytes_in(reply: object) -> Iterator[bytes]:
    """Yield every text that a reply holds, however deep."""
    if isinstance(reply, bytes):
        yield reply
    elif isinstance(reply, str):
        yield reply.encode(errors="surrogateescape")
    elif isinstance(reply, Exception):
        yield str(reply).encode(errors="surrogateescape")
    elif isinstance(reply, dict):
        for key, value in reply.items():
            yield from bytes_in(key)
            yield from bytes_in(value)
    elif isinstance(reply, list | tuple | set | frozenset):
        for each in reply:
            yield from bytes_in(each)


def traces(reply: object, marks: Iterable[bytes]) -> list[bytes]:
    """Return which of the marks stand in the reply."""
    texts = list(bytes_in(reply))
    return [mark for mark in marks if any(mark in text for text in texts)]
