# SPDX-License-Identifier: Apache-2.0
"""
One pass over the keys of each database: what every reader of the whole keyspace stands on.

The pass is driven by SCAN cursors, never by KEYS (E08), and asks type, time to live and size
of each key in pipelines that are packed by hand. Nothing is kept for a key once its batch was
handed on, so memory does not grow with the keyspace. SCAN promises each key that stays there
at least once; a key may come twice while the server resizes its tables.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias, cast
from weakref import WeakSet

import redis

from kryonix_cache.reference_impl.bulk import KeyTemplate
from kryonix_cache.reference_impl.connection import bulk
from kryonix_cache.reference_impl.errors import (
    DatabaseUnavailableError,
    ImpactInvalidError,
    ReadDeniedError,
    ScanLostError,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from kryonix_cache.reference_impl.bulk import Reply
    from kryonix_cache.reference_impl.connection import Clients, GuardedConnection

KeyRow: TypeAlias = tuple[bytes, bytes, int, int]
"""Name, type, time to live in milliseconds (-1: for ever), and size in bytes of one key."""

IMPACTS: Mapping[str, float] = {"low": 0.1, "medium": 0.4, "high": 1.0}
"""The words for `max_impact`, as shares of the wall time."""

PAGE_KEYS = 1000
"""COUNT of SCAN: larger gains nothing and holds other clients up for 20 ms and more."""

PIPELINE_KEYS = 200
"""Keys asked in one go: the server answers in under a millisecond."""

_GONE = -2


@dataclass(frozen=True, slots=True)
class Page:
    """Names of some keys of one database, and the connection that more can be asked on."""

    database: int
    names: Sequence[bytes]
    connection: GuardedConnection


@dataclass(frozen=True, slots=True)
class ScanBatch:
    """Some keys of one database, and how many vanished between SCAN and the questions."""

    database: int
    rows: Sequence[KeyRow]
    vanished: int


def impact_of(text: str) -> float:
    """Read a `max_impact`: low, medium, high, or a share above 0 and up to 1.

    Raises:
        ImpactInvalidError: it is none of these.

    """
    if text in IMPACTS:
        return IMPACTS[text]
    try:
        share = float(text)
    except ValueError:
        raise ImpactInvalidError(text, IMPACTS) from None
    if not 0 < share <= 1:
        raise ImpactInvalidError(text, IMPACTS)
    return share


def scan(
    clients: Clients,
    databases: Iterable[int],
    *,
    max_impact: float = 1.0,
    sizes: bool = True,
) -> Iterator[ScanBatch]:
    """Yield every key of the databases, in batches, one database after the other.

    The next batch is under way while the caller looks at one, so judging costs the pass
    little. `max_impact` is the share of wall time in which the server may be kept busy. Without
    `sizes` each size is 0, and MEMORY USAGE is not sent.

    Raises:
        ScanLostError: the server went away.
        ReadDeniedError: this user may not run one of the commands.

    """
    template = _WITH_SIZES if sizes else _WITHOUT_SIZES
    pause = _Pause(max_impact)
    for database in databases:
        client = clients[database]
        with told(client, database), reader(client) as connection:
            yield from _batches(connection, database, template, pause)


def pages(clients: Clients, databases: Iterable[int], *, max_impact: float = 1.0) -> Iterator[Page]:
    """Yield the names of the keys of the databases, and ask nothing else.

    The caller asks what it needs of the few keys that concern it, on the page's connection and
    before it takes the next page; the access clocks of values are left alone where the server
    can. `max_impact` counts the caller's time too.

    Raises:
        ScanLostError: the server went away.
        ReadDeniedError: this user may not run SCAN.

    """
    pause = _Pause(max_impact)
    for database in databases:
        client = clients[database]
        with told(client, database), reader(client, untouched=True) as connection:
            pause.start()
            for names in _pages(connection):
                yield Page(database, names, connection)
                pause.rest()


def count_keys(clients: Clients, databases: Iterable[int]) -> dict[int, int]:
    """Return how many keys each database holds.

    Raises:
        ScanLostError: the server went away.
        ReadDeniedError: this user may not run DBSIZE.

    """
    sizes = {}
    for database in databases:
        with told(clients[database], database), reader(clients[database]) as connection:
            (size,) = answered(connection.exchange([(b"DBSIZE",)]), ("DBSIZE",))
            sizes[database] = cast("int", size)
    return sizes


_TOUCHING: WeakSet[redis.ConnectionPool] = WeakSet()
"""Pools to servers without CLIENT NO-TOUCH, or whose user may not send it."""


@contextmanager
def reader(client: redis.Redis, *, untouched: bool = False) -> Iterator[GuardedConnection]:
    """Take a connection for bulk reads.

    With `untouched`, reading leaves the access clocks of the values alone where the server
    has CLIENT NO-TOUCH (Redis 7.2, Valkey).
    """
    pool = client.connection_pool
    with bulk(client) as connection:
        if not untouched or pool in _TOUCHING:
            yield connection
            return
        (reply,) = connection.exchange([(b"CLIENT", b"NO-TOUCH", b"ON")])
        if isinstance(reply, redis.ResponseError):
            # An older server: two round trips less for each later reading.
            _TOUCHING.add(pool)
            yield connection
            return
        yield connection
        connection.exchange([(b"CLIENT", b"NO-TOUCH", b"OFF")])


@contextmanager
def told(client: redis.Redis, database: int) -> Iterator[None]:
    """Turn the loss of the server, and its refusals, into the project's own errors."""
    try:
        yield
    except redis.ResponseError as error:
        if "DB index" in str(error):
            raise DatabaseUnavailableError(_address(client), database, str(error)) from error
        if not str(error).startswith("NOPERM"):
            raise ScanLostError(_address(client), f"database {database}", str(error)) from error
        raise ReadDeniedError(f"SELECT {database}", str(error)) from error
    except redis.RedisError as error:
        raise ScanLostError(_address(client), f"database {database}", str(error)) from error


