# SPDX-License-Identifier: Apache-2.0
"""A tenant's own user may count the reads of its tenant, and nobody else's."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from kryonix_cache.reference_impl.async_connection import AsyncPools
from kryonix_cache.reference_impl.contract import default_contract
from kryonix_cache.reference_impl.demand import items
from kryonix_cache.reference_impl.demand.recorder import AccessRecorder
from kryonix_cache.reference_impl.tenant import AsyncTenantCaches, TenantCaches
from tests.access.accounts import ask, denied, logged_in

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kryonix_cache.fixtures.targets.server import ServerProcess
    from kryonix_cache.reference_impl.access import Login, TenantUsers
    from kryonix_cache.reference_impl.connection import Pools

CONTRACT = default_contract()
DATABASE = CONTRACT.family(items.COUNTERS).databases[0]
NOON = 1_772_627_400.0
HOUR = int(NOON // 3600)


@pytest.fixture
def login(users: TenantUsers, tenant: str) -> Login:
    return users.admit(tenant)


@pytest.fixture
def own(server: ServerProcess, login: Login) -> Iterator[Pools]:
    """Give clients of the tenant's own user."""
    with logged_in(server.endpoint, login) as clients:
        yield clients


def counted(pools: Pools, tenant: str) -> list[tuple[bytes, float]]:
    key = items.counter_key(CONTRACT, tenant, HOUR)
    return list(pools[DATABASE].zrange(key, 0, -1, withscores=True))


def test_the_reads_of_a_tenants_own_user_are_counted(
    own: Pools, pools: Pools, server: ServerProcess, login: Login, tenant: str
) -> None:
    made = AccessRecorder(CONTRACT, one_in=1, clock=lambda: NOON)
    caches = TenantCaches(CONTRACT, own, made)
    cache = caches.open(tenant)
    assert cache.answers.get("crm", "users") is None
    assert cache.answers.fetch("crm", "users", lambda: 1, ttl=60) == 1
    caches.flush()

    async def play() -> None:
        account = replace(server.endpoint, username=login.username, password=login.password)
        clients = AsyncPools(account)
        try:
            waiting = AsyncTenantCaches(CONTRACT, clients, made)
            assert await waiting.open(tenant).answers.get("crm", "users") == 1
            await waiting.flush()
        finally:
            await clients.aclose()

    asyncio.run(play())
    assert (made.state.written, made.state.failures) == (3, 0)
    assert counted(pools, tenant) == [(b"12:api-cache:crm.users", 3.0)]


def test_a_tenants_own_user_counts_for_nobody_else(own: Pools, pools: Pools, tenant: str) -> None:
    """Where one recorder is given reads of two tenants, the server lets only its own through."""
    made = AccessRecorder(CONTRACT, one_in=1, clock=lambda: NOON)
    other = f"{tenant}-x"
    for name in (other, tenant):
        made.note(name, "api-cache", "crm.users")
    TenantCaches(CONTRACT, own, made).flush()
    assert len(counted(pools, tenant)) == 1
    assert counted(pools, other) == []
    assert (made.state.written, made.state.dropped) == (1, 1)
    assert "NoPermissionError" in str(made.state.last_error)


def test_a_tenants_own_user_does_not_write_its_history(own: Pools, tenant: str) -> None:
    key = CONTRACT.key(items.HISTORY, tenant=tenant)
    assert denied(ask(own[DATABASE], "SET", key, "x"))
    assert denied(ask(own[DATABASE], "DEL", key))
