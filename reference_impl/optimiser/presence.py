# SPDX-License-Identifier: Apache-2.0
"""Whether a tenant is still there: one that is erased during a run must not come back by it."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from kryonix_cache.reference_impl.connection import bulk
from kryonix_cache.reference_impl.scan import answered, told

if TYPE_CHECKING:
    from kryonix_cache.reference_impl.connection import Clients
    from kryonix_cache.reference_impl.optimiser.facts import TenantFacts


def is_there(clients: Clients, facts: TenantFacts) -> bool:
    """Say whether the tenant still has the keys that show it.

    One missing lasting key is enough for no: an erasure that has begun will go on. Where only
    keys were seen that expire, one that is left is enough for yes.

    Raises:
        ScanLostError: the server went away.
        ReadDeniedError: this user may not run EXISTS.

    """
    found = []
    for database, anchors in groupby(facts.anchors, key=lambda anchor: anchor[0]):
        client = clients[database]
        with told(client, database), bulk(client) as connection:
            commands = [(b"EXISTS", key) for _, key in anchors]
            found += answered(connection.exchange(commands), ("EXISTS",))
    return all(found) if facts.anchored else any(found)
