# SPDX-License-Identifier: Apache-2.0
"""
One whole fictitious tenant, made from the contract alone.

Everything that must agree is drawn once: the facts of the tenant, the members of its sets, the
names of its keys. The families then fill in their fields.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from kryonix_cache.reference_impl.seeding.errors import SyntheticDataError
from kryonix_cache.reference_impl.seeding.values import (
    CHANNELS,
    MAKERS,
    MODULES,
    UNIQUE,
    Identity,
    Place,
    as_json,
    compact,
    unique_text,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from kryonix_cache.reference_impl.contract import Contract, Family, Field
    from kryonix_cache.reference_impl.seeding.draw import Draw

ELEMENTS = 3
"""Elements of each list, set and sorted set."""

PREDICTED_KEYS = 3

_WRITES = {"string": "SET", "hash": "HSET", "list": "RPUSH", "set": "SADD", "zset": "ZADD"}
_PART_WORDS: Mapping[str, Sequence[str]] = {
    "module": MODULES,
    "endpoint": ("dashboard", "contacts", "today", "list"),
    "queue": ("notifications", "email", "whatsapp"),
    "item": ("dashboard", "notifications", "user_profile", "recent_activity"),
}


@dataclass(frozen=True, slots=True)
class MadeKey:
    """A key of the scenery: where it belongs and the text of the command that writes it."""

    family: Family
    database: int
    write: tuple[str, ...]


class Scenery:
    """The keys of one tenant, or those of the system where `identity` names no tenant."""

    def __init__(
        self,
        contract: Contract,
        identity: Identity,
        sector: str,
        moment: datetime,
        draw: Draw,
        *,
        given: Mapping[str, str] | None = None,
    ) -> None:
        """`given` holds texts of fields that are not to be made up."""
        self._given = given or {}
        self._contract = contract
        self._identity = identity
        self._sector = sector
        self._moment = moment
        self._draw = draw

    @cached_property
    def _hosts(self) -> frozenset[str]:
        """The facts that name a host."""
        return frozenset(
            field.fact
            for family in self._contract.families
            for field in family.all_fields.values()
            if field.fact and field.format.name in {"host", "url"}
        )

    def tenant_keys(self) -> Iterator[MadeKey]:
        """Make one key of each family that belongs to tenants."""
        for family in self._contract.seeded_families:
            yield from self.keys_of(family)

    def keys_of(self, family: Family) -> Iterator[MadeKey]:
        """Make one key of the family in each of its databases."""
        for database in family.databases:
            parts = dict(self._parts(family))
            if family.describes_database:
                parts["database"] = str(database)
            name = family.pattern.format_map(parts)
            arguments = self._arguments(family, parts)
            yield MadeKey(family, database, (_WRITES[family.type], name, *arguments))

    def _parts(self, family: Family) -> Mapping[str, str]:
        return {part: self._part(family, part) for part in family.parts}

    def _part(self, family: Family, part: str) -> str:
        if part == "tenant":
            return self._identity.tenant
        draw = self._draw.within(family.name, part)
        for candidate in part_candidates(part, self._sector, draw):
            if re.fullmatch(self._contract.parts[part], candidate):
                return candidate
        raise SyntheticDataError(
            f"No synthetic value fits the pattern {self._contract.parts[part]!r} of the key part "
            f"{part!r} in the contract {self._contract.name!r}; "
            "seed this keyspace by its own means."
        )

    def _arguments(self, family: Family, parts: Mapping[str, str]) -> list[str]:
        draw = self._draw.within(family.name)
        if family.type == "hash":
            return [
                argument
                for name, field in family.fields.items()
                for argument in (name, self._text(family, field, parts, draw.within(name)))
            ]
        if family.type == "set":
            return self._members(family)
        count = 1 if family.type == "string" else ELEMENTS
        texts = [self._value(family, parts, draw.within(turn)) for turn in range(count)]
        if family.type == "zset":
            return [part for text in texts for part in (self._score(text), text)]
        return texts

    def _value(self, family: Family, parts: Mapping[str, str], draw: Draw) -> str:
        if family.value is None:
            return _plain("text", self._place("value", draw))
        return self._text(family, family.value, parts, draw)

    def _members(self, family: Family) -> list[str]:
        """Return the members of a set; `among` of other families draws from the same."""
        form = family.value.format.name if family.value else "name"
        if form == "name":
            return self._draw.some(CHANNELS, ELEMENTS, family.name)
        draws = [self._draw.within(family.name, turn) for turn in range(ELEMENTS)]
        return list(dict.fromkeys(_plain(form, self._place("value", draw)) for draw in draws))

    def _score(self, member: str) -> str:
        epoch = re.match("[0-9]{9,13}(?=:)", member)
        return epoch[0] if epoch else str(int(self._moment.timestamp()))

    def _text(self, family: Family, field: Field, parts: Mapping[str, str], draw: Draw) -> str:
        """Return what agrees with the rest of the tenant, else what the format allows."""
        text = self._given.get(field.name)
        if text is None and field.equals_part:
            text = parts[field.equals_part]
        if text is None and field.secret:
            text = self._identity.secrets[secret_purpose(family, field)]
        if text is None:
            text = self._agreed(field)
        if text is None and field.unique:
            text = self._unique(family, field, draw)
        if text is None and field.fields:
            text = self._object(family, field, parts, draw)
        return self._free(field, draw) if text is None else text

    def _agreed(self, field: Field) -> str | None:
        if field.fact in self._hosts:
            host = self._identity.host
            return f"https://{host}/{field.name}" if field.format.name == "url" else host
        if field.refers_to:
            return self._sector
        if field.fact:
            return self._free(field, self._draw.within(field.fact))
        if field.among:
            return compact(self._members(self._contract.family(field.among))[:2])
        return None

    def _free(self, field: Field, draw: Draw) -> str:
        if field.values:
            return draw.choice(field.values)
        if field.format.name == "key-list":
            return compact(self._predicted())
        return _plain(field.format.name, self._place(field.name, draw))

    def _object(self, family: Family, field: Field, parts: Mapping[str, str], draw: Draw) -> str:
        return compact(
            {
                name: as_json(
                    member.format.name, self._text(family, member, parts, draw.within(name))
                )
                for name, member in field.fields.items()
            }
        )

    def _unique(self, family: Family, field: Field, draw: Draw) -> str:
        if field.format.name in UNIQUE:
            return unique_text(field.format.name, self._place(field.name, draw))
        raise SyntheticDataError(
            f"No synthetic value of the format {field.format.name!r} differs between all tenants, "
            f"as the field {field.name!r} of the family {family.name!r} asks; give the field "
            f"another format, or seed this keyspace by its own means."
        )

    def _predicted(self) -> list[str]:
        """Return names of keys that are asked for again: the tenant's own strings that expire."""
        names = [
            family.pattern.format_map(self._parts(family))
            for family in self._contract.seeded_families
            if family.type == "string" and family.ttl.kind == "expires"
        ]
        return names[:PREDICTED_KEYS]

    def _place(self, field: str, draw: Draw) -> Place:
        return Place(field, self._identity, self._moment, self._sector, draw)


def part_candidates(part: str, sector: str, draw: Draw) -> Iterator[str]:
    """Return values for a part of a key, the likeliest first; the part's pattern decides."""
    if part == "sector":
        yield sector
    if part in _PART_WORDS:
        yield draw.choice(_PART_WORDS[part])
    number = draw.number(10**11, 10**12 - 1)
    yield f"{part[:4]}_{number:x}"
    yield draw.choice(MODULES)
    yield str(number % 10)
    yield str(number)
    yield str(number)[:8]
    yield f"+{number}"
    yield f"a{number}@example.com"
    yield f"{number:032x}"
    yield f"00000000-0000-4000-8000-{number:012x}"
    yield draw.choice(MODULES).upper()


def secret_purpose(family: Family, field: Field) -> str:
    """Return what a secret is for: fields of one fact share it, others have their own."""
    return field.fact or f"{family.name}.{field.name}"


def _plain(form: str, place: Place) -> str:
    try:
        return MAKERS[form](place)
    except KeyError:
        raise SyntheticDataError(
            f"No synthetic value can be made for the format {form!r} of the field "
            f"{place.field!r}; seed this keyspace by its own means."
        ) from None
