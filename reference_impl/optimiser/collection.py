# SPDX-License-Identifier: Apache-2.0
"""
The optimiser's one pass over all databases: names of every key, and more of very few.

Only sessions, connections and cached answers are asked anything, and of the chosen tenants only.
Nothing is kept for a key: a tenant costs counters, its hottest answers, a few keys that show later
whether it is still there, and a number for each of its users.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, cast

from kryonix_cache.reference_impl.bulk import KeyTemplate
from kryonix_cache.reference_impl.contract.model import SEPARATOR
from kryonix_cache.reference_impl.optimiser.declaration import WRITES
from kryonix_cache.reference_impl.optimiser.errors import NoOptimiserRulesError
from kryonix_cache.reference_impl.optimiser.fields import HashFields, refusal
from kryonix_cache.reference_impl.optimiser.tally import MOST_MODULES, Tally
from kryonix_cache.reference_impl.problems import Problem, place_of
from kryonix_cache.reference_impl.scan import PIPELINE_KEYS, answered, pages, reader, told
from kryonix_cache.reference_impl.tenant.families import ANSWERS, CONNECTIONS, SESSIONS

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from kryonix_cache.reference_impl.bulk import Reply
    from kryonix_cache.reference_impl.connection import Clients, GuardedConnection
    from kryonix_cache.reference_impl.contract import Contract
    from kryonix_cache.reference_impl.contract.keys import Matcher
    from kryonix_cache.reference_impl.contract.model import Family, TenantId
    from kryonix_cache.reference_impl.optimiser.facts import TenantFacts
    from kryonix_cache.reference_impl.optimiser.fields import Reading
    from kryonix_cache.reference_impl.scan import Page

_PEOPLE_FIELDS = ("user_id", "device_type", "platform")
_MODULE = "{module}"
_GONE = -2
_MOST_SHOWN = 3


class Role(Enum):
    """What the keys of a family are to the pass."""

    SYSTEM = "of no tenant"
    BOOKKEEPING = "of a tenant, and kept by the system for itself"
    WRITTEN = "of a tenant, and written by runs"
    COUNTED = "of a tenant"
    SESSION = "a session"
    CONNECTION = "an open connection"
    ANSWER = "a cached answer"


@dataclass(frozen=True, slots=True)
class Collected:
    """What the pass saw: tenants in the order of their ids, keys, and those of no family.

    `problems` concern no tenant that there is.
    """

    tenants: Mapping[TenantId, TenantFacts]
    keys: int
    unknown: int
    problems: tuple[Problem, ...] = ()


def collect(
    clients: Clients,
    contract: Contract,
    *,
    tenants: Collection[str] | None = None,
    max_impact: float = 1.0,
    seen: Callable[[int], None] | None = None,
) -> Collected:
    """Go once over all databases; return the tenants that have keys, or the chosen ones of them.

    Of keys that belong to no chosen tenant nothing but the name is asked. `seen` is told of the
    keys of each page.

    Raises:
        InvalidTenantIdError: a chosen tenant has no valid id.
        NoOptimiserRulesError: the contract says nothing about an optimiser.
        ScanLostError: the server went away.
        ReadDeniedError: this user may not run one of the commands.

    """
    if contract.optimiser is None:
        raise NoOptimiserRulesError(contract.name)
    chosen = None if tenants is None else {contract.tenant.parse(each) for each in tenants}
    collector = _Pass(contract, chosen, heat=_heat_question(clients))
    for page in pages(clients, [each.number for each in contract.databases], max_impact=max_impact):
        with told(clients[page.database], page.database):
            collector.take(page)
        if seen is not None:
            seen(len(page.names))
    return collector.result()


def _heat_question(clients: Clients) -> bytes:
    """Return the subcommand of OBJECT that the server's policy keeps the figures for."""
    with told(clients[0], 0), reader(clients[0]) as connection:
        (reply,) = answered(connection.exchange([(b"INFO", b"memory")]), ("INFO",))
    lines = cast("bytes", reply).splitlines()
    lfu = any(line.startswith(b"maxmemory_policy:") and line.endswith(b"-lfu") for line in lines)
    return b"FREQ" if lfu else b"IDLETIME"


