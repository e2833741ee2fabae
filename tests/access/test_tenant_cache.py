# SPDX-License-Identifier: Apache-2.0
"""The tenant handle works over the tenant's own user, in every area, and is held back beyond."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import redis

from kryonix_cache.reference_impl.access import plan_user, read_dialect
from kryonix_cache.reference_impl.async_connection import AsyncPools
from kryonix_cache.reference_impl.contract import default_contract
from kryonix_cache.reference_impl.errors import ListingRefusedError
from kryonix_cache.reference_impl.tenant import AsyncTenantCaches, TenantCache, TenantCaches
from kryonix_cache.reference_impl.tenant.timelines import Figure
from tests.access.accounts import ask, denied, logged_in

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kryonix_cache.fixtures.targets.server import ServerProcess
    from kryonix_cache.reference_impl.access import Login, TenantUsers
    from kryonix_cache.reference_impl.connection import Pools
    from kryonix_cache.reference_impl.contract import Family

CONTRACT = default_contract()
READABLE = [family for family in CONTRACT.tenant_families if family.access == "read"]
TELLING = (
    """
SCAN 0; DBSIZE; RANDOMKEY; INFO; TIME; ROLE; LOLWUT; MONITOR; COMMAND; SAVE; WAIT 0 0; MEMORY STATS
ACL WHOAMI; ACL LIST; CONFIG GET *; SLOWLOG GET; EVAL return(1) 0; SCRIPT LOAD x; PUBSUB CHANNELS
CLIENT LIST; CLIENT KILL USER x; CLIENT TRACKING ON
PUBLISH news x; SUBSCRIBE __keyevent@0__:set; PSUBSCRIBE *; PSUBSCRIBE websocket:*
""".strip()
    .replace("\n", ";")
    .split(";")
)
CLOSED = [family for family in CONTRACT.tenant_families if family.access == "none"]


@pytest.fixture
def login(users: TenantUsers, tenant: str) -> Login:
    return users.admit(tenant)


@pytest.fixture
def own(server: ServerProcess, login: Login) -> Iterator[Pools]:
    """Give clients of the tenant's own user."""
    with logged_in(server.endpoint, login) as clients:
        yield clients


@pytest.fixture
def cache(own: Pools, tenant: str) -> TenantCache:
    return TenantCaches(CONTRACT, own).open(tenant)


def test_answers_sessions_and_documents_are_kept(cache: TenantCache) -> None:
    cache.answers.put("crm", "users", [1], ttl=60)
    assert cache.answers.get("crm", "users") == [1]
    assert cache.answers.delete("crm", "users")
    cache.sessions.start("s1", {"user_id": "u1", "platform": "ios"})
    assert cache.sessions.touch("s1")
    assert cache.sessions.read("s1")["user_id"] == "u1"
    assert cache.sessions.end("s1")
    for area in (cache.preloaded, cache.essentials):
        area.put("x", {"a": 1})
        assert area.get("x") == {"a": 1}
        assert area.delete("x")
    cache.warmed.put("crm", "users", 1)
    assert cache.warmed.get("crm", "users") == 1
    assert cache.warmed.delete("crm", "users")


def test_jobs_are_pushed_taken_and_waited_for(cache: TenantCache) -> None:
    assert cache.queues.push("mail", {"n": 1}) == 1
    assert cache.queues.length("mail") == 1
    job = cache.queues.pop("mail", wait=1)
    assert job is not None
    assert cache.queues.pop("mail", wait=0.05) is None


def test_records_and_figures_are_written(cache: TenantCache) -> None:
    for area in (cache.configuration, cache.branding, cache.metrics, cache.sdk_analytics):
        area.write({"a": "b"})
        assert area.read() == {"a": "b"}
        assert area.delete()
    cache.app_analytics.write({"a": "b"})
    cache.modules.write({"a": "b"}, module="calendar")
    assert cache.modules.read(module="calendar") == {"a": "b"}
    cache.sdk_sessions.write({"user_id": "u"}, session="s")
    figure = Figure(1000, "hits", 1.0)
    cache.timeline.add(figure)
    assert cache.timeline.between(0, 2000) == [figure]
    assert cache.timeline.forget(2000) == 1


