# SPDX-License-Identifier: Apache-2.0
"""The contract as typed values: databases, key families, fields, directives, profiles."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Literal

from kryonix_cache.reference_impl.errors import InvalidTenantIdError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kryonix_cache.reference_impl.contract.formats import Format

SEPARATOR = ":"
_SHOWN = 80
_ORDINARY = "a"

KeyType = Literal["string", "hash", "list", "set", "zset"]
Access = Literal["write", "read", "none"]
Comparison = Literal["equal", "equal-and-host-has-it", "set-and-host-has-it"]
Unit = Literal["count", "seconds", "bytes", "word", "snapshots"]


@dataclass(frozen=True, slots=True)
class Database:
    """A logical database: its number, name and purpose."""

    number: int
    name: str
    purpose: str


class TenantId(str):
    """A tenant id that has been checked; made by `TenantRule.parse` and nowhere else."""

    __slots__ = ()


@dataclass(frozen=True)
class TenantRule:
    """Which tenant ids are valid, and which prefix belongs to the suite's own runs."""

    pattern: str
    wanted: str
    run_prefix: str

    @cached_property
    def _compiled(self) -> re.Pattern[str]:
        return re.compile(self.pattern, re.ASCII)

    def is_valid(self, tenant: str) -> bool:
        """Say whether `tenant` is a valid id; one that holds the separator never is."""
        return SEPARATOR not in tenant and self._compiled.fullmatch(tenant) is not None

    def check(self, tenant: str) -> None:
        """Raise InvalidTenantIdError, naming the first character that offends, if any does."""
        if not isinstance(tenant, str):
            raise InvalidTenantIdError(
                f"A tenant id is text, not {type(tenant).__name__}: give {self.wanted}."
            )
        if not self.is_valid(tenant):
            raise InvalidTenantIdError(
                f"The tenant id {shortened(tenant)} is not valid{self._offence(tenant)}: "
                f"give {self.wanted}."
            )

    def parse(self, tenant: str) -> TenantId:
        """Return the id as a value that needs no second check; raise InvalidTenantIdError."""
        self.check(tenant)
        return TenantId(tenant)

    def _offence(self, tenant: str) -> str:
        for index, character in enumerate(tenant):
            if not self._may_hold(character):
                return f" ({_name_of(character)} at position {index + 1})"
        for index in {0, len(tenant) - 1} if tenant else ():
            if self.is_valid(_ORDINARY) and not self.is_valid(tenant[index]):
                return f" ({_name_of(tenant[index])} at position {index + 1})"
        return f" ({len(tenant)} characters)"

    def _may_hold(self, character: str) -> bool:
        if not self.is_valid(_ORDINARY):
            # Ids of this contract have a form that no short text has: only what is never meant
            # to stand in a name is called an offender.
            return character.isascii() and (character.isalnum() or character in "._-")
        return any(self.is_valid(text) for text in (character, f"a{character}a"))


def _name_of(character: str) -> str:
    return unicodedata.name(character, f"character U+{ord(character):04X}")


def shortened(text: str) -> str:
    """Return untrusted text as ASCII between quotes, cut off where it would fill the screen."""
    return ascii(text) if len(text) <= _SHOWN else f"{text[:_SHOWN]!a}..."


@dataclass(frozen=True, slots=True)
class TtlRule:
    """How long a key lives: for ever, or at most `max_seconds`."""

    max_seconds: int | None

    @property
    def kind(self) -> Literal["expires", "persistent"]:
        """'expires' or 'persistent'."""
        return "persistent" if self.max_seconds is None else "expires"


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a hash, a member of a JSON object, or the value of a string, list, set or zset.

    `fact` names what the value says of its tenant: all fields of one fact agree. `unique`
    forbids two tenants to hold the same value. `refers_to` names the family whose key is
    built from the value and must exist. `among` names the set that must hold each listed
    name. `equals_part` names the part of the key that the value repeats.
    """

    name: str
    format: Format
    required: bool = False
    secret: bool = False
    values: tuple[str, ...] = ()
    fact: str | None = None
    unique: bool = False
    refers_to: str | None = None
    among: str | None = None
    equals_part: str | None = None
    misnamed: tuple[str, ...] = ()
    erratum: str | None = None
    fields: Mapping[str, Field] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Companion:
    """A family that must be there for each tenant that has the family that names it."""

    family: str
    erratum: str | None


@dataclass(frozen=True, slots=True)
class Family:
    """A family of keys: one pattern, one type, one rule of expiry, one set of fields.

    `fields` belongs to hashes, `value` to the other types: the string itself, or each element
    of a list, set or sorted set. `access` is what a tenant's own user of the server may do
    with the tenant's keys. `bookkeeping` keys are kept by the system for itself, so that no
    sample holds one.
    """

    name: str
    databases: tuple[int, ...]
    pattern: str
    type: KeyType
    ttl: TtlRule
    durable: bool
    access: Access
    required: bool
    purpose: str
    parts: tuple[str, ...]
    fields: Mapping[str, Field]
    value: Field | None = None
    template: str | None = None
    describes_database: bool = False
    mixes_tenants: str | None = None
    accompanied_by: Companion | None = None
    bookkeeping: bool = False

    @property
    def per_tenant(self) -> bool:
        """Say whether each key of the family belongs to one tenant."""
        return "tenant" in self.parts

    @property
    def all_fields(self) -> Mapping[str, Field]:
        """Fields of the hash, or of the JSON object that the value holds."""
        return self.value.fields if self.value is not None else self.fields


@dataclass(frozen=True, slots=True)
class ParsedKey:
    """A key taken apart: its family, its named parts, and its tenant if it has one."""

    family: Family
    parts: Mapping[str, str]

    @property
    def tenant(self) -> str | None:
        """Tenant of the key, or None for a system key."""
        return self.parts.get("tenant")


@dataclass(frozen=True, slots=True)
class Channel:
    """A family of Pub/Sub channels; its pattern is made as those of keys are."""

    name: str
    pattern: str
    purpose: str
    parts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ParsedChannel:
    """A channel's name taken apart: its family, its named parts, and its tenant if it has one."""

    channel: Channel
    parts: Mapping[str, str]

    @property
    def tenant(self) -> str | None:
        """Tenant of the channel, or None for one of the system."""
        return self.parts.get("tenant")


