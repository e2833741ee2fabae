# SPDX-License-Identifier: Apache-2.0
"""
Rules of a contract file that its JSON Schema cannot say; the data has passed the schema.

The rules stand in an order: each may rely on those before it, and the loader stops at the
first that is broken.
"""

from __future__ import annotations

import math
import re
import warnings
from itertools import combinations
from typing import TYPE_CHECKING, Any

from kryonix_cache.reference_impl.contract.errata import load_errata
from kryonix_cache.reference_impl.contract.field_rules import broken_field_rules
from kryonix_cache.reference_impl.contract.keys import (
    TENANT,
    may_meet,
    part_names,
    segments_are_well_formed,
)
from kryonix_cache.reference_impl.contract.model import SEPARATOR
from kryonix_cache.reference_impl.contract.withheld import withheld

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from kryonix_cache.reference_impl.contract.field_rules import Rule

# What follows the prefix in the tenant ids of a run: the run, and a name.
_RUN_TENANT = "20260131t120000-0a1b2c-a"
_VALUE_OF_UNIT = {
    "count": re.compile(r"-?[0-9]{1,18}"),
    "seconds": re.compile(r"[0-9]{1,18}"),
    "bytes": re.compile(r"[0-9]{1,18}(?:[kmg]b?|b)?"),
    "word": re.compile(r"[^\s\"'\\]+"),
    "snapshots": re.compile(r"(?:[0-9]{1,9} [0-9]{1,9}(?: [0-9]{1,9} [0-9]{1,9})*)?"),
}
_WANTED_OF_UNIT = {
    "count": "a whole number",
    "seconds": "a whole number of seconds",
    "bytes": "a number of bytes, as 16gb",
    "word": "one word",
    "snapshots": "pairs of seconds and changes, as 300 10 60 1000",
}


def broken_rules(data: Mapping[str, Any]) -> Iterator[Rule]:
    """Yield each broken rule as its path in the file and a sentence without its full stop."""
    yield from _errata(data, [])
    yield from _objectives(data)
    yield from _patterns(data)
    yield from _run_tenants(data)
    yield from _databases(data)
    yield from _keys(data)
    yield from _channels(data)
    yield from _families(data)
    yield from _access(data)
    yield from broken_field_rules(data)
    yield from _meetings(data)
    yield from _companions(data)
    yield from _directives(data)
    yield from _profiles(data)


def _errata(table: Mapping[str, Any], path: list[str | int]) -> Iterator[Rule]:
    for name, value in table.items():
        if isinstance(value, dict):
            yield from _errata(value, [*path, name])
        elif name == "erratum" and isinstance(value, str) and value not in load_errata():
            yield (
                [*path, name],
                f"{value} is no erratum: `kryonix-cache requirements errata` lists them",
            )


def _objectives(data: Mapping[str, Any]) -> Iterator[Rule]:
    for name, value in data["objectives"].items():
        if not math.isfinite(value):
            yield ["objectives", name], "the limit must be a finite number"


def _patterns(data: Mapping[str, Any]) -> Iterator[Rule]:
    parts: list[tuple[list[str | int], str]] = [(["tenant", "pattern"], data["tenant"]["pattern"])]
    parts += [(["parts", name], pattern) for name, pattern in data["parts"].items()]
    for path, pattern in parts:
        yield from _expression(path, pattern)
        for text, name in ((SEPARATOR, f"the separator {SEPARATOR!r}"), ("", "the empty text")):
            if re.fullmatch(pattern, text):
                yield path, f"the pattern must not match {name}"
    yield from _expression(["secrets", "digest"], data["secrets"]["digest"])


def _expression(path: list[str | int], pattern: str) -> Iterator[Rule]:
    if not pattern.isascii():
        yield path, "the pattern must be written in ASCII: keys are matched as bytes"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            # Patterns are joined into longer ones, in which a global flag is an error too.
            compiled = re.compile(f"x(?:{pattern})".encode())
            re.compile(pattern)
    except (re.error, OverflowError, RecursionError, Warning) as error:
        yield path, f"{pattern!r} is no regular expression ({error})"
    else:
        if compiled.groups:
            yield path, "the pattern must not hold a capturing group: write (?:...)"


def _run_tenants(data: Mapping[str, Any]) -> Iterator[Rule]:
    example = data["tenant"]["run_prefix"] + _RUN_TENANT
    if not re.fullmatch(data["tenant"]["pattern"], example, re.ASCII):
        yield ["tenant", "run_prefix"], f"a run could have no tenants: {example!r} is no tenant id"


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
        yield from _pattern(["family", name, "key"], family["key"], data["parts"])