def test_connections_channels_and_broadcasts_work(cache: TenantCache) -> None:
    cache.websockets.connect("c1", {"user_id": "u1"})
    assert cache.websockets.ping("c1")
    assert cache.websockets.read("c1")["user_id"] == "u1"
    assert cache.websockets.disconnect("c1")
    assert not cache.websockets.ping("c1")
    assert cache.channels.add("news")
    assert cache.channels.list() == ["news"]
    assert cache.channels.discard("news")
    with cache.broadcasts.subscribe("news") as subscription:
        assert cache.broadcasts.publish("news", "hello") == 1
        message = subscription.next(wait=5)
        assert message is not None
        assert message.text == "hello"


def test_the_handle_for_asyncio_works_too(server: ServerProcess, login: Login, tenant: str) -> None:
    async def play() -> None:
        account = replace(server.endpoint, username=login.username, password=login.password)
        clients = AsyncPools(account)
        try:
            cache = AsyncTenantCaches(CONTRACT, clients).open(tenant)
            await cache.answers.put("crm", "users", 1, ttl=60)
            assert await cache.answers.get("crm", "users") == 1
            await cache.websockets.connect("c1", {"user_id": "u1"})
            assert await cache.websockets.ping("c1")
            with pytest.raises(ListingRefusedError):
                await cache.answers.list()
        finally:
            await clients.aclose()

    asyncio.run(play())


def test_listing_is_refused_with_its_reason(cache: TenantCache) -> None:
    for area in (cache.answers, cache.sessions, cache.queues, cache.websockets, cache.modules):
        with pytest.raises(ListingRefusedError, match="list them over the connection of the appl"):
            area.list()


@pytest.mark.parametrize("family", READABLE, ids=lambda family: family.name)
def test_what_is_only_read_is_read_or_closed_and_never_written(
    own: Pools, pools: Pools, tenant: str, family: Family
) -> None:
    """Where the server has no keys that may only be read, they are closed."""
    assert CONTRACT.access is not None
    key = CONTRACT.key(family.name, tenant=tenant)
    readable = (
        family.name in plan_user(CONTRACT, tenant, read_dialect(pools[0], CONTRACT.access)).families
    )
    client = own[family.databases[0]]
    reads = {"hash": "HGETALL", "string": "GET", "list": "LLEN", "zset": "ZCARD"}
    reply = ask(client, reads[family.type], key)
    assert denied(reply) is not readable
    for write in (("DEL", key), ("EXPIRE", key, "1"), ("HSET", key, "a", "b"), ("SET", key, "x")):
        assert denied(ask(client, *write))
    assert pools[family.databases[0]].exists(key) == 0


def test_what_is_closed_to_tenants_is_closed(own: Pools, tenant: str) -> None:
    assert CLOSED
    for family in CLOSED:
        key = CONTRACT.key(family.name, tenant=tenant)
        client = own[family.databases[0]]
        for command in (("HGETALL", key), ("EXISTS", key), ("TYPE", key), ("DEL", key)):
            assert denied(ask(client, *command))


@pytest.mark.parametrize("number", [12, 13, 14, 15])
def test_a_database_that_holds_nothing_of_tenants_is_closed(own: Pools, number: int) -> None:
    with pytest.raises(redis.exceptions.NoPermissionError):
        own[number].ping()


def test_a_key_is_bound_to_its_database_where_the_server_can(
    own: Pools, pools: Pools, tenant: str
) -> None:
    """Elsewhere the plan says that it is not."""
    assert CONTRACT.access is not None
    plan = plan_user(CONTRACT, tenant, read_dialect(pools[0], CONTRACT.access))
    key = CONTRACT.key("api-cache", tenant=tenant, module="crm", endpoint="users")
    bound = denied(ask(own[2], "GET", key))
    assert bound is (plan.root.databases is not None)
    assert bound is not any("no rules by database" in limit for limit in plan.limits)


def test_commands_of_one_type_open_no_key_of_another_where_the_server_can(
    own: Pools, pools: Pools, tenant: str
) -> None:
    assert CONTRACT.access is not None
    plan = plan_user(CONTRACT, tenant, read_dialect(pools[0], CONTRACT.access))
    key = CONTRACT.key("api-cache", tenant=tenant, module="crm", endpoint="users")
    bound = denied(ask(own[1], "HGETALL", key))
    assert bound is bool(plan.selectors)
    assert bound is not any("no selectors" in limit for limit in plan.limits)


@pytest.mark.parametrize("command", TELLING)
def test_what_tells_of_every_tenant_is_refused(own: Pools, command: str) -> None:
    assert denied(ask(own[0], *command.split()))
