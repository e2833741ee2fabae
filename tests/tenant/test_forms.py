# SPDX-License-Identifier: Apache-2.0
"""The form that blocks and the form for asyncio are one handle."""

from __future__ import annotations

import asyncio
import inspect
from typing import TYPE_CHECKING

import pytest

from kryonix_cache.reference_impl.async_connection import AsyncPools
from kryonix_cache.reference_impl.contract import default_contract
from kryonix_cache.reference_impl.errors import InvalidTenantIdError, KeyPartError
from kryonix_cache.reference_impl.tenant import (
    AsyncTenantCache,
    AsyncTenantCaches,
    TenantCache,
    TenantCaches,
)
from kryonix_cache.reference_impl.tenant.area import Area
from kryonix_cache.reference_impl.tenant.forms import Awaited, Blocking, Part

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from kryonix_cache.fixtures.targets.server import ServerProcess
    from kryonix_cache.reference_impl.connection import Pools

CONTRACT = default_contract()


def parts_of(handle: type) -> dict[str, Part[Area, object, object]]:
    return {name: each for name, each in vars(handle).items() if isinstance(each, Part)}


def methods_of(form: object, kind: type) -> dict[str, object]:
    return {name: each._describe for name, each in vars(form).items() if isinstance(each, kind)}


def test_both_forms_have_the_same_areas_with_the_same_methods() -> None:
    blocking, awaited = parts_of(TenantCache), parts_of(AsyncTenantCache)
    assert blocking.keys() == awaited.keys()
    assert len(blocking) == 20
    for name, part in blocking.items():
        twin = awaited[name]
        assert (part._family, part._area) == (twin._family, twin._area)
        methods = methods_of(part._form, Blocking)
        assert methods == methods_of(twin._form, Awaited)
        assert methods


def test_every_program_of_an_area_is_a_method_of_both_forms() -> None:
    """No operation is described and then forgotten in one of the forms."""
    inherited = {name for name, _ in inspect.getmembers(Area, inspect.isfunction)}
    for part in parts_of(TenantCache).values():
        described = {
            name
            for name, function in inspect.getmembers(part._area, inspect.isgeneratorfunction)
            if not name.startswith("_") and name not in inherited
        }
        assert described == methods_of(part._form, Blocking).keys()


def test_each_area_of_the_contract_is_there(cache: TenantCache) -> None:
    for name in parts_of(TenantCache):
        area = getattr(cache, name).area
        assert area.family.per_tenant
        assert getattr(cache, name) is getattr(cache, name)


@pytest.mark.parametrize("caches", [TenantCaches, AsyncTenantCaches])
def test_an_invalid_id_opens_no_handle(
    caches: type[TenantCaches | AsyncTenantCaches], pools: Pools
) -> None:
    opener = caches(CONTRACT, pools)
    with pytest.raises(InvalidTenantIdError, match="ASTERISK at position 5"):
        opener.open("acme*")


def test_what_one_form_writes_the_other_reads(server: ServerProcess, cache: TenantCache) -> None:
    async def play() -> list[object]:
        clients = AsyncPools(server.endpoint)
        handle = AsyncTenantCaches(CONTRACT, clients).open(cache.tenant)
        try:
            seen: list[object] = [
                await handle.answers.get("crm", "users"),
                (await handle.sessions.read("s1"))["user_id"],
                await handle.sessions.touch("s1"),
                await handle.queues.pop("mail", wait=1),
                await handle.queues.pop("mail", wait=0.05),
            ]
            async with handle.broadcasts.subscribe("news") as subscription:
                cache.broadcasts.publish("news", "hello")
                seen.append(await subscription.next(wait=5))
                seen.append(await subscription.next(wait=0.05))
            await handle.answers.put("crm", "back", [1], ttl=60)
            with pytest.raises(KeyPartError):
                await handle.answers.get("a:b", "c")
            return seen
        finally:
            await clients.aclose()

    cache.answers.put("crm", "users", {"n": 1}, ttl=60)
    cache.sessions.start("s1", {"user_id": "u1"})
    cache.queues.push("mail", {"module": "crm", "n": 1})
    assert asyncio.run(play()) == [
        {"n": 1},
        "u1",
        True,
        {"module": "crm", "n": 1, "tenant_id": cache.tenant},
        None,
        ("news", "hello"),
        None,
    ]
    assert cache.answers.get("crm", "back") == [1]


@pytest.mark.parametrize("cancelled", ["get", "pop", "touch"])
def test_a_cancelled_call_leaves_nothing_for_the_next_one(
    server: ServerProcess, cache: TenantCache, cancelled: str
) -> None:
    """On one connection, whatever moment the cancellation comes at."""

    async def play() -> None:
        clients = AsyncPools(server.endpoint, max_connections=1)
        handle = AsyncTenantCaches(CONTRACT, clients).open(cache.tenant)
        calls: dict[str, Callable[[], Awaitable[object]]] = {
            "get": lambda: handle.answers.get("crm", "0"),
            "pop": lambda: handle.queues.pop("mail", wait=20),
            "touch": lambda: handle.sessions.touch("s1"),
        }
        for turns in range(12):
            task = asyncio.ensure_future(calls[cancelled]())
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            (outcome,) = await asyncio.gather(task, return_exceptions=True)
            assert task.cancelled() or outcome in (0, True), f"after {turns} turns"
            answers = await asyncio.gather(
                *(handle.answers.get("crm", str(n)) for n in range(5)),
                handle.queues.length("mail"),
                handle.sessions.list(),
            )
            assert answers == [0, 1, 2, 3, 4, 0, ["s1"]]
        await clients.aclose()

    for n in range(5):
        cache.answers.put("crm", str(n), n, ttl=60)
    cache.sessions.start("s1", {})
    asyncio.run(play())


def test_one_set_of_pools_serves_one_event_loop_after_the_other(
    server: ServerProcess, cache: TenantCache
) -> None:
    cache.answers.put("crm", "users", 1, ttl=60)
    clients = AsyncPools(server.endpoint)
    handle = AsyncTenantCaches(CONTRACT, clients).open(cache.tenant)

    async def play() -> object:
        try:
            return await handle.answers.get("crm", "users")
        finally:
            await clients.aclose()

    assert [asyncio.run(play()) for _ in range(3)] == [1, 1, 1]
