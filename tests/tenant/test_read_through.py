# SPDX-License-Identifier: Apache-2.0
"""An answer is fetched from where it is: cached, preloaded, or where it comes from."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest

from kryonix_cache.reference_impl.async_connection import AsyncPools
from kryonix_cache.reference_impl.contract import default_contract
from kryonix_cache.reference_impl.errors import (
    ForeignValueError,
    KeyPartError,
    ValueTooLongLivedError,
    ValueUnreadableError,
)
from kryonix_cache.reference_impl.tenant import (
    AsyncTenantCache,
    AsyncTenantCaches,
    TenantCache,
    TenantCaches,
    families,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    import redis

    from kryonix_cache.fixtures.targets.server import ServerProcess
    from kryonix_cache.reference_impl.connection import Pools

CONTRACT = default_contract()


class Source:
    """Where answers come from, which counts how often it is asked."""

    def __init__(self, data: object = "loaded") -> None:
        self.data = data
        self.calls = 0

    def __call__(self) -> object:
        self.calls += 1
        return self.data


@pytest.fixture
def source() -> Source:
    return Source()


def raw(pools: Pools, family: str) -> redis.Redis:
    return pools[CONTRACT.family(family).databases[0]]


def warmed_key(cache: TenantCache) -> bytes:
    return CONTRACT.key(families.WARMED, tenant=cache.tenant, module="crm", endpoint="users")


def preload_key(cache: TenantCache) -> bytes:
    return CONTRACT.key(families.PRELOADED, tenant=cache.tenant, item="crm.users")


def answer_key(cache: TenantCache) -> bytes:
    return CONTRACT.key(families.ANSWERS, tenant=cache.tenant, module="crm", endpoint="users")


def test_what_is_nowhere_is_loaded_once_and_cached(
    cache: TenantCache, pools: Pools, source: Source
) -> None:
    for _ in range(3):
        assert cache.answers.fetch("crm", "users", source, ttl=60) == "loaded"
    assert source.calls == 1
    assert cache.answers.get("crm", "users") == "loaded"
    assert 55 < raw(pools, families.ANSWERS).ttl(answer_key(cache)) <= 60


def test_what_is_cached_comes_before_what_was_preloaded(cache: TenantCache, source: Source) -> None:
    cache.answers.put("crm", "users", "own", ttl=60)
    cache.warmed.put("crm", "users", "warmed")
    cache.preloaded.put("crm.users", "preloaded")
    assert cache.answers.fetch("crm", "users", source, ttl=60) == "own"
    assert source.calls == 0


@pytest.mark.parametrize("data", [None, 0, "", [], {"a": None}])
def test_what_is_cached_may_be_nothing(cache: TenantCache, data: object) -> None:
    source = Source(data)
    for _ in range(2):
        assert cache.answers.fetch("crm", "users", source, ttl=60) == data
    cache.preloaded.put("crm.empty", data)
    assert cache.answers.fetch("crm", "empty", source, ttl=60) == data
    assert source.calls == 1


def test_what_was_preloaded_is_served_as_long_as_it_lives_and_no_longer(
    cache: TenantCache, pools: Pools, source: Source
) -> None:
    """It stays where it is, so that nothing gives it a longer life."""
    cache.preloaded.put("crm.users", {"n": 1}, ttl=50)
    assert cache.answers.fetch("crm", "users", source, ttl=7000) == {"n": 1}
    cache.warmed.put("crm", "users", {"n": 2}, ttl=40)
    assert cache.answers.fetch("crm", "users", source, ttl=7000) == {"n": 2}
    assert raw(pools, families.WARMED).ttl(warmed_key(cache)) <= 40
    assert raw(pools, families.PRELOADED).ttl(preload_key(cache)) <= 50
    assert not raw(pools, families.ANSWERS).exists(answer_key(cache))
    for family, key in (
        (families.WARMED, warmed_key(cache)),
        (families.PRELOADED, preload_key(cache)),
    ):
        raw(pools, family).pexpire(key, 1)
        while raw(pools, family).exists(key):
            pass
    assert source.calls == 0
    assert cache.answers.fetch("crm", "users", source, ttl=60) == "loaded"


def test_what_was_preloaded_and_never_ends_is_not_served(
    cache: TenantCache, pools: Pools, source: Source
) -> None:
    """It would hide every newer answer for ever."""
    raw(pools, families.PRELOADED).set(preload_key(cache), '"for ever"')
    assert cache.answers.fetch("crm", "users", source, ttl=60) == "loaded"


def test_a_warming_record_without_data_is_no_answer(
    cache: TenantCache, pools: Pools, source: Source
) -> None:
    record = {"tenant_id": cache.tenant, "warmed_at": "2026-03-04T09:00:00Z", "cached_for": "demo"}
    raw(pools, families.WARMED).set(warmed_key(cache), json.dumps(record), ex=60)
    assert cache.answers.fetch("crm", "users", source, ttl=60) == "loaded"


@pytest.mark.parametrize("change", ["put", "delete"])
def test_no_older_data_comes_after_a_change(
    cache: TenantCache, pools: Pools, source: Source, change: str
) -> None:
    """What was preloaded before would come to light when the newer answer has ended."""
    cache.warmed.put("crm", "users", "old")
    cache.preloaded.put("crm.users", "old")
    if change == "put":
        cache.answers.put("crm", "users", "new", ttl=60)
        assert cache.answers.fetch("crm", "users", source, ttl=60) == "new"
        raw(pools, families.ANSWERS).delete(answer_key(cache))
    else:
        assert cache.answers.delete("crm", "users") is False
    assert cache.answers.fetch("crm", "users", source, ttl=60) == "loaded"


FOREIGN = {"data": "SECRET", "tenant_id": "somebody-else", "warmed_at": "2026-03-04T09:00:00Z"}


@pytest.mark.parametrize(
    ("family", "key"), [(families.WARMED, warmed_key), (families.PRELOADED, preload_key)]
)
def test_preloaded_data_that_names_another_tenant_is_not_handed_out(
    cache: TenantCache,
    pools: Pools,
    source: Source,
    family: str,
    key: Callable[[TenantCache], bytes],
) -> None:
    raw(pools, family).set(key(cache), json.dumps(FOREIGN), ex=60)
    with pytest.raises(ForeignValueError) as caught:
        cache.answers.fetch("crm", "users", source, ttl=60)
    assert "SECRET" not in str(caught.value)
    assert source.calls == 0


@pytest.mark.parametrize("stored", ["no json", "[1]", '{"data": 1}'])
def test_a_warmed_answer_that_is_none_is_not_handed_out(
    cache: TenantCache, pools: Pools, source: Source, stored: str
) -> None:
    raw(pools, families.WARMED).set(warmed_key(cache), stored, ex=60)
    with pytest.raises(ValueUnreadableError, match="crm:users"):
        cache.answers.fetch("crm", "users", source, ttl=60)


def test_nothing_of_another_tenant_is_fetched(
    cache: TenantCache, pools: Pools, source: Source
) -> None:
    for name in (f"{cache.tenant}0", f"{cache.tenant}-x"):
        other = TenantCaches(CONTRACT, pools).open(name)
        other.answers.put("crm", "users", "foreign", ttl=60)
        other.warmed.put("crm", "users", "foreign")
        other.preloaded.put("crm.users", "foreign")
    assert cache.answers.fetch("crm", "users", source, ttl=60) == "loaded"


@pytest.mark.parametrize("error", [ValueError("no"), StopIteration(3), KeyboardInterrupt()])
def test_an_error_of_the_loader_passes_through_and_nothing_is_cached(
    cache: TenantCache, source: Source, error: BaseException
) -> None:
    def fail() -> object:
        raise error

    with pytest.raises(type(error)) as caught:
        cache.answers.fetch("crm", "users", fail, ttl=60)
    assert caught.value is error
    assert cache.answers.get("crm", "users") is None
    assert cache.answers.fetch("crm", "users", source, ttl=60) == "loaded"


def test_data_that_is_no_json_is_not_cached(cache: TenantCache) -> None:
    with pytest.raises(TypeError):
        cache.answers.fetch("crm", "users", object, ttl=60)
    assert cache.answers.get("crm", "users") is None


def test_the_loader_may_use_the_cache(cache: TenantCache) -> None:
    """No connection is kept while it works."""

    def load() -> object:
        return cache.answers.fetch("crm", "inner", lambda: [1], ttl=60)

    assert cache.answers.fetch("crm", "users", load, ttl=60) == [1]


def test_what_cannot_be_cached_is_refused_before_anything_is_loaded(
    cache: TenantCache, source: Source
) -> None:
    for ttl in (0, -1, 7201):
        with pytest.raises(ValueTooLongLivedError):
            cache.answers.fetch("crm", "users", source, ttl=ttl)
    for endpoint in ("a:b", "", "*"):
        with pytest.raises(KeyPartError):
            cache.answers.fetch("crm", endpoint, source, ttl=60)
    assert source.calls == 0


def test_an_answer_whose_name_no_item_can_have_is_fetched_all_the_same(
    cache: TenantCache, source: Source
) -> None:
    module, endpoint = "m" * 64, "e" * 128
    assert cache.answers.fetch(module, endpoint, source, ttl=60) == "loaded"
    assert cache.answers.delete(module, endpoint) is True


def commands_processed(pools: Pools) -> int:
    return int(pools[0].info("stats")["total_commands_processed"])


def test_a_cached_answer_costs_one_command(
    cache: TenantCache, pools: Pools, source: Source
) -> None:
    """One that was preloaded costs the look at it, and one that is loaded the writing of it."""
    for _ in range(2):
        cache.answers.delete("crm", "users")
        before = commands_processed(pools)
        cache.answers.fetch("crm", "users", source, ttl=60)
        loaded = commands_processed(pools) - before - 1
        cache.answers.fetch("crm", "users", source, ttl=60)
        cached = commands_processed(pools) - before - 2 - loaded
    assert (loaded, cached) == (1 + 4 + 1, 1)


# --- for asyncio ---


def awaited(
    server: ServerProcess, tenant: str, play: Callable[[AsyncTenantCache], Awaitable[object]]
) -> object:
    async def run() -> object:
        clients = AsyncPools(server.endpoint)
        try:
            return await play(AsyncTenantCaches(CONTRACT, clients).open(tenant))
        finally:
            await clients.aclose()

    return asyncio.run(run())


def test_a_loader_for_asyncio_may_be_awaited_or_not(
    server: ServerProcess, cache: TenantCache, source: Source
) -> None:
    async def load() -> object:
        await asyncio.sleep(0)
        return source()

    async def play(handle: AsyncTenantCache) -> object:
        return [
            await handle.answers.fetch("crm", "users", load, ttl=60),
            await handle.answers.fetch("crm", "users", load, ttl=60),
            await handle.answers.fetch("crm", "leads", source, ttl=60),
            await handle.answers.fetch("crm", "preloaded", load, ttl=60),
            await handle.answers.delete("crm", "users"),
        ]

    cache.warmed.put("crm", "preloaded", "warmed")
    assert awaited(server, cache.tenant, play) == ["loaded", "loaded", "loaded", "warmed", True]
    assert source.calls == 2
    assert cache.answers.get("crm", "users") is None


def test_an_error_of_a_loader_for_asyncio_passes_through(
    server: ServerProcess, cache: TenantCache
) -> None:
    async def fail() -> object:
        raise LookupError("no")

    async def play(handle: AsyncTenantCache) -> object:
        with pytest.raises(LookupError, match="no"):
            await handle.answers.fetch("crm", "users", fail, ttl=60)
        return await handle.answers.get("crm", "users")

    assert awaited(server, cache.tenant, play) is None


def test_a_fetch_that_is_cancelled_while_it_loads_caches_nothing(
    server: ServerProcess, cache: TenantCache
) -> None:
    async def play(handle: AsyncTenantCache) -> object:
        begun = asyncio.Event()

        async def load() -> object:
            begun.set()
            await asyncio.sleep(60)
            return "late"

        task = asyncio.create_task(handle.answers.fetch("crm", "users", load, ttl=60))
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return await handle.answers.get("crm", "users")

    assert awaited(server, cache.tenant, play) is None
