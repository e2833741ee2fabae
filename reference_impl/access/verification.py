# SPDX-License-Identifier: Apache-2.0
"""
Whether the server really keeps a tenant's user to its plan: tried out, without any effect.

The probes are calls of the contract's commands on keys that the tenant may use, and on keys that
it may not: of tenants whose names look alike, and of nobody. The server is asked about each in
two ways. ACL DRYRUN answers without running anything. And over a connection of the tenant's own
EXISTS and WATCH are sent as they are, and all else is queued in a transaction that is discarded:
the server checks the permission when it queues a call, and runs none. Keys are made up, except
that some families have one key for each tenant; no value is read.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

import redis

from kryonix_cache.reference_impl.access.dialect import subcommands_of
from kryonix_cache.reference_impl.access.patterns import reach_of
from kryonix_cache.reference_impl.access.rules import access_rule, allowed
from kryonix_cache.reference_impl.connection import bulk
from kryonix_cache.reference_impl.contract.keys import TENANT, glob_of, part_names
from kryonix_cache.reference_impl.contract.model import SEPARATOR

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from kryonix_cache.reference_impl.access.dialect import Dialect
    from kryonix_cache.reference_impl.access.rules import UserPlan
    from kryonix_cache.reference_impl.connection import Clients, Command, Reply
    from kryonix_cache.reference_impl.contract import Contract, Family
    from kryonix_cache.reference_impl.contract.model import TenantId

MADE_UP = "acl-probe"
"""Stands in probes for every part of a key but the tenant."""

KEYLESS: tuple[tuple[bytes, ...], ...] = (
    (b"SCAN", b"0"),
    (b"DBSIZE",),
    (b"RANDOMKEY",),
    (b"INFO",),
    (b"CONFIG", b"GET", b"maxmemory"),
    (b"CLIENT", b"LIST"),
    (b"ACL", b"LIST"),
    (b"EVAL", b"return 1", b"0"),
)
"""Calls that tell of, or reach, every tenant: those that are also tried as the tenant."""

EVERY_TENANT = "every tenant"
_ELSEWHERE = "every family elsewhere"
# The word that stands for all others in a call without a key: as a number of keys it means none.
_NO_KEY = b"0"
_NEEDS_NO_ACCOUNT = b"no_auth"
_STRIDE = 7
_LOOKS_ALIKE = ("{0}2", "{0}-b", "{0}_b", "b-{0}")
_DIRECT = frozenset({b"EXISTS", b"WATCH"})
# They frame a transaction, and would end the one in which the others are queued.
_FRAMES = frozenset({"unwatch", "multi", "exec", "discard"})


@dataclass(frozen=True, slots=True)
class Probe:
    """One call, where it is made, and whether the server has to allow it.

    `family` names what it is about: calls of one family stand for each other.
    """

    database: int
    call: tuple[bytes, ...]
    allowed: bool
    family: str
    owner: str

    def __str__(self) -> str:
        call = " ".join(word.decode(errors="backslashreplace") for word in self.call)
        return f"{call} in database {self.database} ({self.owner})"


@dataclass(frozen=True, slots=True)
class Answers:
    """What came of some probes: how many were answered, and those answered wrongly.

    `unanswered` are those to which the server gave neither a permission nor a refusal. `denied`
    says that this account may not ask at all.
    """

    tried: int
    wrong: tuple[Probe, ...]
    unanswered: tuple[Probe, ...]
    denied: bool = False


class CommandShapes:
    """How many words each command takes and where its key stands, as the server says."""

    def __init__(self, client: redis.Redis, words: Iterable[str]) -> None:
        """Ask the server; raise redis.ResponseError where this account may not."""
        names = sorted(words)
        with bulk(client) as connection:
            (reply,) = connection.exchange(
                [(b"COMMAND", b"INFO", *(name.encode() for name in names))]
            )
        if isinstance(reply, redis.ResponseError):
            raise reply
        entries = cast("list[Sequence[Reply]]", reply)
        self._shapes = {
            name: (abs(cast("int", entry[1])), cast("int", entry[3]))
            for name, entry in zip(names, entries, strict=True)
            if entry
        }

    def call(self, name: str, key: bytes) -> tuple[bytes, ...] | None:
        """Return the shortest call of a command on a key; None for one that takes no key."""
        length, place = self._shapes.get(name, (0, 0))
        if place < 1:
            return None
        words = [word.upper().encode() for word in name.split("|")]
        words += [b"1"] * (max(length, place + 1) - len(words))
        words[place] = key
        return tuple(words)


def look_alikes(contract: Contract, tenant: TenantId) -> list[TenantId]:
    """Return valid ids of other tenants that begin or end as this one does, or nearly so."""
    names = [form.format(tenant) for form in _LOOKS_ALIKE] + [tenant[:-1], tenant[1:]]
    valid = [name for name in names if contract.tenant.is_valid(name) and name != tenant]
    return [contract.tenant.parse(name) for name in dict.fromkeys(valid)]


def probes(
    contract: Contract, plan: UserPlan, dialect: Dialect, shapes: CommandShapes
) -> list[Probe]:
    """Return the calls that show whether a user is kept to its plan."""
    rule = access_rule(contract)
    named = {word for each in rule.commands.values() for word in (*each.read, *each.write)}
    words = dialect.known(named) - _FRAMES
    own = {name: allowed(rule, contract.family(name), dialect) for name in plan.families}
    anything = frozenset[str]().union(*own.values())
    found: list[Probe] = []
    for family in contract.families:
        # Without selectors what one family needs opens the user's keys of every family.
        granted = own.get(family.name, frozenset[str]())
        if granted and not dialect.selectors:
            granted = anything
        tenants = (
            [plan.tenant, *look_alikes(contract, plan.tenant)] if family.per_tenant else [None]
        )
        for tenant in tenants:
            for word in sorted(words):
                call = shapes.call(word, _filled(family.pattern, tenant))
                if call is not None:
                    may = tenant == plan.tenant and word in granted
                    found += _placed(family, call, allowed=may, whose=tenant)
    home = min(contract.family(name).databases[0] for name in plan.families) if own else 0
    found += _on_channels(contract, plan, home)
    if dialect.databases:
        found += _in_wrong_databases(contract, plan, own, shapes)
    return found + [
        Probe(home, call, allowed=False, family="", owner=EVERY_TENANT) for call in KEYLESS
    ]


def keyless_probes(client: redis.Redis, granted: frozenset[str]) -> list[Probe]:
    """Return a call of each command of the server that needs no key and is not `granted`.

    They are for ACL DRYRUN, which runs none. Raises redis.ResponseError where this account may
    not ask for all commands.
    """
    with bulk(client) as connection:
        (reply,) = connection.exchange([(b"COMMAND",)])
    if isinstance(reply, redis.ResponseError):
        raise reply
    calls = [
        _call_without_key(entry)
        for command in cast("list[list[Reply]]", reply)
        for entry in subcommands_of(command) or [command]
        if cast("bytes", entry[0]).decode() not in granted
    ]
    return [Probe(0, call, allowed=False, family="", owner=EVERY_TENANT) for call in calls if call]


def _call_without_key(entry: Sequence[Reply]) -> tuple[bytes, ...] | None:
    name, arity, flags, first_key = entry[:4]
    # What needs no account at all (AUTH, HELLO, QUIT, RESET) no rule can refuse.
    if first_key or _NEEDS_NO_ACCOUNT in cast("list[bytes]", flags):
        return None
    words = cast("bytes", name).upper().split(b"|")
    return (*words, *([_NO_KEY] * (abs(cast("int", arity)) - len(words))))


def _on_channels(contract: Contract, plan: UserPlan, home: int) -> Iterator[Probe]:
    """Yield calls on channels of the tenant, of others and of nobody."""
    for channel in contract.channels:
        tenants: Sequence[TenantId | None] = [None]
        if TENANT in channel.parts:
            tenants = [plan.tenant, *look_alikes(contract, plan.tenant)]
        for tenant in tenants:
            own = tenant == plan.tenant and glob_of(channel.pattern, tenant) in plan.root.channels
            name = _filled(channel.pattern, tenant)
            for call in ((b"PUBLISH", name, b"1"), (b"SUBSCRIBE", name)):
                may = own and call[0].decode().lower() in plan.root.commands
                yield Probe(home, call, may, f"channel {channel.name}", _owner(tenant))


def _in_wrong_databases(
    contract: Contract,
    plan: UserPlan,
    own: Mapping[str, frozenset[str]],
    shapes: CommandShapes,
) -> Iterator[Probe]:
    """Yield, for each family, calls on the tenant's key where only other families belong."""
    families = [contract.family(name) for name in own]
    entered = {number for family in families for number in family.databases}
    for family in families:
        granted = own[family.name]
        # Another family may have names like these in its own database.
        open_in = {
            number
            for other in families
            if reach_of(other.pattern, family.pattern, plan.tenant, contract.parts)
            for number in other.databases
        }
        key = _filled(family.pattern, plan.tenant)
        for word in (min(granted), max(granted)) if granted else ():
            call = shapes.call(word, key)
            if call is None:
                continue
            for number in sorted(entered - open_in):
                # One of them stands for all others when they are tried as the tenant.
                owner = f"{_owner(plan.tenant)}, wrong database"
                yield Probe(number, call, allowed=False, family=_ELSEWHERE, owner=owner)


