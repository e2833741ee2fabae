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

KeyType = Literal["string", "hash", "list", "set", "zset"]
Comparison = Literal["equal", "equal-and-host-has-it", "set-and-host-has-it"]
Unit = Literal["count", "seconds", "bytes", "word", "snapshots"]


@dataclass(frozen=True, slots=True)
class Database:
    """A logical database: its number, name and purpose."""

    number: int
    name: str
    purpose: str


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
        if self.is_valid(tenant):
            return
        raise InvalidTenantIdError(
            f"The tenant id {tenant!a} is not valid{_offence(tenant)}: give {self.wanted}."
        )


def _offence(tenant: str) -> str:
    for index, character in enumerate(tenant):
        if not re.fullmatch("[a-z0-9_-]", character):
            name = unicodedata.name(character, f"character U+{ord(character):04X}")
            return f" ({name} at position {index + 1})"
    return f" ({len(tenant)} characters)"


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
    of a list, set or sorted set.
    """

    name: str
    databases: tuple[int, ...]
    pattern: str
    type: KeyType
    ttl: TtlRule
    durable: bool
    required: bool
    purpose: str
    parts: tuple[str, ...]
    fields: Mapping[str, Field]
    value: Field | None = None
    template: str | None = None
    describes_database: bool = False
    mixes_tenants: str | None = None
    accompanied_by: Companion | None = None

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
    """A family of Pub/Sub channels."""

    name: str
    pattern: str
    purpose: str


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
