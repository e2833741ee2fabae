# SPDX-License-Identifier: Apache-2.0
"""
Calls of a command, generated from what the server says of it; None stands where a key goes.

From a tree of arguments: the call without any optional part, one with each optional part and
each alternative, those that touch keys in pairs and given twice, and one with all; each also cut
to the fewest words that the server takes. Without a tree: by arity and the places of keys, and,
where keys move, by shapes that are in use. Which of them the server understands is asked of it.
"""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from kryonix_cache.conformance.attacks.specs import Argument, CommandSpec

Call: TypeAlias = tuple[bytes | None, ...]
"""The words of a call; None is the place of a key."""

_Path: TypeAlias = tuple[int, ...]
_Feature: TypeAlias = tuple[str, _Path, int]

FILLER = b"1"
_MOST_FEATURES = 40
_VALUES = {
    "double": b"0.01",  # a time-out of a blocking command, if nothing else
    "pattern": b"*",
    "unix-time": b"4102444800",
}

# Arguments of commands whose keys move, for servers that do not describe them.
_SHAPES: tuple[Call, ...] = (
    (None,),
    (None, None),
    (FILLER, None),
    (FILLER, FILLER, None),
    (None, FILLER, None),
    (None, FILLER, None, FILLER),
    (b"USAGE", None),
    (b"LCS", b"KEYS", None, None),
    (None, b"STORE", None),
    (b"STREAMS", None, b"0"),
    (b"GROUP", FILLER, FILLER, b"STREAMS", None, b">"),
    (None, FILLER, FILLER, FILLER, b"m", b"STORE", None),
    (None, FILLER, FILLER, b"m", b"STORE", None),
    (b"127.0.0.1", FILLER, None, b"0", FILLER),
    (b"127.0.0.1", FILLER, b"", b"0", FILLER, b"KEYS", None),
)


def calls(spec: CommandSpec) -> list[Call]:
    """Return calls of the command, each once, each with a key in it."""
    found: list[Call] = []
    if spec.arguments and any(each.holds_key for each in spec.arguments):
        found += _from_tree(spec.arguments)
    else:
        found += _by_place(spec)
        if "movablekeys" in spec.flags:
            found += _SHAPES
    whole = [spec.words + arguments for arguments in found]
    cut = [call[: spec.fewest_words] for call in whole]
    return [call for call in dict.fromkeys(whole + cut) if None in call]


def filled(call: Call, others: Sequence[bytes], own: Sequence[bytes]) -> Iterator[list[bytes]]:
    """Yield the call with another's key in each place for one, own keys elsewhere, and in all."""
    places = [index for index, word in enumerate(call) if word is None]
    for key in others:
        choices = [{place} for place in places]
        if len(places) > 1:
            choices.append(set(places))
        for chosen in choices:
            spare = 0
            words: list[bytes] = []
            for index, word in enumerate(call):
                if word is not None:
                    words.append(word)
                elif index in chosen:
                    words.append(key)
                else:
                    words.append(own[spare % len(own)])
                    spare += 1
            yield words


def _from_tree(arguments: Sequence[Argument]) -> list[Call]:
    features = list(_features(arguments, ()))[:_MOST_FEATURES]
    touching = [feature for feature, holds_key in features if holds_key]
    plain = [feature for feature, _ in features]
    sets: list[set[_Feature]] = [set(), *({each} for each in plain)]
    sets += [
        {first, second}
        for first, second in combinations(plain, 2)
        if first in touching or second in touching
    ]
    sets.append({each for each in plain if each[0] == "with"})
    written = [tuple(_written(arguments, (), _closed(each))) for each in sets]
    return written + list(_repeated(arguments, touching))


def _repeated(arguments: Sequence[Argument], touching: Sequence[_Feature]) -> Iterator[Call]:
    """Yield calls with an optional part that names a key given twice, where the last may count."""
    for feature in touching:
        top = feature[1][:1]
        chosen = _closed({feature})
        if ("with", top, 0) in chosen and arguments[top[0]].optional:
            again = _one(arguments[top[0]], top, chosen)
            yield (*_written(arguments, (), chosen), *again)


def _features(arguments: Sequence[Argument], above: _Path) -> Iterator[tuple[_Feature, bool]]:
    for index, argument in enumerate(arguments):
        path = (*above, index)
        if argument.optional:
            yield ("with", path, 0), argument.holds_key
        if argument.multiple:
            yield ("twice", path, 0), argument.holds_key
        if argument.type == "oneof":
            for choice, child in enumerate(argument.children):
                if choice:
                    yield ("pick", path, choice), child.holds_key
        yield from _features(argument.children, path)


def _closed(chosen: set[_Feature]) -> frozenset[_Feature]:
    """Add the optional parts and alternatives above what was chosen, without which it is lost."""
    closed = set(chosen)
    for _, path, _ in chosen:
        for depth in range(1, len(path) + 1):
            closed.add(("with", path[:depth], 0))
            if depth < len(path):
                closed.add(("pick", path[:depth], path[depth]))
    return frozenset(closed)


def _written(
    arguments: Sequence[Argument], above: _Path, chosen: frozenset[_Feature]
) -> Iterator[bytes | None]:
    parts: list[list[bytes | None]] = []
    for index, argument in enumerate(arguments):
        path = (*above, index)
        if argument.optional and ("with", path, 0) not in chosen:
            parts.append([])
        else:
            parts.append(list(_one(argument, path, chosen)))
    for index, argument in enumerate(arguments):
        if argument.name == "numkeys" and parts[index]:
            keys = next((part.count(None) for part in parts[index + 1 :] if None in part), 0)
            parts[index][-1] = str(keys).encode()
    for part in parts:
        yield from part


def _one(argument: Argument, path: _Path, chosen: frozenset[_Feature]) -> Iterator[bytes | None]:
    for turn in range(2 if ("twice", path, 0) in chosen else 1):
        if argument.token is not None and (turn == 0 or argument.token_each_time):
            # Redis 7.0 writes the empty word as two quotation marks.
            yield b"" if argument.token == b'""' else argument.token
        if argument.type == "key":
            yield None
        elif argument.type == "oneof":
            choice = max(
                (place for kind, where, place in chosen if kind == "pick" and where == path),
                default=0,
            )
            yield from _one(argument.children[choice], (*path, choice), chosen)
        elif argument.type == "block":
            yield from _written(argument.children, path, chosen)
        elif argument.type != "pure-token":
            yield _VALUES.get(argument.type, FILLER)


def _by_place(spec: CommandSpec) -> Iterator[Call]:
    start = len(spec.words)
    lengths = range(spec.fewest_words, spec.fewest_words + (3 if spec.arity < 0 else 1))
    for length in lengths:
        last = spec.last if spec.last >= 0 else length + spec.last
        keys = set(range(spec.first, last + 1, spec.step or 1)) if spec.first else set()
        yield tuple(None if place in keys else FILLER for place in range(start, length))
