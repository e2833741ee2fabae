# SPDX-License-Identifier: Apache-2.0
"""The whole content of a disposable server, in a form in which two contents can be compared."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias, cast

from kryonix_cache.reference_impl.scan import scan

if TYPE_CHECKING:
    from kryonix_cache.reference_impl.connection import Clients
    from kryonix_cache.reference_impl.contract import Contract
    from kryonix_cache.reference_impl.seeding import SeedPlan
    from kryonix_cache.reference_impl.seeding.key import Value

Place: TypeAlias = tuple[int, bytes]


@dataclass(frozen=True, slots=True)
class Content:
    """Type, value and time to live (milliseconds, -1 for ever) of one key."""

    type: str
    value: Value
    ttl: int

    def digest(self) -> str:
        """Return a digest of type and value that does not depend on a server's order."""
        if isinstance(self.value, dict):
            canonical: object = sorted(self.value.items())
        elif isinstance(self.value, frozenset):
            canonical = sorted(self.value)
        else:
            canonical = self.value
        return hashlib.sha256(f"{self.type}:{canonical!r}".encode()).hexdigest()


Dataset: TypeAlias = Mapping[Place, Content]


def read_dataset(clients: Clients, contract: Contract) -> Dataset:
    """Read every key of every database; for servers that hold a few thousand keys."""
    dataset: dict[Place, Content] = {}
    databases = [database.number for database in contract.databases]
    for batch in scan(clients, databases, sizes=False):
        client = clients[batch.database]
        for name, kind, ttl, _ in batch.rows:
            value: object
            match kind:
                case b"string":
                    value = client.get(name)
                case b"hash":
                    value = client.hgetall(name)
                case b"list":
                    value = tuple(cast("Iterable[bytes]", client.lrange(name, 0, -1)))
                case b"set":
                    value = frozenset(cast("Iterable[bytes]", client.smembers(name)))
                case _:
                    pairs = cast(
                        "Iterable[tuple[bytes, float]]", client.zrange(name, 0, -1, withscores=True)
                    )
                    value = {member: b"%.17g" % score for member, score in pairs}
            dataset[batch.database, name] = Content(kind.decode(), cast("Value", value), ttl)
    return dataset


def digests(clients: Clients, contract: Contract) -> dict[Place, str]:
    """Return a digest of the value of every key of every database, expiries left out."""
    found: dict[Place, str] = {}
    for database, names in names_by_database(clients, contract).items():
        with clients[database].pipeline(transaction=False) as pipeline:
            for name in names:
                pipeline.dump(name)
            payloads = cast("list[bytes | None]", pipeline.execute())
        for name, payload in zip(names, payloads, strict=True):
            if payload is not None:
                found[database, name] = hashlib.sha256(payload).hexdigest()
    return found


def names_by_database(clients: Clients, contract: Contract) -> dict[int, list[bytes]]:
    """Return the names of the keys of each database of the contract that holds any, in order."""
    filled = cast("Mapping[str, object]", clients[0].info("keyspace"))
    return {
        each.number: sorted(
            set(cast("Iterable[bytes]", clients[each.number].scan_iter(count=1000)))
        )
        for each in contract.databases
        if f"db{each.number}" in filled
    }


def planned_dataset(plan: SeedPlan) -> Dataset:
    """Return what the server must hold after seeding `plan`."""
    return {
        (key.database, key.name): Content(
            key.type, key.value, -1 if key.ttl is None else key.ttl * 1000
        )
        for database in plan.sizes
        for key in plan.keys(database)
    }
