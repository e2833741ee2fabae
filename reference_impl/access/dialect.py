# SPDX-License-Identifier: Apache-2.0
"""What a server's ACL can express: found out by asking it, never from its name or version."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

from kryonix_cache.reference_impl.access.errors import AccessRefusedError
from kryonix_cache.reference_impl.connection import bulk

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    import redis

    from kryonix_cache.reference_impl.connection import Reply
    from kryonix_cache.reference_impl.contract.model import AccessRule

SELECTORS_FIELD = b"selectors"
DATABASES_FIELD = b"databases"
"""Fields of ACL GETUSER that are there exactly where the rules of that kind are."""

_NAMED_SUBCOMMAND = "acl|whoami"
# Where an entry of COMMAND INFO holds the entries of subcommands, since Redis 7.0.
_SUBCOMMANDS = 9
# It cannot be deleted, so there is always one user to ask about.
_ALWAYS_THERE = b"default"


@dataclass(frozen=True, slots=True)
class Dialect:
    """What the rules of one server can say.

    `selectors`: several sets of rules in brackets, and keys that may be read only (`%R~`).
    `databases`: rules by database (`db=`). `unknown`: words that this server takes for no
    command, and would refuse. `subcommands`: those of each command that has any, where the
    server names them.
    """

    selectors: bool
    databases: bool
    unknown: frozenset[str] = frozenset()
    subcommands: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def known(self, words: Iterable[str]) -> frozenset[str]:
        """Return the words that the server knows, a command with subcommands as all of these.

        So a subcommand that a later version brings is not granted by the way.
        """
        granted = {
            each
            for word in words
            if word not in self.unknown
            for each in self.subcommands.get(word, (word,))
        }
        # Where subcommands have no names of their own, a whole command holds its parts, and the
        # server does not list them beside it.
        return frozenset(each for each in granted if not granted & _containers({each}) - {each})


DIALECTS: Mapping[str, Dialect] = {
    "redis-6.2": Dialect(selectors=False, databases=False),
    # CLIENT SETINFO came with 7.2.
    "redis-7": Dialect(selectors=True, databases=False, unknown=frozenset({"client|setinfo"})),
    "valkey-9.1": Dialect(selectors=True, databases=True),
}
"""Dialects by name, for plans that are made without a server."""


def features(getuser: Reply) -> frozenset[str]:
    """Return `acl-selectors` and `acl-databases` as far as a reply of ACL GETUSER shows them."""
    names = getuser[::2] if isinstance(getuser, list) else []
    fields = {"acl-selectors": SELECTORS_FIELD, "acl-databases": DATABASES_FIELD}
    return frozenset(name for name, field in fields.items() if field in names)


def read_dialect(client: redis.Redis, rule: AccessRule) -> Dialect:
    """Ask the server what its ACL can express, and which of the contract's commands it knows.

    Raises AccessRefusedError where this account may not ask: what the server knows is not guessed,
    for a plan of the wrong words fits no user.
    """
    words = sorted(commands_of(rule))
    containers = sorted(_containers(words))
    asked = [_NAMED_SUBCOMMAND, *words, *containers]
    with bulk(client) as connection:
        user, info = connection.exchange(
            [
                (b"ACL", b"GETUSER", _ALWAYS_THERE),
                (b"COMMAND", b"INFO", *(word.encode() for word in asked)),
            ]
        )
    for command, reply in (("ACL GETUSER", user), ("COMMAND INFO", info)):
        if isinstance(reply, Exception):
            raise AccessRefusedError(command, str(reply))
    found = features(user)
    known = dict(zip(asked, cast("list[Reply]", info), strict=True))
    return Dialect(
        selectors="acl-selectors" in found,
        databases="acl-databases" in found,
        unknown=_unknown(words, known),
        subcommands=dict(_subcommands(known)),
    )


def commands_of(rule: AccessRule) -> frozenset[str]:
    """Return every command that the contract names for tenants."""
    sets = rule.commands.values()
    named = [word for each in sets for word in (*each.read, *each.write)]
    return frozenset({*rule.session, *rule.channel, *named})


def subcommands_of(entry: Sequence[Reply]) -> list[list[Reply]]:
    """Return the entries of its subcommands in an entry of COMMAND; none before Redis 7.0."""
    return cast("list[list[Reply]]", entry[_SUBCOMMANDS]) if len(entry) > _SUBCOMMANDS else []


def _subcommands(info: Mapping[str, Reply]) -> Iterator[tuple[str, frozenset[str]]]:
    for word, entry in info.items():
        if isinstance(entry, list) and (parts := subcommands_of(entry)):
            yield word, frozenset(cast("bytes", part[0]).decode() for part in parts)


def _unknown(words: Iterable[str], info: Mapping[str, Reply]) -> frozenset[str]:
    # Servers before 7.0 name no subcommands: there `client|id` is a rule about a first argument,
    # which any word may be.
    named = bool(info[_NAMED_SUBCOMMAND])
    return frozenset(word for word in words if not info[word if named else word.partition("|")[0]])


def _containers(words: Iterable[str]) -> set[str]:
    return {word.partition("|")[0] for word in words}
