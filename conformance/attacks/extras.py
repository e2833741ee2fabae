# SPDX-License-Identifier: Apache-2.0
"""
And nothing else: every command of the server that the contract does not give tenants.

Nothing is sent. The rules of the user are read, those of each selector too, and the server is
asked where it can be. A command that the rules name on no key at all is a finding as well: it is
one pattern away from being used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kryonix_cache.conformance.attacks.arena import ATTACKER
from kryonix_cache.conformance.attacks.permissions import evaluate, read_rules
from kryonix_cache.conformance.attacks.population import granted_commands
from kryonix_cache.conformance.attacks.table import attack_table
from kryonix_cache.conformance.attacks.variants import FILLER, calls
from kryonix_cache.conformance.outcomes import Inconclusive

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kryonix_cache.conformance.attacks.arena import Arena
    from kryonix_cache.conformance.attacks.specs import CommandSpec
    from kryonix_cache.conformance.attacks.stage import Stage
    from kryonix_cache.reference_impl.connection import Command


def nothing_else(arena: Arena, _: Stage) -> None:
    """Add a finding for each command that a tenant's user has and the contract does not give.

    Raises:
        Inconclusive: the rules of the user cannot be read.

    """
    specs = list(_beyond_the_contract(arena))
    user = arena.logins[ATTACKER].username
    by_rules = _in_rules(arena, user.encode(), specs)
    by_server = _answered(arena, user.encode(), specs) if _can_ask(arena) else {}
    arena.evidence.saw("other_commands", len(specs))
    for spec in specs:
        if told := by_server.get(spec.name) or by_rules.get(spec.name):
            arena.evidence.found(
                f"{spec.name} by the user of a tenant",
                found=f"granted ({told})",
                wanted="no command that the contract does not name",
            )


def _beyond_the_contract(arena: Arena) -> Iterator[CommandSpec]:
    access = arena.contract.access
    granted = {*granted_commands(arena.contract)}
    if access is not None:
        granted |= {*access.session, *access.channel}
    containers = {name.partition("|")[0] for name in arena.commands if "|" in name}
    for name, spec in sorted(arena.commands.items()):
        beside = name in attack_table().exempt or name in containers
        if not beside and not granted & {name, name.partition("|")[0]}:
            yield spec


def _in_rules(arena: Arena, user: bytes, specs: list[CommandSpec]) -> dict[str, str]:
    """Return the rules that grant a command, by its name."""
    groups, members = read_rules(arena.as_admin, user)
    if not groups:
        raise Inconclusive(f"the rules of the user {user.decode()} cannot be read")
    return {
        spec.name: " ".join(rules)
        for spec in specs
        for rules in groups
        if evaluate(rules, members, *_command_and_first(spec.name))
    }


def _command_and_first(name: str) -> tuple[str, str]:
    command, _, first = name.partition("|")
    return command, first


def _answered(arena: Arena, user: bytes, specs: list[CommandSpec]) -> dict[str, str]:
    """Return the commands that ACL DRYRUN permits, on keys of the user's own in each database."""
    found: dict[str, str] = {}
    homes = {family.databases[0]: family for family in arena.contract.tenant_families}
    for number, family in sorted(homes.items()):
        own = arena.population.key(family, arena.id(ATTACKER)).name
        asked: list[Command] = [(b"ACL", b"DRYRUN", user, *_words(spec, own)) for spec in specs]
        replies = arena.as_admin(asked, number)
        for spec, reply in zip(specs, replies, strict=True):
            arena.evidence.saw("asked", isinstance(reply, bytes))
            if reply == b"OK":
                found[spec.name] = f"ACL DRYRUN in database {number}"
    return found


def _words(spec: CommandSpec, own: bytes) -> list[bytes]:
    if spec.takes_keys and (shapes := calls(spec)):
        return [own if word is None else word for word in shapes[0]]
    return [*spec.words, *[FILLER] * (spec.fewest_words - len(spec.words))]


def _can_ask(arena: Arena) -> bool:
    return "acl-dryrun" in arena.capabilities
