# SPDX-License-Identifier: Apache-2.0
"""Contracts with families and channels of a test's own."""

from __future__ import annotations

from dataclasses import replace

from kryonix_cache.reference_impl.contract import Contract, default_contract
from kryonix_cache.reference_impl.contract.keys import part_names
from kryonix_cache.reference_impl.contract.model import Access, AccessRule, Channel, Family

OWN = default_contract()
assert OWN.access is not None
RULE: AccessRule = OWN.access
PARTS = {**OWN.parts, "x": "[a-z0-9]{1,8}"}


def family(name: str, pattern: str, *, access: Access = "write", database: int = 0) -> Family:
    """Return a family of strings."""
    return replace(
        OWN.family("api-cache"),
        name=name,
        pattern=pattern,
        parts=part_names(pattern),
        access=access,
        databases=(database,),
    )


def contract_of(
    *families: Family, channels: tuple[str, ...] = (), rule: AccessRule | None = RULE
) -> Contract:
    """Return a contract of these families, and of channels by their patterns."""
    return replace(
        OWN,
        families=families,
        channels=tuple(Channel(each, each, "", part_names(each)) for each in channels),
        access=rule,
        parts=PARTS,
    )
