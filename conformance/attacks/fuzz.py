# SPDX-License-Identifier: Apache-2.0
"""
Calls that no description of a command has: generated ones, with words changed by chance.

Only commands that the tenant's user may run at all are taken. What they do is seen in the state of
the other tenant's keys and in its secrets, which no reply may hold. The same seed gives the same
calls.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kryonix_cache.conformance.attacks.arena import ATTACKER, VICTIM
from kryonix_cache.conformance.attacks.population import secret_of
from kryonix_cache.conformance.attacks.replies import (
    NoReply,
    is_not_understood,
    is_refusal,
    shown,
    traces,
)
from kryonix_cache.conformance.attacks.sweep import Ground, ground, may_be_sent, spelled, type_of
from kryonix_cache.conformance.attacks.variants import calls, filled

if TYPE_CHECKING:
    from collections.abc import Sequence
    from random import Random

    from kryonix_cache.conformance.attacks.arena import Arena
    from kryonix_cache.conformance.attacks.specs import Argument, CommandSpec
    from kryonix_cache.conformance.attacks.variants import Call
    from kryonix_cache.reference_impl.connection import Reply

BATCH = 50
_NUMBERS = (b"0", b"1", b"2", b"-1", b"", b"*", b"0-0")


@dataclass(frozen=True, slots=True)
class Soil:
    """Where one command is changed: its keys, its calls, and words to put in."""

    ground: Ground
    seeds: tuple[tuple[bytes, ...], ...]
    words: tuple[bytes, ...]
    fixed: int


def fuzz(arena: Arena, chance: Random, count: int) -> int:
    """Send so many changed calls as the attacker; return how many were carried out."""
    soils = [soil for _, spec in sorted(arena.commands.items()) for soil in _soil(arena, spec)]
    answered = 0
    for _ in range(0, count if soils else 0, BATCH):
        soil = chance.choice(soils)
        batch = [changed(chance, soil) for _ in range(BATCH)]
        answered += _send(arena, soil, [words for words in batch if may_be_sent(words)])
    arena.look_for_strangers("after changed calls")
    return answered


def changed(chance: Random, soil: Soil) -> tuple[bytes, ...]:
    """Return a call with one to three words repeated, left out, exchanged or put in."""
    words = list(chance.choice(soil.seeds))
    for _ in range(chance.randint(1, 3)):
        place = chance.randint(soil.fixed, len(words))
        match chance.choice(("put in", "leave out", "repeat", "exchange")):
            case "put in":
                words.insert(place, chance.choice(soil.words))
            case "leave out":
                del words[place : place + 1]
            case "repeat":
                start = chance.randint(soil.fixed, len(words))
                words[place:place] = words[start : start + chance.randint(1, 3)]
            case _:
                words[place : place + 1] = [chance.choice(soil.words)]
    return tuple(words)


def _soil(arena: Arena, spec: CommandSpec) -> list[Soil]:
    if not spec.takes_keys or "@blocking" in spec.categories:
        return []
    place = ground(arena, type_of(spec))
    shapes = calls(spec)
    own = _sendable(shapes, place.own[:1], place.own)
    replies = arena.ask(ATTACKER, place.database, own)
    if all(is_refusal(reply) for reply in replies):
        return []
    others = [key.name for key in place.others]
    mixed = _sendable(shapes, others, place.own)
    words = {*others, *place.own, *_NUMBERS, *_tokens(spec.arguments or ())}
    return [
        Soil(
            place, tuple(tuple(each) for each in own + mixed), tuple(sorted(words)), len(spec.words)
        )
    ]


def _sendable(
    shapes: Sequence[Call], keys: Sequence[bytes], own: Sequence[bytes]
) -> list[list[bytes]]:
    found = [words for shape in shapes for words in filled(shape, keys, own)]
    return [words for words in found if may_be_sent(words)]


def _tokens(arguments: Sequence[Argument]) -> set[bytes]:
    own = {each.token for each in arguments if each.token is not None}
    return own.union(*(_tokens(each.children) for each in arguments))


def _send(arena: Arena, soil: Soil, batch: Sequence[tuple[bytes, ...]]) -> int:
    others = soil.ground.others
    before = arena.state(others)
    replies = arena.ask(ATTACKER, soil.ground.database, batch)
    _look_for_secrets(arena, batch, replies)
    if arena.state(others) != before:
        # One call after the other, to name the one that did it.
        _restore(arena, soil)
        for words in batch:
            arena.ask(ATTACKER, soil.ground.database, [words])
            if arena.compare(before, others, f"after {spelled(words)}"):
                _restore(arena, soil)
                break
        else:
            arena.evidence.found(
                f"calls such as {spelled(batch[0])}",
                found="the other tenant's keys changed",
                wanted="no change",
            )
    return len([reply for reply in replies if _went_in(reply)])


def _went_in(reply: Reply) -> bool:
    """Say whether a call was understood and not refused, so that it was carried out."""
    return not (is_refusal(reply) or is_not_understood(reply) or isinstance(reply, NoReply))


def _look_for_secrets(
    arena: Arena, batch: Sequence[tuple[bytes, ...]], replies: Sequence[Reply]
) -> None:
    secret = secret_of(arena.id(VICTIM))
    for words, reply in zip(batch, replies, strict=True):
        if traces(reply, [secret]):
            arena.evidence.found(
                f"{spelled(words)} by another tenant", found=shown(reply), wanted="NOPERM"
            )


def _restore(arena: Arena, soil: Soil) -> None:
    present, *absent = soil.ground.others
    arena.write([present])
    arena.as_admin([(b"DEL", key.name) for key in absent], soil.ground.database)