def answered(replies: list[Reply], commands: Sequence[str]) -> list[Reply]:
    """Return the replies; `commands` name them in turn, over and over.

    Raises:
        ReadDeniedError: the server refused one of them to this user.
        redis.ResponseError: the server refused one for another reason.

    """
    for index, reply in enumerate(replies):
        if isinstance(reply, redis.ResponseError):
            if str(reply).startswith("NOPERM"):
                raise ReadDeniedError(commands[index % len(commands)], str(reply))
            raise reply
    return replies


_WITHOUT_SIZES = KeyTemplate((b"TYPE", None), (b"PTTL", None))
# SAMPLES is left at the server's default of 5: 0 would walk each element of a big value.
_WITH_SIZES = KeyTemplate((b"TYPE", None), (b"PTTL", None), (b"MEMORY", b"USAGE", None))
_NAMES = ("TYPE", "PTTL", "MEMORY USAGE")


class _Pause:
    """Sleeps after work so that work stays within a share of the wall time."""

    def __init__(self, share: float) -> None:
        self._rest_per_work = (1 - share) / share
        self._since = time.monotonic()

    def start(self) -> None:
        self._since = time.monotonic()

    def rest(self) -> None:
        if self._rest_per_work:
            time.sleep((time.monotonic() - self._since) * self._rest_per_work)
            self._since = time.monotonic()


def _batches(
    connection: GuardedConnection, database: int, template: KeyTemplate, pause: _Pause
) -> Iterator[ScanBatch]:
    pause.start()
    judged: ScanBatch | None = None
    for names in _chunks(connection):
        connection.send_keys(template, names)
        if judged:
            yield judged
        judged = _batch(database, names, connection.read_replies(len(names) * len(template)))
        pause.rest()
    if judged:
        yield judged


def _pages(connection: GuardedConnection) -> Iterator[list[bytes]]:
    cursor = b"0"
    while True:
        page = connection.exchange([(b"SCAN", cursor, b"COUNT", b"%d" % PAGE_KEYS)])
        cursor, names = cast("tuple[bytes, list[bytes]]", answered(page, ("SCAN",))[0])
        if names:
            yield names
        if cursor == b"0":
            return


def _chunks(connection: GuardedConnection) -> Iterator[list[bytes]]:
    for names in _pages(connection):
        for start in range(0, len(names), PIPELINE_KEYS):
            yield names[start : start + PIPELINE_KEYS]


def _batch(database: int, names: list[bytes], replies: list[Reply]) -> ScanBatch:
    width = len(replies) // len(names)
    if not {*map(type, replies)} <= {bytes, int}:
        # What is left after errors is the nil of MEMORY USAGE for a key that vanished.
        answered(replies, _NAMES[:width])
    types, ttls = cast("list[bytes]", replies[0::width]), cast("list[int]", replies[1::width])
    sizes = cast("list[int]", replies[2::width]) if width == len(_WITH_SIZES) else [0] * len(names)
    rows: list[KeyRow] = list(zip(names, types, ttls, sizes, strict=True))
    if _GONE in ttls or b"none" in types or None in sizes:
        rows = [row for row in rows if row[1] != b"none" and row[2] != _GONE and row[3] is not None]
    return ScanBatch(database, rows, len(names) - len(rows))


def _address(client: redis.Redis) -> str:
    options = client.connection_pool.connection_kwargs
    return str(options.get("path") or f"{options.get('host')}:{options.get('port')}")