@dataclass(frozen=True, slots=True)
class _Layout:
    """One database: the matcher of its families, and the role of each."""

    matcher: Matcher
    roles: Sequence[Role]
    lasting: Sequence[bool]


class _Pass:
    def __init__(
        self, contract: Contract, chosen: Collection[TenantId] | None, *, heat: bytes
    ) -> None:
        assert contract.optimiser is not None
        self._contract = contract
        self._rule = contract.optimiser
        self._chosen = None if chosen is None else {each.encode() for each in chosen}
        self._layouts = {
            each.number: _layout(contract.matcher(each.number)) for each in contract.databases
        }
        self._tallies: dict[bytes, Tally] = {}
        self._keys = self._unknown = self._misnamed = 0
        self._examples: list[str] = []
        self._modules: dict[bytes, str] = {}
        # None of them touches the access clock of a value, which on servers without NO-TOUCH
        # a STRLEN would: the next run would find all answers equally hot.
        self._answer_questions = KeyTemplate(
            (b"TYPE", None), (b"PTTL", None), (b"OBJECT", heat, None)
        )
        self._sign = 1.0 if heat == b"FREQ" else -1.0
        self._lifetime = KeyTemplate((b"PTTL", None))
        self._people = {
            role: HashFields(contract.family(name), _PEOPLE_FIELDS)
            for role, name in ((Role.SESSION, SESSIONS), (Role.CONNECTION, CONNECTIONS))
        }
        answers = contract.family(ANSWERS)
        self._answer_type = answers.type.encode()
        self._module_at = answers.pattern.split(SEPARATOR).index(_MODULE)

    def take(self, page: Page) -> None:
        """Count the keys of a page, and ask what is needed of a few of them."""
        asked: dict[Role, list[tuple[Tally, bytes]]] = {
            Role.SESSION: [],
            Role.CONNECTION: [],
            Role.ANSWER: [],
        }
        layout = self._layouts[page.database]
        match, roles, lasting = layout.matcher.match, layout.roles, layout.lasting
        database, tallies = page.database, self._tallies
        lists = [asked.get(role) for role in roles]
        for name in page.names:
            found = match(name)
            if found is None:
                self._unknown += 1
                continue
            index = found.index
            role = roles[index]
            if role is Role.SYSTEM:
                continue
            raw = cast("bytes", found.tenant)
            tally = tallies.get(raw) or self._tally(raw)
            if tally is None or role is Role.BOOKKEEPING:
                continue
            if role is Role.WRITTEN:
                tally.keys += 1
                continue
            tally.key(database, name, lasting=lasting[index])
            questions = lists[index]
            if questions is not None:
                questions.append((tally, name))
        self._keys += len(page.names)
        for role, keys in asked.items():
            for some in _portions(keys):
                self._ask(role, page.connection, page.database, some)

    def _tally(self, raw: bytes) -> Tally | None:
        """Return the tally of a tenant, None for one that is not wanted or is none."""
        if self._chosen is not None and raw not in self._chosen:
            return None
        text = raw.decode()
        if not self._contract.tenant.is_valid(text):
            self._misnamed += 1
            if len(self._examples) < _MOST_SHOWN and ascii(text) not in self._examples:
                self._examples.append(ascii(text))
            return None
        tally = self._tallies[raw] = Tally(self._contract.tenant.parse(text), self._rule)
        return tally

    def _ask(
        self,
        role: Role,
        connection: GuardedConnection,
        database: int,
        keys: Sequence[tuple[Tally, bytes]],
    ) -> None:
        names = [name for _, name in keys]
        if role is Role.ANSWER:
            replies = connection.exchange_keys(self._answer_questions, names)
            # Nearly all are answers as they should be, and those are many.
            usual, sign, modules = self._answer_type, self._sign, self._modules
            separator, place = SEPARATOR.encode(), self._module_at
            for (tally, name), kind, lifetime, heat in zip(
                keys, replies[0::3], replies[1::3], replies[2::3], strict=True
            ):
                if kind == usual and type(lifetime) is int and type(heat) is int:
                    if lifetime != _GONE:
                        module = name.split(separator, place + 1)[place]
                        text = modules.get(module) or self._module(module)
                        tally.answer(name, text, lifetime, sign * heat)
                else:
                    self._answer(tally, database, name, (kind, lifetime, heat))
            return
        lifetimes: list[Reply] = [-1] * len(names)
        if role is Role.SESSION:
            lifetimes = answered(connection.exchange_keys(self._lifetime, names), ("PTTL",))
        readings = self._people[role].read(connection, database, names)
        for (tally, _), reading, lifetime in zip(keys, readings, lifetimes, strict=True):
            if lifetime != _GONE:
                _person(tally, role, reading, cast("int", lifetime))

    def _answer(self, tally: Tally, database: int, name: bytes, replies: Sequence[Reply]) -> None:
        kind, lifetime, heat = replies
        answered([kind, lifetime], ("TYPE", "PTTL"))
        if kind == b"none" or lifetime == _GONE:
            return
        if kind != self._answer_type:
            other = f"it is a {cast('bytes', kind).decode()} and no cached answer"
            tally.problem(Problem(place_of(database, name), other))
            return
        what = refusal((heat,), "OBJECT")
        if what is not None:
            tally.problem(Problem(place_of(database, name), what))
            heat = None
        module = name.split(SEPARATOR.encode())[self._module_at]
        warmth = None if heat is None else self._sign * cast("int", heat)
        tally.answer(name, self._module(module), cast("int", lifetime), warmth)

    def _module(self, raw: bytes) -> str:
        """Return the name of a module, one text for all answers of it as long as they are few."""
        text = raw.decode()
        if len(self._modules) < MOST_MODULES:
            self._modules[raw] = text
        return text

    def result(self) -> Collected:
        """Return what was seen; a tenant of which there is bookkeeping only is none."""
        facts = sorted(
            (tally.facts() for tally in self._tallies.values() if tally.keys),
            key=lambda each: each.tenant,
        )
        problems: tuple[Problem, ...] = ()
        if self._misnamed:
            what = (
                f"{self._misnamed} keys are of no valid tenant id, as {', '.join(self._examples)}"
            )
            problems = (Problem("keys of tenants", what),)
        return Collected({each.tenant: each for each in facts}, self._keys, self._unknown, problems)