@dataclass(frozen=True, slots=True)
class CommandSet:
    """Commands that read keys, and commands that write them, in lower case."""

    read: tuple[str, ...]
    write: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AccessRule:
    """What a tenant's own user of the server may do.

    `user` is the user's name with the place of the tenant. An open connection loses what is
    taken from its user within `revocation_s` seconds. `session` and `channel` are the commands
    that name no key; `commands` are the others by the type of key, and `any` for all types.
    """

    user: str
    revocation_s: float
    session: tuple[str, ...]
    channel: tuple[str, ...]
    commands: Mapping[str, CommandSet]

    def user_of(self, tenant: TenantId) -> str:
        """Return the name of the tenant's user."""
        return self.user.replace("{tenant}", tenant)

    def tenant_of(self, user: str) -> str | None:
        """Return what stands in a user's name for the tenant, valid or not; None for others."""
        before, _, after = self.user.partition("{tenant}")
        if not user.startswith(before) or not user.endswith(after):
            return None
        return user[len(before) : len(user) - len(after)] or None


@dataclass(frozen=True, slots=True)
class Answer:
    """An API answer by the parts of its key, in the contract's text form module/endpoint."""

    module: str
    endpoint: str

    @property
    def item(self) -> str:
        """The name of the answer where it is one item among others."""
        return f"{self.module}.{self.endpoint}"


@dataclass(frozen=True, slots=True)
class OptimiserRule:
    """When the optimiser acts on a tenant, and how far (E13 to E20).

    `hot` are the answers that the API rule extends; `essentials` maps each item of the mobile rule
    to the answer whose real value it may be copied from. Times to live of what is written are
    those of the families.
    """

    interval_s: int
    hit_rate_below_percent: float
    hottest_keys: int
    ttl_below_s: int
    ttl_factor: float
    oldest_value_s: int
    mobile_share_above_percent: float
    api_calls_above: int
    preload_items: int
    hot: tuple[Answer, ...]
    essentials: Mapping[str, Answer]
    largest_value_bytes: int
    loader_s: float
    history_days: int
    history_items: int


@dataclass(frozen=True, slots=True)
class Directive:
    """A server directive: names (the modern one first), wanted value, and how it is compared.

    `restart_only` directives cannot be set at run time (E01).
    """

    name: str
    aliases: tuple[str, ...]
    requirement: str
    unit: Unit
    value: str
    comparison: Comparison
    restart_only: bool
    erratum: str | None

    @property
    def names(self) -> tuple[str, ...]:
        """Every name by which servers know the directive, the modern one first (E03)."""
        return (self.name, *self.aliases)


@dataclass(frozen=True, slots=True)
class Profile:
    """What a kind of deployment must keep: levels that gate, ids left out, directive values."""

    name: str
    purpose: str
    gate: tuple[str, ...]
    leaves_out: tuple[str, ...]
    directives: tuple[Directive, ...]


@dataclass(frozen=True, slots=True)
class Sector:
    """A business sector that every deployment has a template for (E29)."""

    name: str
    modules: tuple[str, ...]
    terminology: Mapping[str, str]
    compliance_requirements: tuple[str, ...]
    typical_workflows: tuple[str, ...]
    welcome_message: str
    initial_setup_steps: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SecretRule:
    """The form of a digest that may stand in place of a secret (E26, E29)."""

    digest: str
    erratum: str | None

    def is_digest(self, text: str) -> bool:
        """Say whether `text` is a digest and not the secret itself."""
        return re.fullmatch(self.digest, text) is not None


@dataclass(frozen=True, slots=True)
class ClientRule:
    """Socket options that every client connection of the reference sets (E02)."""

    tcp_user_timeout_ms: int
    tcp_keepalive_s: int
