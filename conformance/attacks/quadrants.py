# SPDX-License-Identifier: Apache-2.0
"""Own and foreign keys, reading and writing: what a tenant's user may do by the contract."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import redis

from kryonix_cache.conformance.attacks.arena import ATTACKER, VICTIM
from kryonix_cache.conformance.attacks.connections import converse
from kryonix_cache.conformance.attacks.population import (
    commands_for,
    granted_commands,
    secret_of,
)
from kryonix_cache.conformance.attacks.replies import is_refusal, shown, traces
from kryonix_cache.conformance.attacks.stage import channel_of, channels_of, may_broadcast
from kryonix_cache.conformance.attacks.sweep import spelled
from kryonix_cache.conformance.attacks.variants import FILLER, calls

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from kryonix_cache.conformance.attacks.arena import Arena
    from kryonix_cache.conformance.attacks.population import Key
    from kryonix_cache.conformance.attacks.specs import CommandSpec
    from kryonix_cache.conformance.attacks.variants import Call
    from kryonix_cache.reference_impl.connection import Command, Reply
    from kryonix_cache.reference_impl.contract import Family


def own_access(arena: Arena) -> None:
    """Let a tenant use each of its families with each command that the contract gives it."""
    for family in arena.contract.tenant_families:
        key = arena.population.key(family, arena.id(ATTACKER))
        allowed = commands_for(arena.contract, family)
        for kind in ("read", "write"):
            for name in allowed[kind]:
                words = _call(arena, name, key)
                if words is not None:
                    _own_call(arena, key, family, kind, words)


def _own_call(arena: Arena, key: Key, family: Family, kind: str, words: list[bytes]) -> None:
    arena.write([key])
    reply = arena.ask(ATTACKER, key.database, [words])[0]
    where = f"{spelled(words)} by its own tenant (family {family.name}, access {family.access})"
    if family.access == "write" or (family.access == "read" and kind == "read"):
        if is_refusal(reply):
            # Redis 6.2 permits a key as a whole or not at all.
            if family.access == "write" or arena.parts_reading_from_writing:
                arena.evidence.found(where, found=shown(reply), wanted="an answer")
        elif not isinstance(reply, redis.ResponseError):
            arena.evidence.saw("own_calls")
    elif not is_refusal(reply):
        arena.evidence.found(where, found=shown(reply), wanted="NOPERM")


def session_access(arena: Arena) -> None:
    """Let a tenant send the commands that name no key; each on a connection of its own.

    SELECT is sent by each connection of another database, and by nothing else.
    """
    access = arena.contract.access
    channel = access.channel if access and may_broadcast(arena) else ()
    for name in (*access.session, *channel) if access else ():
        spec = arena.commands.get(name)
        # A server without names of subcommands cannot say which it has.
        if spec is None or name == "select":
            continue
        words = [*spec.words, *[FILLER] * (spec.fewest_words - len(spec.words))]
        if name in channel:
            pattern = channels_of if name.startswith("p") and name != "publish" else channel_of
            words = [*spec.words, pattern(arena, ATTACKER), *words[2:]]
        with arena.visit(arena.logins[ATTACKER]) as connection:
            reply = converse(connection, [words])[0]
        if is_refusal(reply):
            arena.evidence.found(
                f"{spelled(words)} by a tenant", found=shown(reply), wanted="an answer"
            )
        elif not isinstance(reply, redis.ResponseError):
            arena.evidence.saw("own_calls")


def foreign_access(arena: Arena) -> None:
    """Let each tenant read and write each family of each other one, and of the system.

    The attacker and the victim try every command that tenants have, on keys of every type: rules
    may open one family, or one command, and nothing beside it.
    """
    keys = {name: arena.population.keys(arena.id(name)) for name in arena.names}
    system = arena.population.system_keys()
    everything = [key for group in keys.values() for key in group] + system
    arena.write(everything)
    before = arena.state(everything)
    for one in arena.names:
        for other, group in keys.items():
            if other != one:
                refused_on(arena, one, group, whole={one, other} == {ATTACKER, VICTIM})
        refused_on(arena, one, system, whole=one == ATTACKER)
    arena.compare(before, everything, "after the tenants tried each other's keys")


def refused_on(arena: Arena, one: str, keys: Sequence[Key], *, whole: bool) -> None:
    """Add a finding for each call of a tenant on keys of others that is not refused.

    `whole`: every command of the contract is tried, not only the first and last of each kind.
    """
    for database in sorted({key.database for key in keys}):
        attempts = [
            (key, words)
            for key in keys
            if key.database == database
            for words in _attempts(arena, key, whole=whole)
        ]
        replies = arena.ask(one, database, [words for _, words in attempts])
        for (key, words), reply in zip(attempts, replies, strict=True):
            _judge_foreign(arena, one, key, words, reply)


def _judge_foreign(arena: Arena, one: str, key: Key, words: Sequence[bytes], reply: Reply) -> None:
    arena.evidence.saw("attempts")
    if not is_refusal(reply) or traces(reply, [secret_of(key.tenant)]):
        arena.evidence.found(
            f"{spelled(words)} by the tenant {arena.id(one)} (family {key.family.name})",
            found=shown(reply),
            wanted="NOPERM",
        )


def _attempts(arena: Arena, key: Key, *, whole: bool) -> Iterator[list[bytes]]:
    """Yield calls of commands that tenants have: of the key's type, or all of them."""
    allowed = commands_for(arena.contract, key.family)
    names = {*allowed["read"][-1:], *allowed["read"][:1], *allowed["write"][:1]}
    names |= set(allowed["write"][-1:])
    for name in granted_commands(arena.contract) if whole else sorted(names):
        words = _call(arena, name, key)
        if words is not None:
            yield words


