# SPDX-License-Identifier: Apache-2.0
"""Markdown pages derived from the contract, from the registry and from the errata."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING

from jinja2 import Environment, PackageLoader, StrictUndefined

from kryonix_cache.reference_impl.contract import FORMATS, load_errata

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kryonix_cache.conformance.registry import Registry, Requirement
    from kryonix_cache.reference_impl.contract import Contract, Field, Profile


def keyspace_page(contract: Contract) -> str:
    """Return the page of the keyspace: databases, families, fields, directives, formats."""
    return _render(
        "keyspace.md.jinja",
        contract=contract,
        fields=flattened,
        notes=_notes,
        facts=_facts(contract),
        formats=FORMATS.values(),
        values=_directive_values(contract),
        requirement_of=_requirements_of_directives(contract),
    )


def requirements_page(registry: Registry, contract: Contract) -> str:
    """Return the page of the requirements, each under its id as anchor."""
    areas: dict[str, list[Requirement]] = {}
    for requirement in registry.requirements.values():
        areas.setdefault(requirement.area, []).append(requirement)
    profiles = tuple(contract.profiles.values())
    levels = {each.id: level_words(each, profiles) for each in registry.requirements.values()}
    return _render("requirements.md.jinja", areas=areas, levels=levels, errata=load_errata())


def errata_page(registry: Registry) -> str:
    """Return the page of the errata, each under its id as anchor."""
    judged_by = {
        erratum: [each.id for each in registry.requirements.values() if erratum in each.errata]
        for erratum in load_errata()
    }
    return _render("errata.md.jinja", errata=load_errata().values(), judged_by=judged_by)


def level_words(requirement: Requirement, profiles: tuple[Profile, ...]) -> str:
    """Say which level a requirement has in which profile."""
    by_level: dict[str, list[str]] = {}
    for profile in profiles:
        left_out = requirement.id in profile.leaves_out
        level = "not judged" if left_out else requirement.level_in(profile.name)
        by_level.setdefault(level, []).append(profile.name)
    if len(by_level) == 1:
        return next(iter(by_level))
    return "; ".join(f"{level} in {', '.join(names)}" for level, names in by_level.items())


def flattened(fields: Mapping[str, Field], prefix: str = "") -> list[tuple[str, Field]]:
    """Return each field with its dotted name, nested ones after the field that holds them."""
    rows: list[tuple[str, Field]] = []
    for field in fields.values():
        rows.append((prefix + field.name, field))
        rows += flattened(field.fields, f"{prefix}{field.name}.")
    return rows


def _facts(contract: Contract) -> Mapping[str, list[str]]:
    facts: dict[str, list[str]] = {}
    for family in contract.families:
        for name, field in flattened(family.all_fields):
            if field.fact:
                facts.setdefault(field.fact, []).append(f"{family.name}.{name}")
    return facts


def _directive_values(contract: Contract) -> Mapping[str, Mapping[str, str]]:
    values: dict[str, dict[str, str]] = {}
    for profile in contract.profiles.values():
        for directive in profile.directives:
            values.setdefault(directive.name, {})[profile.name] = directive.value
    return values


def _requirements_of_directives(contract: Contract) -> Mapping[str, str]:
    return {
        directive.name: directive.requirement
        for profile in contract.profiles.values()
        for directive in profile.directives
    }


def _notes(field: Field) -> str:
    notes = [
        ("secret", field.secret),
        ("unique across tenants", field.unique),
        (f"fact {field.fact}", field.fact),
        (f"names a {field.refers_to}", field.refers_to),
        (f"each in {field.among}", field.among),
        (f"equals the key's {field.equals_part}", field.equals_part),
        (f"misnamed {', '.join(field.misnamed)}", field.misnamed),
        (f"[{field.erratum}](errata.md#{field.erratum})", field.erratum),
    ]
    return "; ".join(words for words, holds in notes if holds)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("kryonix_cache.conformance.pages", "."),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        # The pages are Markdown: what would be markup there is escaped by `cell`.
        autoescape=False,  # noqa: S701
    )
    environment.filters["cell"] = _cell
    return environment


def _cell(text: str) -> str:
    """Escape what would end a table's cell or start a tag in Markdown."""
    return re.sub(r"([|<>])", r"\\\1", text)


def _render(template: str, **values: object) -> str:
    return _environment().get_template(template).render(**values)