def _channels(data: Mapping[str, Any]) -> Iterator[Rule]:
    for name, channel in data.get("channel", {}).items():
        yield from _pattern(["channel", name, "pattern"], channel["pattern"], data["parts"])


def _pattern(path: list[str | int], pattern: str, known: Mapping[str, str]) -> Iterator[Rule]:
    parts = part_names(pattern)
    if not segments_are_well_formed(pattern):
        yield path, "each segment is either literal or one named part, as tenant:{tenant}"
    if len(set(parts)) != len(parts):
        yield path, "a named part stands there twice"
    for part in parts:
        if part != TENANT and part not in known:
            yield path, f"the part {part!r} has no pattern in [parts]"


def _families(data: Mapping[str, Any]) -> Iterator[Rule]:
    for name, family in data["family"].items():
        parts = part_names(family["key"])
        if family["type"] == "hash" and "value" in family:
            yield ["family", name, "value"], "a hash has fields, not a value"
        if family["type"] != "hash" and "fields" in family:
            yield ["family", name, "fields"], f"a {family['type']} has a value, not fields"
        if family.get("required") and parts != (TENANT,):
            yield (
                ["family", name, "required"],
                "a family that every tenant has takes the tenant and no other part",
            )
        if "mixes_tenants" in family and TENANT in parts:
            yield ["family", name, "mixes_tenants"], "each key belongs to one tenant"
        if family.get("describes_database") and "database" not in parts:
            yield ["family", name, "describes_database"], "the key has no part {database}"


def _access(data: Mapping[str, Any]) -> Iterator[Rule]:
    for name, family in data["family"].items():
        if "access" in family and TENANT not in part_names(family["key"]):
            yield ["family", name, "access"], "no key of the family belongs to a tenant"
    if "access" in data and data["access"]["user"].count("{") != 1:
        yield ["access", "user"], "the tenant stands in it once"
    for path, words in _granted(data.get("access", {})):
        for word in withheld(words):
            yield path, f"no tenant may have {word}, which reaches beyond its own keys"


def _granted(access: Mapping[str, Any]) -> Iterator[tuple[list[str | int], list[str]]]:
    for name in ("session", "channel"):
        yield ["access", name], access.get(name, [])
    for kind, sets in access.get("commands", {}).items():
        for name in ("read", "write"):
            yield ["access", "commands", kind, name], sets[name]


def _meetings(data: Mapping[str, Any]) -> Iterator[Rule]:
    for (first, mine), (second, others) in combinations(data["family"].items(), 2):
        if set(_homes(mine)) & set(_homes(others)) and may_meet(
            mine["key"], others["key"], data["parts"]
        ):
            yield (
                ["family", second, "key"],
                f"a key could belong to {first!r} and to {second!r} in one database",
            )


def _companions(data: Mapping[str, Any]) -> Iterator[Rule]:
    for name, family in data["family"].items():
        if "accompanied_by" not in family:
            continue
        path: list[str | int] = ["family", name, "accompanied_by"]
        companion = family["accompanied_by"]["family"]
        if companion not in data["family"]:
            yield path, f"{companion!r} is no family"
        elif part_names(data["family"][companion]["key"]) != (TENANT,):
            yield path, f"{companion!r} must take the tenant and no other part"


def _directives(data: Mapping[str, Any]) -> Iterator[Rule]:
    owners: dict[str, str] = {}
    for name, directive in data["directive"].items():
        yield from _value(["directive", name, "value"], directive["unit"], directive["value"])
        for each in (name, *directive.get("aliases", ())):
            if each in owners:
                yield ["directive", name], f"{each!r} is a name of {owners[each]!r} too"
            owners[each] = name


def _profiles(data: Mapping[str, Any]) -> Iterator[Rule]:
    for name, profile in data["profile"].items():
        for directive, own in profile.get("directives", {}).items():
            path: list[str | int] = ["profile", name, "directives", directive]
            if directive not in data["directive"]:
                yield path, "no such directive in [directive]"
                continue
            yield from _value(path, data["directive"][directive]["unit"], own["value"])


def _value(path: list[str | int], unit: str, value: str) -> Iterator[Rule]:
    if not _VALUE_OF_UNIT[unit].fullmatch(value):
        yield path, f"{value!r} is not {_WANTED_OF_UNIT[unit]}"
