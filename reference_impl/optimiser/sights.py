# SPDX-License-Identifier: Apache-2.0
"""Looking at cached answers: what lives how long, which written value it is, and how old."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import redis

from kryonix_cache.reference_impl.optimiser import sightings
from kryonix_cache.reference_impl.optimiser.errors import BookkeepingUnusableError
from kryonix_cache.reference_impl.optimiser.rules import GONE, Standing
from kryonix_cache.reference_impl.optimiser.sightings import Sightings, moment_of
from kryonix_cache.reference_impl.optimiser.values import age_ms, read_value
from kryonix_cache.reference_impl.tenant.families import ANSWERS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from kryonix_cache.reference_impl.bulk import Reply
    from kryonix_cache.reference_impl.connection import Command, GuardedConnection
    from kryonix_cache.reference_impl.optimiser.turn import Turn
    from kryonix_cache.reference_impl.optimiser.values import CachedValue

READ_AT_ONCE = 1 << 22
"""Bytes of values that are asked for in one go."""


@dataclass(frozen=True, slots=True)
class Sight:
    """One answer: `value` is None where it was not read, and `fault` says why if that is one."""

    key: bytes
    ttl_ms: int
    value: CachedValue | None = None
    first_seen: datetime | None = None
    extended: bool = False
    fault: str | None = None

    def standing(self, now: datetime) -> Standing:
        """Return what the rules want to know; an age counts from the first sight if need be."""
        since = self.value.cached_before(now) if self.value else None
        return Standing(self.ttl_ms, age_ms(since or self.first_seen, now), self.extended)


@dataclass(frozen=True, slots=True)
class View:
    """Answers at one moment of the run's clock and of the server's."""

    now: datetime
    server_ms: int
    sights: Mapping[bytes, Sight]
    full: bool
    """No more marks can be set for this tenant."""

    @property
    def unmarked(self) -> Iterator[tuple[bytes, CachedValue]]:
        """Values that do not tell their age, and are seen for the first time."""
        for sight in self.sights.values():
            value = sight.value
            if value and sight.first_seen is None and value.cached_before(self.now) is None:
                yield sight.key, value


def look(
    connection: GuardedConnection, turn: Turn, keys: Sequence[bytes], *, trail: bytes | None = None
) -> View:
    """Look at answers of the tenant; with the key of its `trail`, watch all that can be changed.

    Three round trips, and one more for each `READ_AT_ONCE` bytes of values. What never expires is
    read as well.

    Raises:
        BookkeepingUnusableError: the tenant's marks or trail are of another type.
        redis.ResponseError: the server refuses a command that concerns all of them.

    """
    marks = Sightings(turn.contract, turn.tenant)
    commands: list[Command] = []
    if trail is not None:
        commands += [*turn.watch(*keys, marks.key, trail), (b"TYPE", trail)]
    commands += [(b"TIME",), (b"TYPE", marks.key), (b"ZCARD", marks.key)]
    ahead = len(commands)
    commands += [command for key in keys for command in ((b"PTTL", key), (b"STRLEN", key))]
    replies = connection.exchange(commands)
    # Taken after the server's time was read, so that what follows errs on the old side.
    now = turn.clock.now()
    if trail is not None:
        check_type(trail, replies[ahead - 4], b"list")
    check_type(marks.key, replies[ahead - 2], b"zset")
    server, _, marked = turn.accepted(replies[:ahead])[-3:]
    sizes = zip(keys, replies[ahead::2], replies[ahead + 1 :: 2], strict=True)
    found = [_measured(turn, *size) for size in sizes]
    values = dict(_values(connection, turn, found))
    return View(
        now=now,
        server_ms=milliseconds(server),
        sights={
            sight.key: sight
            for sight in _marked(connection, turn, marks, [sight for sight, _ in found], values)
        },
        full=cast("int", marked) >= sightings.MOST,
    )


def milliseconds(reply: Reply) -> int:
    """Return the reply of TIME in milliseconds since 1970."""
    seconds, microseconds = cast("list[bytes]", reply)
    return int(seconds) * 1000 + int(microseconds) // 1000


def check_type(key: bytes, reply: Reply, wanted: bytes) -> None:
    """Raise BookkeepingUnusableError for a key of another type than `wanted`."""
    if isinstance(reply, bytes) and reply not in {wanted, b"none"}:
        raise BookkeepingUnusableError(
            key.decode(), f"is a {reply.decode()}, not a {wanted.decode()}"
        )


def _measured(turn: Turn, key: bytes, ttl: Reply, size: Reply) -> tuple[Sight, int]:
    largest = turn.contract.big_key_bytes
    for reply in (ttl, size):
        if isinstance(reply, redis.ResponseError):
            return Sight(key, GONE, fault=f"it cannot be read ({reply})"), 0
    sight = Sight(key, cast("int", ttl))
    if cast("int", size) > largest:
        fault = f"it has {size!r} bytes, more than the {largest} that are read"
        return Sight(key, sight.ttl_ms, fault=fault), 0
    return sight, cast("int", size)


def _values(
    connection: GuardedConnection, turn: Turn, found: Iterable[tuple[Sight, int]]
) -> Iterator[tuple[bytes, CachedValue]]:
    family = turn.contract.family(ANSWERS)
    end = b"%d" % turn.contract.big_key_bytes
    there = [(s.key, size) for s, size in found if s.fault is None and s.ttl_ms != GONE]
    for portion in portions(there):
        replies = connection.exchange([(b"GETRANGE", key, b"0", end) for key in portion])
        for key, reply in zip(portion, replies, strict=True):
            # No text: it is gone. An error: it has become something else. Neither has a value.
            if isinstance(reply, bytes) and reply:
                yield key, read_value(reply, family)


def portions(sizes: Iterable[tuple[bytes, int]]) -> Iterator[list[bytes]]:
    """Yield the keys of values in portions of at most `READ_AT_ONCE` bytes, or of one value."""
    portion: list[bytes] = []
    total = 0
    for key, size in sizes:
        if portion and total + size > READ_AT_ONCE:
            yield portion
            portion, total = [], 0
        portion.append(key)
        total += size
    if portion:
        yield portion


def _marked(
    connection: GuardedConnection,
    turn: Turn,
    marks: Sightings,
    found: Sequence[Sight],
    values: dict[bytes, CachedValue],
) -> Iterator[Sight]:
    asked = [marks.ask(key, value) for key, value in values.items()]
    replies = turn.accepted(connection.exchange(asked)) if asked else ()
    scores = dict(zip(values, replies, strict=True))
    for sight in found:
        if sight.key not in values:
            yield sight
            continue
        seen, extended = cast("list[Reply]", scores[sight.key])
        yield Sight(
            sight.key, sight.ttl_ms, values[sight.key], moment_of(seen), extended is not None
        )