def _placed(
    family: Family, call: tuple[bytes, ...], *, allowed: bool, whose: TenantId | None
) -> Iterator[Probe]:
    for database in family.databases:
        yield Probe(database, call, allowed, family.name, _owner(whose))


def _owner(tenant: TenantId | None) -> str:
    return f"tenant {tenant}" if tenant else "no tenant"


def _filled(pattern: str, tenant: TenantId | None) -> bytes:
    return SEPARATOR.join(
        segment if not named else str(tenant) if named == (TENANT,) else MADE_UP
        for segment in pattern.split(SEPARATOR)
        for named in [part_names(segment)]
    ).encode()


def ask_the_server(clients: Clients, user: str, asked: Sequence[Probe]) -> Answers:
    """Ask ACL DRYRUN about each probe, in the database where it belongs."""
    replies: dict[Probe, Reply] = {}
    for database, some in _by_database(asked).items():
        commands = [(b"ACL", b"DRYRUN", user.encode(), *probe.call) for probe in some]
        replies |= dict(zip(some, _exchange(clients, database, commands), strict=True))
    answers = _judged(asked, {probe: _dry(reply) for probe, reply in replies.items()})
    return replace(answers, denied=any(_refused(reply) for reply in replies.values()))


def for_the_tenant(asked: Sequence[Probe], tenant: TenantId) -> list[Probe]:
    """Choose what is tried as the tenant: all that it may do, and some of what it may not.

    The server writes each refusal into its ACL LOG, which is short (128 entries) and the evidence
    of real attempts; so of each family one call on the tenant's own key and one on another's
    stand for the others.
    """
    refused: dict[tuple[str, bool], list[Probe]] = {}
    for probe in asked:
        if not probe.allowed and probe.family:
            refused.setdefault((probe.family, probe.owner == _owner(tenant)), []).append(probe)
    # Not of each family the same command, nor the same owner.
    chosen = [some[_STRIDE * number % len(some)] for number, some in enumerate(refused.values())]
    keyless = [probe for probe in asked if not probe.family]
    return [*(probe for probe in asked if probe.allowed), *chosen, *keyless]