def wrong_database(arena: Arena) -> tuple[int, int]:
    """Let a tenant write its keys into the databases of other families, and read them there.

    Returns how many such writes were tried, and how many went through. Where the server has
    rules by database each call that goes through is a finding.
    """
    tried = through = 0
    for number in (each.number for each in arena.contract.databases):
        writes, reads = _misplaced(arena, number)
        answers = arena.ask(ATTACKER, number, [*writes, *reads])
        done = [words for words, reply in zip(writes, answers, strict=False) if _got(reply)]
        tried += len(writes)
        through += len(done)
        for words, reply in zip([*writes, *reads], answers, strict=True):
            if arena.binds_databases and _got(reply):
                arena.evidence.found(
                    f"{spelled(words)} in database {number}", found=shown(reply), wanted="NOPERM"
                )
        arena.as_admin([(b"DEL", words[1]) for words in done], number)
    return tried, through


def _misplaced(arena: Arena, number: int) -> tuple[list[Command], list[Command]]:
    """Return writes and reads of a tenant's keys that belong into other databases than this."""
    writes: list[Command] = []
    reads: list[Command] = []
    for family in arena.contract.tenant_families:
        allowed = commands_for(arena.contract, family)
        if family.access == "none" or number in family.databases:
            continue
        key = arena.population.key(family, arena.id(ATTACKER))
        if family.access == "write" and allowed["write"]:
            writes.append(key.creation(b"lost")[1])
        calls_of = (_call(arena, name, key) for name in allowed["read"])
        reads += [words for words in calls_of if words is not None]
    return writes, reads


def _got(reply: Reply) -> bool:
    return not is_refusal(reply)


def _call(arena: Arena, name: str, key: Key) -> list[bytes] | None:
    """Return the shortest call of a command with this key alone; None if the server has none."""
    spec = arena.commands.get(name)
    shape = _shortest(spec) if spec else None
    return None if shape is None else [key.name if word is None else word for word in shape]


@cache
def _shortest(spec: CommandSpec) -> Call | None:
    return next(iter(calls(spec)), None)
