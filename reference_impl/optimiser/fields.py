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

from kryonix_cache.reference_impl.bulk import KeyTemplate, portions
from kryonix_cache.reference_impl.errors import FormatError, ReadDeniedError
from kryonix_cache.reference_impl.problems import Problem, place_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kryonix_cache.reference_impl.bulk import Reply
    from kryonix_cache.reference_impl.connection import GuardedConnection
    from kryonix_cache.reference_impl.contract.model import Family, Field

LONGEST_BYTES = 65_536
"""Of one field: what the contract's format `text` holds at most."""

_NUMBERS = {int}
PIPELINE_BYTES = 4 << 20
"""Of the values of one pipeline."""


@dataclass(slots=True)
class Reading:
    """What one hash holds: `values` of the fields that are there and are in their format."""

    key: bytes
    values: dict[str, object] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)


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
            # Nearly all are small, and those are many.
            known = cast("Sequence[int]", lengths)
            if {*map(type, lengths)} == _NUMBERS and max(known) <= LONGEST_BYTES:
                small.append((reading, sum(known)))
                continue
            what = refusal(lengths, "HSTRLEN")
            if what is not None:
                reading.problems.append(Problem(place_of(database, reading.key), what))
            else:
                self._fill_around(connection, database, reading, known)
        for some in portions(small, most_bytes=PIPELINE_BYTES):
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
    what = None if type(reply) is list else refusal((reply,), "HMGET")
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


def refusal(replies: Sequence[Reply], command: str) -> str | None:
    """Return what the server says against a key; raise ReadDeniedError if it is the account."""
    for reply in replies:
        if isinstance(reply, redis.ResponseError):
            if str(reply).startswith("NOPERM"):
                raise ReadDeniedError(command, str(reply))
            return str(reply)
    return None


def _parsed(each: Field, raw: bytes) -> object:
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        raise FormatError("UTF-8 text") from None
    value = each.format.parse(text)
    if each.values and text not in each.values:
        raise FormatError(f"one of {', '.join(each.values)}")
    return value
