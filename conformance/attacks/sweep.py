# SPDX-License-Identifier: Apache-2.0
"""
The sweep: every command of the server that takes keys, tried by one tenant on another's key.

It is generic. A finding names the command as this server has it; nothing here knows any.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import redis

from kryonix_cache.conformance.attacks.arena import ATTACKER, VICTIM
from kryonix_cache.conformance.attacks.population import PRESENT, SPARE, secret_of
from kryonix_cache.conformance.attacks.replies import is_refusal, shown, traces
from kryonix_cache.conformance.attacks.variants import calls, filled
from kryonix_cache.conformance.outcomes import Inconclusive
from kryonix_cache.reference_impl.errors import ForbiddenCommandError
from kryonix_cache.reference_impl.forbidden import refuse_forbidden

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kryonix_cache.conformance.attacks.arena import Arena
    from kryonix_cache.conformance.attacks.population import Key
    from kryonix_cache.conformance.attacks.specs import CommandSpec
    from kryonix_cache.reference_impl.connection import Reply
    from kryonix_cache.reference_impl.contract.model import KeyType

_TYPES: Mapping[str, KeyType] = {
    "@hash": "hash",
    "@list": "list",
    "@set": "set",
    "@sortedset": "zset",
    "@geo": "zset",
}
_MOST_CALLS = 64


@dataclass(slots=True)
class Tally:
    """What became of the commands."""

    tried: list[str] = field(default_factory=list)
    untried: list[str] = field(default_factory=list)
    attempts: int = 0

    @property
    def untried_percent(self) -> float:
        """The share of commands that no call of could be judged."""
        return 100 * len(self.untried) / max(1, len(self.tried) + len(self.untried))

    def __str__(self) -> str:
        names = f" ({', '.join(self.untried)})" if self.untried else ""
        total = len(self.tried) + len(self.untried)
        return f"{len(self.untried)} of {total} commands untried{names}"

    def settle(self, limit: float) -> None:
        """Raise Inconclusive if more than `limit` percent could not be tried."""
        if self.untried_percent > limit:
            raise Inconclusive(f"{self}, more than {limit:g} %")


@dataclass(frozen=True, slots=True)
class Ground:
    """Where a command is tried: one database, own keys, and keys of the other, there or not."""

    database: int
    own: tuple[bytes, ...]
    others: tuple[Key, ...]


def sweep(arena: Arena) -> Tally:
    """Try every command that takes keys; add a finding for each that was not refused."""
    tally = Tally()
    grounds: dict[KeyType, Ground] = {}
    for name, spec in sorted(arena.commands.items()):
        if spec.takes_keys:
            kind = type_of(spec)
            if kind not in grounds:
                grounds[kind] = ground(arena, kind)
            _try(arena, name, spec, grounds[kind], tally)
    return tally


def type_of(spec: CommandSpec) -> KeyType:
    """Return the type of keys that a command is for, as its categories say."""
    return next((_TYPES[each] for each in sorted(spec.categories) if each in _TYPES), "string")


def ground(arena: Arena, kind: KeyType) -> Ground:
    """Return keys of attacker and victim in the database where a type is at home."""
    population = arena.population
    family = population.home(kind)
    own = population.key(family, arena.id(ATTACKER))
    other = population.key(family, arena.id(VICTIM))
    spare = population.key(family, arena.id(VICTIM), SPARE)
    return Ground(
        own.database,
        tuple(key.name for key in population.neighbours(own)),
        (other,) if spare == other else (other, spare),
    )


def probes_of(spec: CommandSpec, place: Ground) -> list[list[bytes]]:
    """Return the calls of a command with another's key in them.

    The key that is not there is tried in the first calls only: those without optional parts.
    """
    shapes = calls(spec)[:_MOST_CALLS]
    names = [key.name for key in place.others]
    short = [shape for shape in shapes if len(shape) <= spec.fewest_words]
    found = [words for shape in shapes for words in filled(shape, names[:1], place.own)]
    found += [words for shape in short for words in filled(shape, names[1:], place.own)]
    return [words for words in found if may_be_sent(words)]


def may_be_sent(words: Sequence[bytes]) -> bool:
    """Say whether the project sends this at all; a shape may name what no script may hold."""
    try:
        refuse_forbidden(words)
    except ForbiddenCommandError:
        return False
    return True


def sees(answer: Reply, keys: Sequence[bytes]) -> bool | None:
    """Say whether COMMAND GETKEYS finds one of the keys; None where it finds no keys at all."""
    if isinstance(answer, redis.ResponseError):
        return None
    return isinstance(answer, list) and any(key in answer for key in keys)


def _try(arena: Arena, name: str, spec: CommandSpec, place: Ground, tally: Tally) -> None:
    probes = probes_of(spec, place)
    names = [key.name for key in place.others]
    before = arena.state(place.others)
    found = arena.as_admin([(b"COMMAND", b"GETKEYS", *words) for words in probes])
    replies = arena.ask(ATTACKER, place.database, probes)
    judged = 0
    breaches: list[tuple[list[bytes], Reply]] = []
    for words, keys, reply in zip(probes, found, replies, strict=True):
        seen = sees(keys, names)
        if is_refusal(reply):
            judged += 1
        elif seen or (seen is None and _did_something(reply)):
            judged += 1
            breaches.append((words, reply))
        if traces(reply, [secret_of(arena.id(VICTIM))]):
            breaches.append((words, reply))
    tally.attempts += judged
    (tally.tried if judged else tally.untried).append(name)
    if breaches:
        words, reply = breaches[0]
        arena.evidence.found(
            f"{spelled(words)} by another tenant, one of {len(breaches)} such calls",
            found=shown(reply),
            wanted="NOPERM",
        )
    if arena.compare(before, place.others, f"after {name}"):
        arena.write(key for key in place.others if key.name == names[PRESENT])
        arena.as_admin([(b"DEL", each) for each in names[1:]], place.database)


def _did_something(reply: Reply) -> bool:
    """Say whether a call got through to the other's key, though the server lists no key of it.

    WRONGTYPE tells the type of a key; other errors come before any key is looked at.
    """
    return not isinstance(reply, redis.ResponseError) or str(reply).startswith("WRONGTYPE")


def spelled(words: Sequence[bytes]) -> str:
    """Return a call as a reader can type it."""
    return " ".join(word.decode(errors="backslashreplace") or "''" for word in words)
