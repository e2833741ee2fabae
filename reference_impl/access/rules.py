# SPDX-License-Identifier: Apache-2.0
"""
The rules of a tenant's own user, derived from the contract for one dialect of ACL.

A family belongs to one database, has one type and one access, and families that agree in all
three share a selector: so the commands for hashes open no string, what is only read is not
written, and no key is used in another family's database. What a server cannot say is never
granted in a wider form: it is left out, and the plan says so.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kryonix_cache.reference_impl.access.dialect import commands_of
from kryonix_cache.reference_impl.access.errors import (
    AccessInexpressibleError,
    AccessUndeclaredError,
)
from kryonix_cache.reference_impl.access.patterns import Reach, reach_of
from kryonix_cache.reference_impl.contract.keys import TENANT, glob_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from kryonix_cache.reference_impl.access.dialect import Dialect
    from kryonix_cache.reference_impl.contract import Contract, Family
    from kryonix_cache.reference_impl.contract.model import AccessRule, Channel, TenantId

SELECT = "select"

DEFAULT_USER = "default"
"""Every server has it, and every connection is it until it has authenticated."""

_BREAKS_A_RULE = re.compile(r"[\s()\x00-\x1f\x7f]")
_DATABASES = re.compile(r"db=[0-9]+(?:,[0-9]+)*")
_PERMISSIONS = {"none": (), "read": ("%R~",), "write": ("~",)}
_RANK = {"none": 0, "read": 1, "write": 2}


@dataclass(frozen=True, slots=True)
class Rules:
    """Keys, channels, databases and commands that stand together: of a user, or in one selector.

    `keys` carry their permission, as `~pattern` or `%R~pattern`. `databases` is None where
    every database is open, because the server has no rules about them.
    """

    commands: frozenset[str]
    keys: frozenset[str] = frozenset()
    channels: frozenset[str] = frozenset()
    databases: frozenset[int] | None = None

    def words(self) -> list[str]:
        """Return the words as ACL SETUSER takes them, in one order for the same rules."""
        words = sorted(self.keys)
        if self.databases:
            words += [f"db={','.join(str(each) for each in sorted(self.databases))}"]
        words += [f"&{channel}" for channel in sorted(self.channels)]
        return [*words, "-@all", *(f"+{command}" for command in sorted(self.commands))]


@dataclass(frozen=True, slots=True)
class UserPlan:
    """What a tenant's user shall be on one server.

    `families` are the names of those that the user can use there. `limits` are sentences about
    what this server's ACL cannot express, and what was left out for it.
    """

    tenant: TenantId
    user: str
    root: Rules
    selectors: frozenset[Rules]
    families: frozenset[str]
    limits: tuple[str, ...]

    def words(self) -> list[str]:
        """Return the rules as words of ACL SETUSER; state and password are not among them.

        They are meant for a user that has none: put `reset` before them.
        """
        brackets = sorted(f"({' '.join(each.words())})" for each in self.selectors)
        # Without resetchannels a new user of Redis 6.2 may use every channel.
        closed = ["resetchannels", *(["resetdbs"] if self.root.databases is not None else [])]
        return [*closed, *self.root.words(), *brackets]


def plan_user(contract: Contract, tenant: str, dialect: Dialect) -> UserPlan:
    """Derive the rules of a tenant's user.

    Raises:
        InvalidTenantIdError: the id breaks the contract's rule.
        AccessUndeclaredError: the contract does not say what tenants may do.
        AccessInexpressibleError: a name would break the rule that holds it.

    """
    rule, checked = access_rule(contract), contract.tenant.parse(tenant)
    user = user_of(contract, checked)
    families, limits = _usable(contract, checked, dialect)
    channels, closed = _own_channels(contract, checked)
    root = Rules(
        commands=dialect.known({*_session(rule, families, dialect), *rule.channel}),
        channels=frozenset(glob_of(each.pattern, checked) for each in channels),
        databases=_homes(families) if dialect.databases else None,
    )
    selectors: frozenset[Rules] = frozenset()
    if dialect.selectors:
        selectors = frozenset(_selectors(rule, families, checked, dialect))
    else:
        root = _with_keys(root, rule, families, checked, dialect)
    return UserPlan(
        tenant=checked,
        user=user,
        root=root,
        selectors=selectors,
        families=frozenset(family.name for family in families),
        limits=(*limits, *closed, *_limits(rule, dialect)),
    )


def access_rule(contract: Contract) -> AccessRule:
    """Return what the contract says of tenants' users; raise AccessUndeclaredError if nothing."""
    if contract.access is None:
        raise AccessUndeclaredError(contract.name)
    return contract.access


def user_of(contract: Contract, tenant: TenantId) -> str:
    """Return the name of the tenant's user; raise AccessInexpressibleError if it can be none."""
    user = access_rule(contract).user_of(tenant)
    if user == DEFAULT_USER:
        raise AccessInexpressibleError("user", user, "every connection starts as that user")
    _refuse_unfit("user", user)
    return user


def is_tenants_user(contract: Contract, user: str) -> bool:
    """Say whether a user is one that a tenant of the contract can have; the default user is not."""
    tenant = access_rule(contract).tenant_of(user)
    return user != DEFAULT_USER and tenant is not None and contract.tenant.is_valid(tenant)