def _person(tally: Tally, role: Role, reading: Reading, lifetime: int) -> None:
    for problem in reading.problems:
        tally.problem(problem)
    if not reading.values and not reading.problems and role is Role.CONNECTION:
        # It was closed after SCAN had named it.
        return
    if role is Role.SESSION:
        platform = cast("str | None", reading.values.get("platform"))
        tally.session(platform, active=lifetime > 0)
    user = cast("str | None", reading.values.get("user_id"))
    if user is not None:
        tally.user(user, mobile=_is_mobile(reading))


def _is_mobile(reading: Reading) -> bool:
    device, platform = reading.values.get("device_type"), reading.values.get("platform")
    if device is not None:
        return device in {"mobile", "tablet"}
    return platform in {"android", "ios"}


def _layout(matcher: Matcher) -> _Layout:
    return _Layout(
        matcher,
        [_role_of(family) for family in matcher.families],
        [
            family.parts == ("tenant",) and family.ttl.kind == "persistent"
            for family in matcher.families
        ],
    )


def _role_of(family: Family) -> Role:
    if not family.per_tenant:
        return Role.SYSTEM
    if family.bookkeeping:
        return Role.BOOKKEEPING
    if family.name in WRITES:
        return Role.WRITTEN
    named = {ANSWERS: Role.ANSWER, SESSIONS: Role.SESSION, CONNECTIONS: Role.CONNECTION}
    return named.get(family.name, Role.COUNTED)


def _portions(
    keys: Sequence[tuple[Tally, bytes]],
) -> Iterator[Sequence[tuple[Tally, bytes]]]:
    for start in range(0, len(keys), PIPELINE_KEYS):
        yield keys[start : start + PIPELINE_KEYS]
