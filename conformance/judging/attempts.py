# SPDX-License-Identifier: Apache-2.0
"""What a connection that shows neither password nor certificate is let do."""

from __future__ import annotations

import dataclasses
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, cast

import redis

from kryonix_cache.reference_impl.connection import connect

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from kryonix_cache.reference_impl.bulk import Reply
    from kryonix_cache.reference_impl.connection import CommandPolicy, Endpoint

PROBE_KEY = b"kryonix-cache:authentication-probe"
"""The key that an unauthenticated connection tries to read; nobody ever writes it."""

CONNECTION = "connection"
"""Stands for a command where the server refused the connection as a whole."""

PROBES: tuple[tuple[bytes, ...], ...] = (
    (b"PING",),
    (b"GET", PROBE_KEY),
    (b"EXISTS", PROBE_KEY),
    (b"TYPE", PROBE_KEY),
    (b"HGETALL", PROBE_KEY),
    (b"DBSIZE",),
    (b"SCAN", b"0", b"COUNT", b"1"),
    (b"INFO", b"server"),
    (b"CONFIG", b"GET", b"maxclients"),
    (b"ACL", b"WHOAMI"),
)
"""Reading commands of every kind, since an ACL may deny some and let the others through."""

_NAMES = ("PING", "GET", "EXISTS", "TYPE", "HGETALL", "DBSIZE", "SCAN", "INFO", "CONFIG GET",
          "ACL WHOAMI")  # fmt: skip
_TOO_MANY_CLIENTS = "max number of clients"


@dataclass(frozen=True, slots=True)
class Attempt:
    """What a connection without credentials was answered to one command.

    `reply` is None where it stays open what the server would have answered, and `reason` says
    why.
    """

    command: str
    allowed: bool
    reply: str | None
    reason: str = ""


class _Line(Protocol):
    """One connection, which is opened and closed by hand."""

    silent: bool

    def connect(self) -> None: ...

    def disconnect(self) -> None: ...

    def exchange(self, commands: Sequence[Sequence[bytes]]) -> list[Reply]: ...

    def read_replies(self, count: int) -> list[Reply]: ...


def attempt_without_credentials(
    endpoint: Endpoint, *, policy: CommandPolicy | None = None
) -> tuple[Attempt, ...]:
    """Try reading commands without password and certificate; nothing is written.

    A server that takes the connection and then closes it, with a TLS alert that asks for a
    certificate or with the reply of protected mode, has refused it: one attempt named
    `connection` says so. A time-out, a refused port and the limit of clients prove nothing.
    """
    bare = dataclasses.replace(
        endpoint, username=None, password=None, cert_file=None, key_file=None, database=0
    )
    client = connect(bare, 0, policy=policy, max_connections=1)
    # The pool takes the session tickets of TLS 1.3, and a server's last words, for leftovers
    # of another command, and hands no connection out.
    connection = cast("_Line", client.connection_pool.make_connection())
    try:
        connection.connect()
        replies = connection.exchange(PROBES)
    except redis.RedisError:
        connection.disconnect()
        return (_refusal(connection),)
    finally:
        client.close()
    return tuple(_attempt(*each) for each in zip(_NAMES, replies, strict=True))


def _attempt(name: str, reply: Reply) -> Attempt:
    if isinstance(reply, redis.ResponseError):
        return Attempt(name, allowed=False, reply=_line(reply))
    # What was served may name keys of others, so it is not kept.
    return Attempt(name, allowed=True, reply="served")


def _refusal(connection: _Line) -> Attempt:
    """Connect again and listen without a word, to learn why the connection was lost.

    Sending to a closed connection can lose the server's last words.
    """
    connection.silent = True
    try:
        connection.connect()
    except redis.RedisError as error:
        return _refused(error) if _is_alert(error) else _open(error)
    try:
        (reply,) = connection.read_replies(1)
    except redis.TimeoutError as error:
        return _open(error)
    except redis.RedisError as error:
        return _refused(error)
    finally:
        connection.disconnect()
    return _open(reply) if _TOO_MANY_CLIENTS in _line(reply) else _refused(reply)


def _refused(why: object) -> Attempt:
    return Attempt(CONNECTION, allowed=False, reply=_line(why))


def _open(why: object) -> Attempt:
    return Attempt(CONNECTION, allowed=False, reply=None, reason=_line(why))


def _is_alert(error: BaseException) -> bool:
    """Say whether the server ended the handshake, as TLS 1.2 does without a certificate.

    The same handshake with a certificate came about just before.
    """
    return any(
        isinstance(each, ssl.SSLError) and "ALERT" in (each.reason or "") for each in _chain(error)
    )


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _line(value: object) -> str:
    text = value.decode(errors="replace") if isinstance(value, bytes) else str(value)
    return (text.splitlines() or [""])[0][:200]