class Vocabulary:
    """The words that a plan of one tenant can hold, on whatever server."""

    def __init__(self, contract: Contract, user: str) -> None:
        """Raise InvalidTenantIdError for a user that is no tenant's."""
        rule = access_rule(contract)
        tenant = contract.tenant.parse(rule.tenant_of(user) or "")
        self._commands = commands_of(rule)
        self._places = {
            f"{permission}{glob_of(family.pattern, tenant)}"
            for family in contract.tenant_families
            for permission in _PERMISSIONS[family.access]
        }
        self._places |= {
            f"&{glob_of(channel.pattern, tenant)}"
            for channel in contract.channels
            if TENANT in channel.parts
        }

    def holds(self, word: str) -> bool:
        """Say whether a plan can hold the word, which may be a selector in its brackets."""
        if word.startswith("(") and word.endswith(")"):
            return all(self._holds_rule(each) for each in word[1:-1].split(" "))
        return word in {"resetchannels", "resetdbs"} or self._holds_rule(word)

    def _holds_rule(self, word: str) -> bool:
        if word.startswith("+"):
            # A plan names subcommands where the contract names the command: `+select|1`.
            return bool({word[1:], word[1:].partition("|")[0]} & self._commands)
        return word == "-@all" or word in self._places or bool(_DATABASES.fullmatch(word))


def allowed(rule: AccessRule, family: Family, dialect: Dialect) -> frozenset[str]:
    """Return the commands that a tenant's user has for keys of a family."""
    sets = [rule.commands[kind] for kind in ("any", family.type) if kind in rule.commands]
    words = {word for each in sets for word in each.read if family.access != "none"}
    words |= {word for each in sets for word in each.write if family.access == "write"}
    return dialect.known(words)


def _usable(
    contract: Contract, tenant: TenantId, dialect: Dialect
) -> tuple[list[Family], list[str]]:
    """Return the families that the rules can open, and what was left out and why."""
    usable: list[Family] = []
    limits: list[str] = []
    only_read: list[str] = []
    for family in contract.tenant_families:
        if family.access == "none":
            continue
        pattern = glob_of(family.pattern, tenant)
        _refuse_unfit("key pattern", pattern)
        if reached := _reached(contract, family, tenant, dialect):
            limits.append(
                f"The family {family.name} is left out: its pattern {pattern} would reach "
                f"keys of {', '.join(reached)}."
            )
        elif family.access == "read" and not dialect.selectors:
            only_read.append(family.name)
        else:
            usable.append(family)
    if only_read:
        limits.append(
            "This server knows no keys that may only be read, so these families are left out "
            f"and cannot be read either: {', '.join(only_read)}."
        )
    return usable, limits


def _reached(contract: Contract, family: Family, tenant: TenantId, dialect: Dialect) -> list[str]:
    """Return the families of whose keys the pattern would open more than it should."""
    found = []
    for other in contract.families:
        if dialect.databases and not set(family.databases) & set(other.databases):
            continue
        reach = reach_of(family.pattern, other.pattern, tenant, contract.parts)
        closed = _RANK[other.access] < _RANK[family.access]
        if reach is Reach.FOREIGN or (reach is Reach.OWN and closed):
            found.append(other.name)
    return found


def _own_channels(contract: Contract, tenant: TenantId) -> tuple[list[Channel], list[str]]:
    own, limits = [], []
    for channel in contract.channels:
        if TENANT not in channel.parts:
            continue
        pattern = glob_of(channel.pattern, tenant)
        _refuse_unfit("channel pattern", pattern)
        reached = [
            other.name
            for other in contract.channels
            if reach_of(channel.pattern, other.pattern, tenant, contract.parts) is Reach.FOREIGN
        ]
        if reached:
            limits.append(
                f"The channels {channel.name} are left out: their pattern {pattern} would reach "
                f"channels of {', '.join(reached)}."
            )
        else:
            own.append(channel)
    return own, limits


def _session(rule: AccessRule, families: Iterable[Family], dialect: Dialect) -> Iterator[str]:
    for word in rule.session:
        if word == SELECT and not dialect.databases:
            # Without rules by database the number itself is allowed, as a first argument.
            yield from (f"{SELECT}|{number}" for number in sorted(_homes(families)))
        else:
            yield word


def _selectors(
    rule: AccessRule, families: Iterable[Family], tenant: TenantId, dialect: Dialect
) -> Iterator[Rules]:
    groups: dict[tuple[frozenset[int] | None, frozenset[str], str], set[str]] = {}
    for family in families:
        databases = frozenset(family.databases) if dialect.databases else None
        permission = "~" if family.access == "write" else "%R~"
        group = (databases, allowed(rule, family, dialect), permission)
        groups.setdefault(group, set()).add(permission + glob_of(family.pattern, tenant))
    for (databases, commands, _), keys in groups.items():
        yield Rules(commands=commands, keys=frozenset(keys), databases=databases)


def _with_keys(
    root: Rules,
    rule: AccessRule,
    families: Iterable[Family],
    tenant: TenantId,
    dialect: Dialect,
) -> Rules:
    commands, keys = set(root.commands), set()
    for family in families:
        commands |= allowed(rule, family, dialect)
        keys.add(f"~{glob_of(family.pattern, tenant)}")
    return Rules(frozenset(commands), frozenset(keys), root.channels)


def _homes(families: Iterable[Family]) -> frozenset[int]:
    return frozenset(number for family in families for number in family.databases)


def _limits(rule: AccessRule, dialect: Dialect) -> Iterator[str]:
    if not dialect.databases:
        yield (
            "This server has no rules by database: the user can also use its own keys in the "
            "database of another of its families."
        )
    if not dialect.selectors:
        yield (
            "This server has no selectors: the commands for one type also open the user's own "
            "keys of other types."
        )
    if missing := sorted(dialect.unknown):
        yield f"This server does not know {', '.join(missing)}: left out."
    if SELECT not in rule.session:
        yield "The contract does not grant SELECT, so the user stays in database 0."


def _refuse_unfit(what: str, name: str) -> None:
    if _BREAKS_A_RULE.search(name):
        raise AccessInexpressibleError(
            what, name, "it holds a space, a bracket or a control character"
        )
