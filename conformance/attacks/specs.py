# SPDX-License-Identifier: Apache-2.0
"""
The commands of the connected server, as it describes them itself.

COMMAND gives arity, flags and the places of keys; COMMAND DOCS, from Redis 7.0 on, the tree of
arguments. Subcommands are commands of their own where the server lists them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from kryonix_cache.reference_impl.connection import GuardedConnection, Reply

_ENTRY_WITH_KEY_SPECS = 9


@dataclass(frozen=True, slots=True)
class Argument:
    """One node of the tree of arguments; `token` is the word that goes before it."""

    name: str
    type: str
    token: bytes | None = None
    optional: bool = False
    multiple: bool = False
    token_each_time: bool = False
    children: tuple[Argument, ...] = ()

    @property
    def holds_key(self) -> bool:
        """Whether this is a key, or one stands below."""
        return self.type == "key" or any(child.holds_key for child in self.children)


@dataclass(frozen=True, slots=True)
class CommandSpec:
    """A command or subcommand.

    `arity` is the number of words, negative where it is the least one; `first`, `last` and
    `step` are the places of the keys that do not move. `arguments` is None where the server
    does not tell.
    """

    name: str
    arity: int
    flags: frozenset[str]
    first: int
    last: int
    step: int
    categories: frozenset[str]
    takes_keys: bool
    arguments: tuple[Argument, ...] | None

    @property
    def words(self) -> tuple[bytes, ...]:
        """The words of its name."""
        return tuple(self.name.upper().encode().split(b"|"))

    @property
    def fewest_words(self) -> int:
        """With how many words it can be called."""
        return abs(self.arity)


def read_commands(connection: GuardedConnection) -> Mapping[str, CommandSpec]:
    """Ask the server for all commands and subcommands, by name in lower case."""
    entries, docs = connection.exchange([(b"COMMAND",), (b"COMMAND", b"DOCS")])
    described = dict(_described(docs)) if isinstance(docs, list) else {}
    return {
        spec.name: spec
        for entry in cast("Sequence[Sequence[Reply]]", entries)
        for spec in _specs(entry, described)
    }


def _described(docs: Sequence[object]) -> Iterator[tuple[str, Sequence[object]]]:
    for name, fields in _pairs(docs):
        document = dict(_pairs(cast("Sequence[object]", fields)))
        if b"arguments" in document:
            yield name.decode().lower(), cast("Sequence[object]", document[b"arguments"])
        yield from _described(cast("Sequence[object]", document.get(b"subcommands", ())))


def _specs(
    entry: Sequence[object], described: Mapping[str, Sequence[object]]
) -> Iterator[CommandSpec]:
    name = cast("bytes", entry[0]).decode().lower()
    arguments = described.get(name)
    yield CommandSpec(
        name=name,
        arity=cast("int", entry[1]),
        flags=_texts(entry[2]),
        first=cast("int", entry[3]),
        last=cast("int", entry[4]),
        step=cast("int", entry[5]),
        categories=_texts(entry[6]) if len(entry) > 6 else frozenset(),  # noqa: PLR2004 (a place)
        takes_keys=_takes_keys(entry),
        arguments=None if arguments is None else tuple(_argument(each) for each in arguments),
    )
    if len(entry) > _ENTRY_WITH_KEY_SPECS:
        for child in cast("Sequence[Sequence[object]]", entry[_ENTRY_WITH_KEY_SPECS]):
            yield from _specs(child, described)


def _takes_keys(entry: Sequence[object]) -> bool:
    if len(entry) < _ENTRY_WITH_KEY_SPECS:
        return bool(entry[3]) or "movablekeys" in _texts(entry[2])
    # A channel of sharded Pub/Sub stands in the place of a key, and says that it is none.
    specs = cast("Sequence[Sequence[object]]", entry[8])
    return any("not_key" not in _texts(dict(_pairs(spec))[b"flags"]) for spec in specs)


def _argument(node: object) -> Argument:
    fields = dict(_pairs(cast("Sequence[object]", node)))
    flags = _texts(fields.get(b"flags", ()))
    return Argument(
        name=cast("bytes", fields[b"name"]).decode(),
        type=cast("bytes", fields[b"type"]).decode(),
        token=cast("bytes | None", fields.get(b"token")),
        optional="optional" in flags,
        multiple="multiple" in flags,
        token_each_time="multiple_token" in flags,
        children=tuple(
            _argument(each) for each in cast("Sequence[object]", fields.get(b"arguments", ()))
        ),
    )


def _pairs(fields: Sequence[object]) -> Iterator[tuple[bytes, object]]:
    return zip(cast("Sequence[bytes]", fields[::2]), fields[1::2], strict=True)


def _texts(words: object) -> frozenset[str]:
    return frozenset(
        word.decode().lower() if isinstance(word, bytes) else str(word).lower()
        for word in cast("Sequence[object]", words)
    )
