# SPDX-License-Identifier: Apache-2.0
"""Keys from which tenants are to be found, and keys that only look as if they named one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kryonix_cache.conformance.judging.display import place
from kryonix_cache.conformance.optimising.families import ANSWERS, QUEUES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kryonix_cache.conformance.optimising.scene import Scene
    from kryonix_cache.reference_impl.contract import Family

_PART = "x1"
_PARTS = {"day": "20260317", "database": "3", "phone": "+5517987654321", "email": "a@acme.org"}
_LONG = 5_000


def tenants_by_form(scene: Scene) -> dict[str, str]:
    """Write for each family a tenant that has a key of it alone; return its key by tenant."""
    found: dict[str, str] = {}
    for number, family in enumerate(scene.contract.seeded_families):
        for database in family.databases:
            tenant = scene.tenant(f"f{number}-{database}").id
            found[tenant] = _write(scene, family, database, tenant)
    # Ids that are words of the keys themselves.
    queue, answer = scene.contract.family(QUEUES), scene.contract.family(ANSWERS)
    for tenant, family in (("tenant", queue), ("system", answer), ("api", answer)):
        if scene.contract.tenant.is_valid(tenant):
            found[tenant] = _write(scene, family, family.databases[0], tenant)
    # The first marker names the tenant, whatever follows it.
    parts = {"tenant": scene.tenant("twice").id, "module": "tenant", "endpoint": "ghost-of-part"}
    key = scene.contract.key(ANSWERS, **parts)
    _put(scene, answer, answer.databases[0], key)
    found[parts["tenant"]] = place(answer.databases[0], key)
    return found


def bookkeeping_keys(scene: Scene) -> Mapping[str, set[str]]:
    """Write keys that optimisers keep for themselves; return the tenants that have no others."""
    traps: dict[str, set[str]] = {}
    kept = [each for each in scene.contract.tenant_families if each.bookkeeping]
    for number, family in enumerate(kept):
        tenant = scene.tenant(f"b{number}").id
        where = _write(scene, family, family.databases[0], tenant)
        traps[f"{where} is bookkeeping, and the tenant has no other key"] = {tenant}
    return traps


def foreign_keys(scene: Scene) -> Mapping[str, set[str]]:
    """Write keys of the system and of nobody; return what a careless reader takes for tenants."""
    for number, family in enumerate(scene.contract.families):
        if not family.per_tenant and not family.bookkeeping:
            parts = {part: _PARTS.get(part, f"ghost-{number}") for part in family.parts}
            for database in family.databases:
                _put(scene, family, database, scene.contract.key(family.name, **parts))
    client = scene.clients[scene.contract.family(ANSWERS).databases[0]]
    good = scene.contract.key(ANSWERS, tenant=scene.tenant("mark").id, module=_PART, endpoint=_PART)
    mark = scene.tenant("mark").id.encode()
    names = {
        b"\xff\xfe binary": "bytes",
        b"tenant:": "",
        b"tenant:ghost-alone": "ghost-alone",
        b"legacy:tenant:ghost-legacy:thing": "ghost-legacy",
        b"mytenant:ghost-mine:api:crm:list": "ghost-mine",
        b"session:tenant:ghost-session": "ghost-session",
        good.replace(mark, b""): "",
        good.replace(mark, b"Ghost-Upper"): "Ghost-Upper",
        good.replace(mark, b"ghost space"): "ghost space",
        good.replace(mark, b"*"): "*",
        good.replace(mark, b"ghost-\xff"): "ghost-\udcff",
        good.replace(mark, b"g" * 64): "g" * 64,
        good + b":ghost-more": "ghost-more",
        b"tenant:ghost-long:" + b"x" * _LONG: "ghost-long",
    }
    for key in names:
        client.set(key, "1", ex=_LONG)
    return {
        f"{place(1, key)} is of no family or names no valid tenant": {tenant}
        for key, tenant in names.items()
    }


def _write(scene: Scene, family: Family, database: int, tenant: str) -> str:
    parts = {part: _PARTS.get(part, _PART) for part in family.parts} | {"tenant": tenant}
    key = scene.contract.key(family.name, **parts)
    _put(scene, family, database, key)
    return place(database, key)


def _put(scene: Scene, family: Family, database: int, key: bytes) -> None:
    client = scene.clients[database]
    match family.type:
        case "string":
            client.set(key, "{}")
        case "hash":
            client.hset(key, "note", "1")
        case "list":
            client.rpush(key, "{}")
        case "set":
            client.sadd(key, "a")
        case "zset":
            client.zadd(key, {"a": 1})
    if family.ttl.max_seconds is not None:
        client.expire(key, family.ttl.max_seconds)
