# SPDX-License-Identifier: Apache-2.0
"""Keys of tenants that meet: for each family one and the same key of each, with secrets in them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kryonix_cache.conformance.outcomes import Inconclusive
from kryonix_cache.reference_impl.seeding.draw import Draw
from kryonix_cache.reference_impl.seeding.scenery import part_candidates

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from kryonix_cache.reference_impl.contract import Contract, Family
    from kryonix_cache.reference_impl.contract.model import KeyType

PRESENT, SPARE = 0, 1
"""Two keys of a family whose name has more parts than the tenant: one is there, one is not."""

_FIELD = b"1"
_WRITES: Mapping[str, bytes] = {
    "string": b"SET",
    "hash": b"HSET",
    "list": b"RPUSH",
    "set": b"SADD",
    "zset": b"ZADD",
}


@dataclass(frozen=True, slots=True)
class Key:
    """A key of somebody: where it is, of which family, and whose (None: the system's)."""

    database: int
    name: bytes
    family: Family
    tenant: str | None

    def creation(self, secret: bytes) -> list[tuple[bytes, ...]]:
        """Return the commands that write it anew, with the secret and a number in it."""
        arguments = {
            "string": (secret,),
            "hash": (_FIELD, b"7", b"secret", secret),
            "list": (b"7", secret),
            "set": (b"7", secret),
            "zset": (b"1", b"7", b"2", secret),
        }[self.family.type]
        return [(b"DEL", self.name), (_WRITES[self.family.type], self.name, *arguments)]


class Population:
    """The keys that the contract gives each of some tenants."""

    def __init__(self, contract: Contract) -> None:
        self.contract = contract
        if not contract.tenant_families:
            raise Inconclusive("the contract gives tenants no keys")

    def key(self, family: Family, tenant: str, which: int = PRESENT) -> Key:
        """Return the key of a tenant in a family."""
        parts = {
            part: tenant if part == "tenant" else self._part(part, which) for part in family.parts
        }
        name = self.contract.key(family.name, **parts)
        return Key(family.databases[0], name, family, tenant)

    def keys(self, tenant: str) -> list[Key]:
        """Return one key of each of the tenant's families."""
        return [self.key(family, tenant) for family in self.contract.tenant_families]

    def system_keys(self) -> list[Key]:
        """Return a key of each family that belongs to no tenant."""
        found = []
        for family in self.contract.families:
            if not family.per_tenant:
                parts = {part: self._part(part, PRESENT) for part in family.parts}
                name = self.contract.key(family.name, **parts)
                found.append(Key(family.databases[0], name, family, None))
        return found

    def home(self, kind: KeyType) -> Family:
        """Return the family in which keys of a type are tried: one that tenants may write."""
        return max(
            self.contract.tenant_families,
            key=lambda f: (f.access == "write", f.type == kind, len(f.parts) > 1),
        )

    def neighbours(self, key: Key) -> Iterator[Key]:
        """Yield the tenant's keys in the same database that it may write, this one first."""
        if key.tenant is None:
            return
        yield key
        for family in self.contract.families_in(key.database):
            if family.per_tenant and family.access == "write" and family != key.family:
                yield self.key(family, key.tenant)

    def _part(self, part: str, which: int) -> str:
        rule = re.compile(self.contract.parts[part])
        draw = Draw("attacks", which)
        words = [f"{part[:4]}{which}", *part_candidates(part, "default", draw)]
        return next((word for word in words if rule.fullmatch(word)), words[0])


def granted_commands(contract: Contract) -> tuple[str, ...]:
    """Return every command on keys that the contract gives tenants, for whatever type of key."""
    sets = contract.access.commands.values() if contract.access else ()
    return tuple(dict.fromkeys(name for each in sets for name in (*each.read, *each.write)))


def secret_of(tenant: str | None) -> bytes:
    """Return the text that stands in each value of a tenant and nowhere else."""
    return f"secret-of-<{tenant or 'system'}>".encode()


def commands_for(contract: Contract, family: Family) -> Mapping[str, Sequence[str]]:
    """Return the commands that may read, and those that may write, keys of a family."""
    access = contract.access
    sets = (
        [access.commands[kind] for kind in ("any", family.type) if kind in access.commands]
        if (access)
        else []
    )
    return {
        "read": [name for each in sets for name in each.read],
        "write": [name for each in sets for name in each.write],
    }
