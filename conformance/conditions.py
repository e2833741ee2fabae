# SPDX-License-Identifier: Apache-2.0
"""
Conditions of requirements: what a contract must hold for a requirement to have a meaning.

A team with another keyspace judges it by the same registry; what its contract does not speak of
is not applicable, and counts neither way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kryonix_cache.conformance.encodings import LIMITS
from kryonix_cache.conformance.judging.judges import server_judges
from kryonix_cache.conformance.optimising import families as optimising
from kryonix_cache.reference_impl.contract import default_contract
from kryonix_cache.reference_impl.tenant import families, serves

if TYPE_CHECKING:
    from kryonix_cache.conformance.registry import Requirement
    from kryonix_cache.reference_impl.contract import Contract

_OF_THE_SAMPLE = {"seeding.complete", "seeding.idempotent", "seeding.foreign-untouched"}
_OF_NO_FAMILY = {"isolation.key-builder", "isolation.hostile-ids"}
_OF_TENANT_USERS = {
    "isolation.identity",
    "isolation.revocation",
    *(
        f"isolation.acl-{what}"
        for what in ("keys", "enumeration", "escape", "admin", "push", "shared-code")
    ),
}
_STORED = (families.ANSWERS, families.SESSIONS)
_FAMILIES = {
    "isolation.queues": (families.QUEUES,),
    "isolation.websockets": (families.CONNECTIONS,),
    "isolation.pubsub": (families.BROADCASTS,),
}


def unmet_condition(requirement: Requirement, contract: Contract) -> str | None:
    """Return why `requirement` does not apply to `contract`, or None if it does."""
    if requirement.id == "config.encodings-effective":
        return None if _has_every_limit(contract) else "the contract lacks a limit, or its family"
    if requirement.id in _OF_TENANT_USERS:
        return None if contract.access else "the contract knows no access of a tenant's own user"
    if requirement.area == "optimiser":
        return optimising.unmet(contract)
    if requirement.id == "config.client-user-timeout" or (
        requirement.area == "isolation" and requirement.id not in _OF_NO_FAMILY
    ):
        wanted = _FAMILIES.get(requirement.id, _STORED)
        return None if serves(contract, *wanted) else f"the contract has no {' and '.join(wanted)}"
    if requirement.area == "config" and requirement.id not in server_judges(contract):
        return "the contract names no directive for it"
    of_another = requirement.id in _OF_THE_SAMPLE and contract.name != default_contract().name
    return f"the sample is that of the contract {default_contract().name!r}" if of_another else None


def _has_every_limit(contract: Contract) -> bool:
    names = {family.name for family in contract.families}
    directives = {
        each.name for profile in contract.profiles.values() for each in profile.directives
    }
    return all(limit.family in names and limit.directive in directives for limit in LIMITS)
