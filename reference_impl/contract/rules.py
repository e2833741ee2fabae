# SPDX-License-Identifier: Apache-2.0
"""Rules of a contract file that its JSON Schema cannot say; the data has passed the schema."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import combinations
from typing import Any

from kryonix_cache.reference_impl.contract.assembly import field_tables, family_of
from kryonix_cache.reference_impl.contract.formats import FORMATS
from kryonix_cache.reference_impl.contract.keys import (
    SEPARATOR,
    may_meet,
    part_names,
    segments_are_well_formed,
)

Rule = tuple[list[str | int], str]


def broken_rules(data: Mapping[str, Any]) -> Iterator[Rule]:
    """Yield each broken rule as its path in the file and a sentence without its full stop."""
    yield from _patterns(data)
    yield from _databases(data)
    yield from _keys(data)
    yield from _meetings(data)
    yield from _fields(data)
    yield from _companions(data)
    yield from _profiles(data)


def _patterns(data: Mapping[str, Any]) -> Iterator[Rule]:
    patterns: list[tuple[list[str | int], str]] = [
        (["tenant", "pattern"], data["tenant"]["pattern"]),
        (["secrets", "digest"], data["secrets"]["digest"]),
    ]
    patterns += [(["parts", name], pattern) for name, pattern in data["parts"].items()]
    for path, pattern in patterns:
        try:
            compiled = re.compile(pattern)
        except re.error as error:
            yield path, f"{pattern!r} is no regular expression ({error})"
            continue
        if path[0] != "secrets" and compiled.fullmatch(SEPARATOR):
            yield path, f"the pattern must not match the separator {SEPARATOR!r}"
        if compiled.groups:
            yield path, "the pattern must not hold a capturing group: write (?:...)"


def _databases(data: Mapping[str, Any]) -> Iterator[Rule]:
    seen: set[int] = set()
    for index, database in enumerate(data["database"]):
        if database["number"] in seen:
            yield ["database", index, "number"], f"database {database['number']} is there twice"
        seen.add(database["number"])
    for name, family in data["family"].items():
        for number in _homes(family):
            if number not in seen:
                yield ["family", name, "database"], f"database {number} is not in the contract"


def _homes(family: Mapping[str, Any]) -> list[int]:
    homes = family["database"]
    return homes if isinstance(homes, list) else [homes]


def _keys(data: Mapping[str, Any]) -> Iterator[Rule]:
    for name, family in data["family"].items():
        path: list[str | int] = ["family", name, "key"]
        parts = part_names(family["key"])
        if not segments_are_well_formed(family["key"]):
            yield path, "each segment is either literal or one named part, as tenant:{tenant}"
        if len(set(parts)) != len(parts):
            yield path, "a named part stands in the key twice"
        for part in parts:
            if part != "tenant" and part not in data["parts"]:
                yield path, f"the part {part!r} has no pattern in [parts]"
        if family["type"] == "hash" and "value" in family:
            yield ["family", name, "value"], "a hash has fields, not a value"
        if family["type"] != "hash" and "fields" in family:
            yield ["family", name, "fields"], f"a {family['type']} has a value, not fields"


def _meetings(data: Mapping[str, Any]) -> Iterator[Rule]:
    families = [family_of(name, table) for name, table in data["family"].items()]
    for first, second in combinations(families, 2):
        if set(first.databases) & set(second.databases) and may_meet(first, second, data["parts"]):
            yield (
                ["family", second.name, "key"],
                f"a key could belong to {first.name!r} and to {second.name!r} in one database",
            )


def _fields(data: Mapping[str, Any]) -> Iterator[Rule]:
    for name, family in data["family"].items():
        parts = part_names(family["key"])
        for path, table in field_tables(name, family):
            if table["format"] not in FORMATS:
                yield path, f"{table['format']!r} is no field format"
            if (table["format"] == "enum") != ("values" in table):
                yield path, "values belong to the format enum, and the format enum needs them"
            for reference in ("refers_to", "among"):
                if table.get(reference, name) not in data["family"]:
                    yield path, f"{reference} names {table[reference]!r}, which is no family"
            if table.get("equals_part", next(iter(parts), None)) not in (*parts, None):
                yield path, f"equals_part names {table['equals_part']!r}, which is no part of the key"


def _companions(data: Mapping[str, Any]) -> Iterator[Rule]:
    for name, family in data["family"].items():
        companion = family.get("accompanied_by")
        if companion and companion["family"] not in data["family"]:
            yield ["family", name, "accompanied_by"], f"{companion['family']!r} is no family"


def _profiles(data: Mapping[str, Any]) -> Iterator[Rule]:
    for name, profile in data["profile"].items():
        for directive in profile.get("directives", {}):
            if directive not in data["directive"]:
                yield ["profile", name, "directives", directive], "no such directive in [directive]"
