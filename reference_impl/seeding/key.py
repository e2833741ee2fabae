# SPDX-License-Identifier: Apache-2.0
"""
A key to be seeded: the command that writes it, and how to tell it from somebody else's.

The server holds no mark of what seeding wrote: a mark would be one key more than the
specification's sample has. A key is therefore ours when type and value are what seeding
writes, leaving aside the parts that carry the moment of seeding. Whatever differs is somebody
else's, be it by birth or by later change, and is neither overwritten nor removed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeAlias

from kryonix_cache.reference_impl.bulk import portions

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

Command: TypeAlias = tuple[bytes, ...]
Value: TypeAlias = bytes | tuple[bytes, ...] | frozenset[bytes] | dict[bytes, bytes]
"""A string, a list, a set, or the fields of a hash, or members with scores of a sorted set."""

TYPE_OF_WRITE: Mapping[bytes, str] = {
    b"SET": "string",
    b"HSET": "hash",
    b"RPUSH": "list",
    b"SADD": "set",
    b"ZADD": "zset",
}

BATCH_KEYS = 500
BATCH_BYTES = 256 * 1024
"""One transaction holds the server up for its whole length: a few milliseconds at this size."""


@dataclass(frozen=True, slots=True)
class SeedKey:
    """One key as seeding wants it.

    `write` creates the key where there is none. `ttl` is in seconds; None means for ever.
    `present` names the hash fields or sorted-set members that carry the moment of seeding;
    they are kept where the key is there already, unless `moment_fixed`. A `shared` key belongs
    to the whole system: one of its type that is there already is left as it is.
    """

    database: int
    write: Command
    ttl: int | None = None
    present: frozenset[bytes] = frozenset()
    moment_fixed: bool = False
    shared: bool = False

    @property
    def name(self) -> bytes:
        """The key's name."""
        return self.write[1]

    @property
    def type(self) -> str:
        """The key's type, as the command TYPE says it."""
        return TYPE_OF_WRITE[self.write[0]]

    @property
    def value(self) -> Value:
        """The value in a form that does not depend on the order in which a server returns it."""
        arguments = self.write[2:]
        if self.type == "string":
            return arguments[0]
        if self.type == "hash":
            return dict(zip(arguments[0::2], arguments[1::2], strict=True))
        if self.type == "zset":
            return dict(zip(arguments[1::2], arguments[0::2], strict=True))
        return frozenset(arguments) if self.type == "set" else arguments

    @property
    def expiry(self) -> Command:
        """The command that gives a key that is there already its full time to live again."""
        if self.ttl is None:
            return (b"PERSIST", self.name)
        return (b"EXPIRE", self.name, b"%d" % self.ttl)

    def creation(self) -> tuple[Command, ...]:
        """Return the commands that make the key; they belong into one transaction."""
        if self.ttl is None:
            return (self.write,)
        if self.write[0] == b"SET":
            return ((*self.write, b"EX", b"%d" % self.ttl),)
        return (self.write, self.expiry)

    def owns(self, found: Value) -> bool:
        """Say whether `found`, a value of the key's type, is what seeding wrote."""
        return _without(found, self.present) == _without(self.value, self.present)


def _without(value: Value, present: frozenset[bytes]) -> Value:
    if present and isinstance(value, dict):
        return {name: b"" if name in present else text for name, text in value.items()}
    return value


class SeedPlan(Protocol):
    """What is to be seeded. `keys` gives the same keys each time it is asked."""

    @property
    def sizes(self) -> Mapping[int, int]:
        """Number of keys of each database that has any."""
        ...

    @property
    def tenant_databases(self) -> Sequence[int]:
        """The databases that may hold keys of tenants, be they of this plan or not."""
        ...

    def keys(self, database: int) -> Iterator[SeedKey]:
        """Return the keys of one database."""
        ...

    def is_of_tenant(self, database: int, name: bytes) -> bool:
        """Say whether a key belongs to a tenant, be it of this plan or not."""
        ...


def in_batches(keys: Iterator[SeedKey]) -> Iterator[list[SeedKey]]:
    """Group keys into batches bounded by count and by bytes; a larger key is a batch of its own."""
    sized = ((key, sum(map(len, key.write))) for key in keys)
    return portions(sized, most_bytes=BATCH_BYTES, most=BATCH_KEYS)
