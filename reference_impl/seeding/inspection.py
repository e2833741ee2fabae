# SPDX-License-Identifier: Apache-2.0
"""Looking at the keys that are there already: which are ours, which are somebody else's."""

from __future__ import annotations

from enum import Enum, auto
from typing import TYPE_CHECKING, cast

import redis

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from kryonix_cache.reference_impl.connection import Command, GuardedConnection, Reply
    from kryonix_cache.reference_impl.seeding.key import SeedKey, Value


class State(Enum):
    """What stands on the server in the place of a key to be seeded."""

    MISSING = auto()
    OURS = auto()
    OF_ANOTHER_MOMENT = auto()
    """Ours, but the plan fixes the moment of seeding and the key carries another one."""
    SHARED = auto()
    """A key of the whole system that somebody wrote before; it is left as it is."""
    FOREIGN = auto()


_LENGTH = {
    "string": b"STRLEN",
    "hash": b"HLEN",
    "list": b"LLEN",
    "set": b"SCARD",
    "zset": b"ZCARD",
}


def answered(replies: Iterable[Reply]) -> list[Reply]:
    """Return the replies; raise the first error among them."""
    found = list(replies)
    for reply in found:
        if isinstance(reply, redis.ResponseError):
            raise reply
    return found


def ask(connection: GuardedConnection, commands: Sequence[Command]) -> list[Reply]:
    """Send a pipeline and return its replies; raise redis.ResponseError for the first error."""
    return answered(connection.exchange(commands)) if commands else []


def inspect(connection: GuardedConnection, keys: Sequence[SeedKey]) -> list[State]:
    """Say of each key what stands in its place.

    A value is read only where type and length are right, so that a foreign key of a gigabyte
    costs no more than any other.
    """
    states = [State.MISSING] * len(keys)
    alike = []
    types = ask(connection, [(b"TYPE", key.name) for key in keys])
    there = [index for index, found in enumerate(types) if found != b"none"]
    typed = [index for index in there if types[index] == keys[index].type.encode()]
    lengths = ask(connection, [_length_of(keys[index]) for index in typed])
    for index in there:
        states[index] = State.FOREIGN
    for index, length in zip(typed, lengths, strict=True):
        states[index] = State.SHARED if keys[index].shared else State.FOREIGN
        if length == len(keys[index].value):
            alike.append(index)
    values = ask(connection, [_read_of(keys[index]) for index in alike])
    for index, reply in zip(alike, values, strict=True):
        states[index] = _by_value(keys[index], reply, otherwise=states[index])
    return _without_expired(connection, keys, states)


def _without_expired(
    connection: GuardedConnection, keys: Sequence[SeedKey], states: list[State]
) -> list[State]:
    # A key may expire between two looks at it, and then seems to differ.
    odd = [index for index, state in enumerate(states) if state is State.FOREIGN]
    types = ask(connection, [(b"TYPE", keys[index].name) for index in odd])
    for index, found in zip(odd, types, strict=True):
        if found == b"none":
            states[index] = State.MISSING
    return states


def _length_of(key: SeedKey) -> Command:
    return (_LENGTH[key.type], key.name)


def _read_of(key: SeedKey) -> Command:
    if key.type == "list":
        return (b"LRANGE", key.name, b"0", b"-1")
    if key.type == "zset":
        return (b"ZRANGE", key.name, b"0", b"-1", b"WITHSCORES")
    return ({"string": b"GET", "hash": b"HGETALL", "set": b"SMEMBERS"}[key.type], key.name)


def _by_value(key: SeedKey, reply: Reply, *, otherwise: State) -> State:
    found = _value(key.type, reply)
    if not key.owns(found):
        return otherwise
    if key.moment_fixed and found != key.value:
        return State.OF_ANOTHER_MOMENT
    return State.OURS


def _value(type_: str, reply: Reply) -> Value:
    if type_ == "string":
        # A string that expired since its length was read has no value.
        return reply if isinstance(reply, bytes) else b""
    items = cast("list[bytes]", reply)
    if type_ in {"hash", "zset"}:
        return dict(zip(items[0::2], items[1::2], strict=True))
    return frozenset(items) if type_ == "set" else tuple(items)
