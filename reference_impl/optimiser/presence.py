# SPDX-License-Identifier: Apache-2.0
"""Which tenants are still there: one that is erased during a run must not come back by it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kryonix_cache.reference_impl.connection import bulk
from kryonix_cache.reference_impl.scan import answered, told

if TYPE_CHECKING:
    from collections.abc import Collection

    from kryonix_cache.reference_impl.bulk import Reply
    from kryonix_cache.reference_impl.connection import Clients
    from kryonix_cache.reference_impl.contract.model import TenantId
    from kryonix_cache.reference_impl.optimiser.facts import TenantFacts


def who_is_there(clients: Clients, tenants: Collection[TenantFacts]) -> set[TenantId]:
    """Return those of the tenants that still have the keys that show it.

    One missing lasting key is enough for no: an erasure that has begun will go on. Where only
    keys were seen that expire, one that is left is enough for yes.

    Raises:
        ScanLostError: the server went away.
        ReadDeniedError: this user may not run EXISTS.

    """
    asked: dict[int, list[tuple[TenantId, bytes]]] = {}
    for facts in tenants:
        for database, key in facts.anchors:
            asked.setdefault(database, []).append((facts.tenant, key))
    found: dict[TenantId, list[Reply]] = {}
    for database, anchors in asked.items():
        client = clients[database]
        with told(client, database), bulk(client) as connection:
            commands = [(b"EXISTS", key) for _, key in anchors]
            replies = answered(connection.exchange(commands), ("EXISTS",))
        for (tenant, _), reply in zip(anchors, replies, strict=True):
            found.setdefault(tenant, []).append(reply)
    return {
        facts.tenant
        for facts in tenants
        if (all if facts.anchored else any)(found.get(facts.tenant, ()))
    }
