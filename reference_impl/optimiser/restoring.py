# SPDX-License-Identifier: Apache-2.0
"""
Taking back recorded changes of one tenant in one database.

A time to live is put back by moving its end, so that it is what it would be by now without the
change; what would be gone by now is deleted. Value and end are compared with the trail under a
watch, the end by the server's own clock, and the entry is marked in the same transaction: to undo
twice is to undo once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from kryonix_cache.reference_impl.optimiser.errors import BookkeepingUnusableError
from kryonix_cache.reference_impl.optimiser.rules import FOR_EVER, GONE
from kryonix_cache.reference_impl.optimiser.sights import check_type, milliseconds, portions
from kryonix_cache.reference_impl.optimiser.trail import LONGEST, Trail
from kryonix_cache.reference_impl.optimiser.turn import Done
from kryonix_cache.reference_impl.optimiser.values import MILLISECOND, digest_of
from kryonix_cache.reference_impl.scan import reader

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from kryonix_cache.reference_impl.bulk import Reply
    from kryonix_cache.reference_impl.connection import Command, GuardedConnection
    from kryonix_cache.reference_impl.optimiser.trail import Entry
    from kryonix_cache.reference_impl.optimiser.turn import Turn

LARGEST_TRAIL_BYTES = 1 << 22
_READ_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class Recorded:
    """An entry of the trail, where it lies, and how it is written."""

    index: int
    raw: bytes
    entry: Entry


@dataclass(frozen=True, slots=True)
class _Found:
    """What stands under a changed key, and when by the server's clock, at the earliest and latest.

    `digest` is None for what was not read.
    """

    ttl: Reply
    digest: str | None
    earliest_ms: int
    latest_ms: int

    def obstacle(self, entry: Entry) -> str | None:
        """Say what keeps the change from being taken back, if anything does."""
        if not isinstance(self.ttl, int):
            return f"it cannot be read ({self.ttl!s})"
        if self.ttl == GONE:
            return "it is gone"
        if self.digest != entry.value:
            return "its value was rewritten since"
        # A millisecond is lost in each reading of a clock.
        first, last = self.earliest_ms + self.ttl - 1, self.latest_ms + self.ttl + 1
        if self.ttl == FOR_EVER or not first <= entry.server_expiry_ms <= last:
            return "its expiry was changed since"
        return None


class Restoring:
    """Takes back what the turn's run changed."""

    def __init__(self, turn: Turn, database: int) -> None:
        self._turn = turn
        self._database = database
        self._client = turn.clients[database]
        self._trail = Trail(turn.contract, turn.tenant, database)

    def recorded(self) -> list[Recorded]:
        """Return the run's entries, the oldest first.

        Raises:
            BookkeepingUnusableError: the trail is none.
            redis.ResponseError: the server refuses to read it.

        """
        key, turn = self._trail.key, self._turn
        with reader(self._client) as connection:
            kind, size = turn.accepted(
                connection.exchange([(b"TYPE", key), (b"MEMORY", b"USAGE", key)])
            )
            check_type(key, kind, b"list")
            if cast("int", size or 0) > LARGEST_TRAIL_BYTES:
                raise BookkeepingUnusableError(key.decode(), f"has {size!r} bytes")
            raws = [raw for part in self._parts(connection) for raw in part]
        entries = ((raw, self._trail.read(raw)) for raw in raws)
        return [
            Recorded(index, raw, entry)
            for index, (raw, entry) in enumerate(entries)
            if entry is not None and entry.run == turn.run
        ]

    def _parts(self, connection: GuardedConnection) -> Iterator[list[bytes]]:
        for start in range(0, LONGEST, _READ_AT_ONCE):
            end = b"%d" % (start + _READ_AT_ONCE - 1)
            command = (b"LRANGE", self._trail.key, b"%d" % start, end)
            yield cast("list[bytes]", self._turn.accepted(connection.exchange([command]))[0])

    def place(self, recorded: Recorded) -> tuple[int, bytes]:
        """Return where the change was made."""
        return self._database, recorded.entry.change.key

    def attempt(self, part: Sequence[Recorded]) -> Done | None:
        """Take back some changes in one transaction; None if somebody else was quicker."""
        done, commands = Done(), list[tuple[bytes, ...]]()
        with reader(self._client, untouched=True) as connection:
            for recorded, found in zip(part, self._look(connection, part), strict=True):
                change = recorded.entry.change
                obstacle = self._obstacle(recorded, found)
                if obstacle is not None:
                    done.note(self._database, change.key, obstacle)
                    continue
                undone = recorded.entry.undone(self._turn.clock.at)
                commands.append((*self._trail.replace(recorded.index, undone),))
                commands.append(_restoring(recorded.entry, found))
                done.changes.append(change)
            return done if self._turn.commit(connection, commands) else None

    def _look(self, connection: GuardedConnection, part: Sequence[Recorded]) -> list[_Found | None]:
        """Return what stands there; None where the trail is not what it was."""
        turn, keys = self._turn, [each.entry.change.key for each in part]
        watch = turn.watch(*keys, self._trail.key)
        ask: list[Command] = [(b"LINDEX", self._trail.key, b"%d" % it.index) for it in part]
        ask += [(b"TIME",), *((b"PTTL", key) for key in keys), (b"TIME",)]
        ask += [(b"STRLEN", key) for key in keys]
        replies = connection.exchange([*watch, *ask])
        turn.accepted(replies[: len(watch)])
        replies, count = replies[len(watch) :], len(part)
        raws, (earliest, *ttls, latest) = replies[:count], replies[count : 2 * count + 2]
        turn.accepted([*raws, earliest, latest])
        digests = self._digests(connection, keys, replies[2 * count + 2 :])
        return [
            _Found(
                ttl,
                digests.get(each.entry.change.key),
                milliseconds(earliest),
                milliseconds(latest),
            )
            if raw == each.raw
            else None
            for each, raw, ttl in zip(part, raws, ttls, strict=True)
        ]

    def _digests(
        self, connection: GuardedConnection, keys: Sequence[bytes], sizes: Sequence[Reply]
    ) -> dict[bytes, str]:
        largest = self._turn.contract.big_key_bytes
        known = zip(keys, sizes, strict=True)
        small = [(key, it) for key, it in known if isinstance(it, int) and 0 < it <= largest]
        digests = {}
        for portion in portions(small):
            ask = [(b"GETRANGE", key, b"0", b"%d" % largest) for key in portion]
            for key, raw in zip(portion, connection.exchange(ask), strict=True):
                if isinstance(raw, bytes):
                    digests[key] = digest_of(raw)
        return digests

    def _obstacle(self, recorded: Recorded, found: _Found | None) -> str | None:
        """Say why a change cannot be taken back, if so."""
        entry, turn = recorded.entry, self._turn
        parsed = turn.contract.parse(self._database, entry.change.key)
        if parsed is None or parsed.tenant != turn.tenant:
            return "it is no key of the tenant on whose trail it stands"
        if found is None:
            return "the trail was changed meanwhile: undo again"
        return found.obstacle(entry)


def _restoring(entry: Entry, found: _Found | None) -> tuple[bytes, ...]:
    change = entry.change
    if change.action == "written" or change.expires_before is None:
        return (b"UNLINK", change.key)
    gain_ms = (change.expires_after - change.expires_before) // MILLISECOND
    end_ms = entry.server_expiry_ms - gain_ms
    if found is None or end_ms <= found.latest_ms:
        return (b"UNLINK", change.key)
    return (b"PEXPIREAT", change.key, b"%d" % end_ms)
