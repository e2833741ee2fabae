# SPDX-License-Identifier: Apache-2.0
"""
Some fields of very many hashes, each in the contract's format, and none of unknown size.

Whatever cannot be used becomes a problem and stays unknown (E18): a value in no format, a key of
another type, a field so long that reading it would hold up the server.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

import redis

from kryonix_cache.reference_impl.bulk import KeyTemplate
from kryonix_cache.reference_impl.errors import FormatError, ReadDeniedError
from kryonix_cache.reference_impl.optimiser.report import Problem

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from kryonix_cache.reference_impl.bulk import Reply
    from kryonix_cache.reference_impl.connection import GuardedConnection
    from kryonix_cache.reference_impl.contract.model import Family, Field

LONGEST_BYTES = 65_536
"""Of one field: what the contract's format `text` holds at most."""

PIPELINE_BYTES = 4 << 20
"""Of the values of one pipeline."""


@dataclass(slots=True)
class Reading:
    """What one hash holds: `values` of the fields that are there and are in their format."""

    key: bytes
    values: dict[str, object] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)


def place_of(database: int, key: bytes, field_name: str | None = None) -> str:
    """Return where a key lies, and its field if one is meant, as a problem names it."""
    place = f"db {database} {key.decode(errors='backslashreplace')}"
    return place if field_name is None else f"{place} {field_name}"


class HashFields:
    """Reads the named fields of hashes of one family."""

    def __init__(self, family: Family, names: Sequence[str]) -> None:
        self.family = family
        self._fields = tuple(family.fields[name] for name in names)
        raw = [name.encode() for name in names]
        self._sizes = KeyTemplate(*((b"HSTRLEN", None, name) for name in raw))
        self._values = KeyTemplate((b"HMGET", None, *raw))

    def read(
        self, connection: GuardedConnection, database: int, keys: Sequence[bytes]
    ) -> list[Reading]:
        """Return a reading for each key, in the same order; at most some hundred keys at once.

        Raises:
            ReadDeniedError: this user may not run HSTRLEN or HMGET.

        """
        sizes = connection.exchange_keys(self._sizes, keys)
        width = len(self._fields)
        readings = [Reading(key) for key in keys]
        small = []
        for index, reading in enumerate(readings):
            lengths = sizes[index * width : (index + 1) * width]
            what = _refusal(lengths, "HSTRLEN")
            if what is not None:
                reading.problems.append(Problem(place_of(database, reading.key), what))
            elif max(cast("Sequence[int]", lengths)) > LONGEST_BYTES:
                self._fill_around(connection, database, reading, cast("Sequence[int]", lengths))
            else:
                small.append((reading, sum(cast("Sequence[int]", lengths))))
        for some in _bounded(small):
            replies = connection.exchange_keys(self._values, [reading.key for reading in some])
            for reading, reply in zip(some, replies, strict=True):
                _fill(reading, database, self._fields, reply)
        return readings

    def _fill_around(
        self,
        connection: GuardedConnection,
        database: int,
        reading: Reading,
        lengths: Sequence[int],
    ) -> None:
        """Read the fields beside an enormous one."""
        usable = []
        for each, length in zip(self._fields, lengths, strict=True):
            if length <= LONGEST_BYTES:
                usable.append(each)
                continue
            what = f"{length} bytes are more than the {LONGEST_BYTES} that a field may have"
            where = place_of(database, reading.key, each.name)
            reading.problems.append(Problem(where, what))
        if usable:
            names = [each.name.encode() for each in usable]
            (reply,) = connection.exchange([(b"HMGET", reading.key, *names)])
            _fill(reading, database, usable, reply)


def _fill(reading: Reading, database: int, fields: Sequence[Field], reply: Reply) -> None:
    what = _refusal((reply,), "HMGET")
    if what is not None:
        reading.problems.append(Problem(place_of(database, reading.key), what))
        return
    for each, raw in zip(fields, cast("Sequence[bytes | None]", reply), strict=True):
        if raw is None:
            continue
        try:
            reading.values[each.name] = _parsed(each, raw)
        except FormatError as error:
            where = place_of(database, reading.key, each.name)
            reading.problems.append(Problem(where, str(error)))


def _refusal(replies: Sequence[Reply], command: str) -> str | None:
    for reply in replies:
        if isinstance(reply, redis.ResponseError):
            if str(reply).startswith("NOPERM"):
                raise ReadDeniedError(command, str(reply))
            return str(reply)
    return None


def _bounded(sized: Sequence[tuple[Reading, int]]) -> Iterator[list[Reading]]:
    some: list[Reading] = []
    total = 0
    for reading, size in sized:
        if some and total + size > PIPELINE_BYTES:
            yield some
            some, total = [], 0
        some.append(reading)
        total += size
    if some:
        yield some


def _parsed(each: Field, raw: bytes) -> object:
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        raise FormatError("UTF-8 text") from None
    value = each.format.parse(text)
    if each.values and text not in each.values:
        raise FormatError(f"one of {', '.join(each.values)}")
    return value
