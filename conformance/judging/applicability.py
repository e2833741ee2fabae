# SPDX-License-Identifier: Apache-2.0
"""What a contract says nothing about, so that no data can keep or break it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kryonix_cache.conformance.judging.fields import EMBEDDED, FIELDS, SECRETS
from kryonix_cache.conformance.judging.references import REFERENCES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from kryonix_cache.reference_impl.contract import Contract, Family, Field


def left_open(contract: Contract) -> Mapping[str, str]:
    """Return the requirements on data whose condition no family meets, and why.

    Without this a team whose contract has no templates could never be judged conformant: a
    requirement of which nothing was seen is inconclusive.
    """
    families = contract.families
    fields = [field for family in families for field in _fields_of(family)]
    said = {
        FIELDS: ("names fields or the form of a value", bool(fields)),
        EMBEDDED: ("names a tenant in a value", any(f.format.name == "tenant" for f in fields)),
        SECRETS: ("has a secret field", any(f.secret for f in fields)),
        REFERENCES: (
            "says something that another says too, or refers to a key",
            any(f.fact or f.unique or f.refers_to or f.among for f in fields)
            or any(family.accompanied_by for family in families),
        ),
        "keyspace.system-info": (
            "describes a database",
            any(family.describes_database for family in families),
        ),
        "keyspace.templates": ("holds templates", any(family.template for family in families)),
    }
    return {
        requirement: f"no family of the contract {what}"
        for requirement, (what, there) in said.items()
        if not there
    }


def _fields_of(family: Family) -> Iterator[Field]:
    if family.value is not None:
        yield family.value
        yield from _inside(family.value)
    for field in family.fields.values():
        yield field
        yield from _inside(field)


def _inside(field: Field) -> Iterator[Field]:
    for inner in field.fields.values():
        yield inner
        yield from _inside(inner)
