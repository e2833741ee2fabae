# SPDX-License-Identifier: Apache-2.0
"""Whether the keys of the whole system may go with a set of tenants, or are still needed."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from kryonix_cache.reference_impl.connection import bulk
from kryonix_cache.reference_impl.scan import PAGE_KEYS
from kryonix_cache.reference_impl.seeding.inspection import ask

if TYPE_CHECKING:
    from collections.abc import Iterator

    import redis

    from kryonix_cache.reference_impl.connection import Clients
    from kryonix_cache.reference_impl.seeding.key import SeedPlan


def tenants_remain(connections: Clients, plan: SeedPlan, *, going: int = 0) -> bool:
    """Say whether the server holds more keys of tenants than the `going` ones.

    One pass of SCAN over the databases that can hold any, which ends as soon as it is known. A
    key that SCAN returns twice counts twice, which only keeps what might have gone.

    Raises:
        redis.RedisError: the server was lost or refused SCAN.

    """
    found = 0
    for database in plan.tenant_databases:
        for names in _pages(connections[database]):
            found += sum(plan.is_of_tenant(database, name) for name in names)
            if found > going:
                return True
    return False


def _pages(client: redis.Redis) -> Iterator[list[bytes]]:
    cursor = b"0"
    with bulk(client) as connection:
        while True:
            page = ask(connection, [(b"SCAN", cursor, b"COUNT", b"%d" % PAGE_KEYS)])[0]
            cursor, names = cast("tuple[bytes, list[bytes]]", page)
            yield names
            if cursor == b"0":
                return
