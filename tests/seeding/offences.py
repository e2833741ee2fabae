# SPDX-License-Identifier: Apache-2.0
"""The rules of the keyspace, written out once more to judge generated data before any server."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import TYPE_CHECKING

from kryonix_cache.reference_impl.contract.formats import host_of, text_of
from kryonix_cache.reference_impl.errors import FormatError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from kryonix_cache.reference_impl.contract import Contract, Field, ParsedKey
    from kryonix_cache.reference_impl.seeding import SeedKey


def parsed(contract: Contract, key: SeedKey) -> ParsedKey:
    """Take the key apart; it must be one of the contract's."""
    found = contract.parse(key.database, key.name)
    assert found is not None, key.name
    return found


def fields_of(contract: Contract, key: SeedKey) -> Iterator[tuple[Field, str]]:
    """Yield each field that a key holds, with its text; a JSON object's members as well."""
    family = parsed(contract, key).family
    arguments = [argument.decode() for argument in key.write[2:]]
    if family.type == "hash":
        written = dict(zip(arguments[0::2], arguments[1::2], strict=True))
        assert written.keys() == family.fields.keys()
        yield from ((field, written[name]) for name, field in family.fields.items())
        return
    assert family.value is not None
    for text in arguments[1::2] if family.type == "zset" else arguments:
        yield family.value, text
        if family.value.fields:
            members = json.loads(text)
            assert members.keys() == family.value.fields.keys()
            for name, field in family.value.fields.items():
                yield field, text_of(members[name])


def offences(contract: Contract, keys: Sequence[SeedKey]) -> list[str]:
    """Return a sentence for each broken rule; an empty list for clean data."""
    names = {key.name for key in keys}
    found = [] if len(names) == len(keys) else ["a key is there twice"]
    for key in keys:
        family = parsed(contract, key).family
        if key.type != family.type or key.ttl != family.ttl.max_seconds:
            found.append(f"{key.name!r}: type or time to live")
        for field, text in fields_of(contract, key):
            sentences = (*_of_text(contract, field, text), *_of_place(contract, key, field, text))
            found += [f"{key.name!r} {field.name}: {sentence}" for sentence in sentences]
            if field.refers_to:
                target = contract.family(field.refers_to)
                if contract.key(target.name, **{target.parts[0]: text}) not in names:
                    found.append(f"{key.name!r} {field.name}: nothing is there for {text}")
    return found + _disagreements(contract, keys)


def _of_text(contract: Contract, field: Field, text: str) -> Iterator[str]:
    if field.secret:
        if not contract.secrets.is_digest(text):
            yield "a secret in clear"
        return
    if field.values and text not in field.values:
        yield "none of the listed words"
    try:
        field.format.parse(text)
    except FormatError:
        yield f"{field.format.name} does not read {text!r}"


def _of_place(contract: Contract, key: SeedKey, field: Field, text: str) -> Iterator[str]:
    place = parsed(contract, key)
    if field.format.name == "tenant" and text != place.tenant:
        yield "another tenant"
    if field.equals_part and text != place.parts[field.equals_part]:
        yield f"not the key's {field.equals_part}"
    if field.format.name == "key-list":
        for name in json.loads(text):
            other = contract.parse_anywhere(name.encode())
            if other is None or other.tenant != place.tenant:
                yield f"{name} is no key of the tenant"


def _disagreements(contract: Contract, keys: Sequence[SeedKey]) -> list[str]:
    facts: dict[tuple[str | None, str], set[str]] = defaultdict(set)
    holders: dict[tuple[str, str, str], set[str | None]] = defaultdict(set)
    for key in keys:
        place = parsed(contract, key)
        for field, text in fields_of(contract, key):
            if field.fact:
                facts[place.tenant, field.fact].add(host_of(text))
            if field.unique:
                holders[place.family.name, field.name, text].add(place.tenant)
    return [
        *(f"{tenant}: {fact} differs" for (tenant, fact), said in facts.items() if len(said) > 1),
        *(f"{held} is not unique" for held, tenants in holders.items() if len(tenants) > 1),
    ]