def try_as_tenant(clients: Clients, tried: Sequence[Probe]) -> Answers:
    """Try each probe on the tenant's own connections; nothing that writes is run."""
    permissions: dict[Probe, bool | None] = {}
    for database, given in _by_database(tried).items():
        direct = [probe for probe in given if probe.call[0] in _DIRECT]
        queued = [probe for probe in given if probe.call[0] not in _DIRECT]
        try:
            replies = _tried(clients, database, direct, queued)
        except redis.exceptions.NoPermissionError:
            # The connection may not even enter the database.
            permissions |= dict.fromkeys(given, False)
        else:
            probes_in_order = [*direct, *queued]
            permissions |= {
                probe: _permitted(reply)
                for probe, reply in zip(probes_in_order, replies, strict=True)
            }
    return _judged(tried, permissions)


def _tried(
    clients: Clients, database: int, direct: Sequence[Probe], queued: Sequence[Probe]
) -> list[Reply]:
    with bulk(clients[database]) as connection:
        *replies, opened = connection.exchange([*(probe.call for probe in direct), (b"MULTI",)])
        if opened != b"OK":
            # Outside a transaction the calls would be run, on keys of other tenants too.
            return [*replies, *([None] * len(queued))]
        # DISCARD ends the watching as well.
        answered = connection.exchange([*(probe.call for probe in queued), (b"DISCARD",)])
    return [*replies, *answered[:-1]]


def _exchange(clients: Clients, database: int, commands: Sequence[Command]) -> list[Reply]:
    with bulk(clients[database]) as connection:
        return connection.exchange(commands)


def _by_database(given: Iterable[Probe]) -> dict[int, list[Probe]]:
    found: dict[int, list[Probe]] = {}
    for probe in given:
        found.setdefault(probe.database, []).append(probe)
    return found


def _dry(reply: Reply) -> bool | None:
    if reply == b"OK":
        return True
    return False if isinstance(reply, bytes) and b"no permissions" in reply else None


def _refused(reply: Reply) -> bool:
    return isinstance(reply, redis.ResponseError) and str(reply).startswith("NOPERM")


def _permitted(reply: Reply) -> bool | None:
    if isinstance(reply, redis.ResponseError):
        # A replica looks at permissions first, and refuses only then what would write.
        return False if _refused(reply) else str(reply).startswith("READONLY") or None
    # A count from EXISTS, OK from WATCH.
    return True if reply in {b"QUEUED", b"OK", 0, 1} else None


def _judged(given: Sequence[Probe], permissions: Mapping[Probe, bool | None]) -> Answers:
    return Answers(
        tried=sum(permissions[probe] is not None for probe in given),
        wrong=tuple(probe for probe in given if permissions[probe] not in {None, probe.allowed}),
        unanswered=tuple(probe for probe in given if permissions[probe] is None),
    )
