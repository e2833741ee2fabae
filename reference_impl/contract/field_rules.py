# SPDX-License-Identifier: Apache-2.0
"""Rules of the fields in a contract file that its JSON Schema cannot say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from kryonix_cache.reference_impl.contract.formats import FORMATS
from kryonix_cache.reference_impl.contract.keys import TENANT, part_names

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Rule: TypeAlias = tuple[list[str | int], str]


def broken_field_rules(data: Mapping[str, Any]) -> Iterator[Rule]:
    """Yield each broken rule of a field as its path and a sentence without its full stop."""
    families = data["family"]
    for name, family in families.items():
        for path, field in _fields_of(name, family):
            yield from _format(path, field)
            yield from _references(path, field, families)
            yield from _part(path, field, part_names(family["key"]))


def _fields_of(
    name: str, family: Mapping[str, Any]
) -> Iterator[tuple[list[str | int], Mapping[str, Any]]]:
    """Yield each field of a family, nested ones too, with its path in the file."""
    if "value" in family:
        yield ["family", name, "value"], family["value"]
        yield from _below(["family", name, "value"], family["value"])
    yield from _below(["family", name], family)


def _below(
    path: list[str | int], table: Mapping[str, Any]
) -> Iterator[tuple[list[str | int], Mapping[str, Any]]]:
    for name, field in table.get("fields", {}).items():
        here: list[str | int] = [*path, "fields", name]
        if isinstance(field, str):
            yield here, {"format": field}
        else:
            yield here, field
            yield from _below(here, field)


def _format(path: list[str | int], field: Mapping[str, Any]) -> Iterator[Rule]:
    if field["format"] not in FORMATS:
        hint = "`kryonix-cache contract show --formats` lists them"
        yield path, f"{field['format']!r} is no field format: {hint}"
    if (field["format"] == "enum") != bool(field.get("values")):
        yield path, "values belong to the format enum, and the format enum needs them"
    if "fields" in field and field["format"] != "json-object":
        yield path, "fields belong to the format json-object"


def _references(
    path: list[str | int], field: Mapping[str, Any], families: Mapping[str, Any]
) -> Iterator[Rule]:
    for reference in ("refers_to", "among"):
        if reference in field and field[reference] not in families:
            yield path, f"{reference} names {field[reference]!r}, which is no family"
            return
    if "refers_to" in field and len(part_names(families[field["refers_to"]]["key"])) != 1:
        yield path, f"refers_to names {field['refers_to']!r}, whose key takes not one part"
    if "among" in field and not _is_set_of_a_tenant(families[field["among"]]):
        yield path, f"among names {field['among']!r}, which is no set of the tenant"


def _is_set_of_a_tenant(family: Mapping[str, Any]) -> bool:
    return family["type"] == "set" and part_names(family["key"]) == (TENANT,)


def _part(
    path: list[str | int], field: Mapping[str, Any], parts: tuple[str, ...]
) -> Iterator[Rule]:
    if "equals_part" in field and field["equals_part"] not in parts:
        yield path, f"equals_part names {field['equals_part']!r}, which is no part of the key"
