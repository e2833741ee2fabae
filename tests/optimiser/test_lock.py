# SPDX-License-Identifier: Apache-2.0
"""One run at a time, and nobody's lock is touched by somebody else (E20)."""

from __future__ import annotations

import json
import threading
import time
from typing import TYPE_CHECKING

import pytest

from kryonix_cache.reference_impl.optimiser.errors import (
    LockLostError,
    OptimiserBusyError,
    StrayLockError,
)
from kryonix_cache.reference_impl.optimiser.lock import OptimiserLock
from tests.optimiser.keyspace import CONTRACT

if TYPE_CHECKING:
    from kryonix_cache.reference_impl.connection import Pools

KEY = "ai:optimiser:lock"
LIFETIME_MS = 900_000


def lock(pools: Pools, owner: str) -> OptimiserLock:
    return OptimiserLock(pools, CONTRACT, owner)


def owner(pools: Pools) -> str | None:
    raw = pools[4].get(KEY)
    return None if raw is None else str(json.loads(raw)["owner"])


def test_a_second_run_is_kept_out_and_told_who_is_at_work(pools: Pools) -> None:
    with lock(pools, "first"):
        with (
            pytest.raises(OptimiserBusyError, match=r"first.*gone in (900|89\d) s") as caught,
            lock(pools, "second"),
        ):
            pass
        assert caught.value.owner == "first"
        assert owner(pools) == "first"


def test_when_a_run_is_over_the_next_one_gets_in(pools: Pools) -> None:
    with lock(pools, "first"):
        pass
    assert owner(pools) is None
    with lock(pools, "second"):
        assert owner(pools) == "second"


def test_a_run_that_fails_releases_its_lock_and_its_error_is_what_is_seen(
    redis_pools: Pools,
) -> None:
    with pytest.raises(ZeroDivisionError), lock(redis_pools, "first"):
        raise ZeroDivisionError
    assert owner(redis_pools) is None


def test_a_lock_ends_by_itself_and_lives_anew_when_it_is_renewed(pools: Pools) -> None:
    with lock(pools, "first") as held:
        assert LIFETIME_MS - 10_000 < pools[4].pttl(KEY) <= LIFETIME_MS
        pools[4].pexpire(KEY, 5000)
        held.renew()
        assert LIFETIME_MS - 10_000 < pools[4].pttl(KEY) <= LIFETIME_MS


def test_a_lock_that_is_gone_cannot_be_renewed(pools: Pools) -> None:
    with lock(pools, "first") as held:
        pools[4].delete(KEY)
        with pytest.raises(LockLostError, match="first lost its lock"):
            held.renew()
        assert owner(pools) is None


def test_a_run_that_outlived_its_lock_notices_the_next_one_and_leaves_its_lock(
    pools: Pools,
) -> None:
    late, next_one = lock(pools, "late"), lock(pools, "next")
    late.__enter__()
    pools[4].pexpire(KEY, 1)
    time.sleep(0.05)
    with next_one:
        pools[4].pexpire(KEY, 5000)
        with pytest.raises(LockLostError):
            late.renew()
        assert pools[4].pttl(KEY) <= 5000
        late.__exit__(None, None, None)
        assert owner(pools) == "next"
    assert owner(pools) is None


def test_a_lock_of_an_owner_of_the_same_name_is_another_lock(redis_pools: Pools) -> None:
    first, second = lock(redis_pools, "same"), lock(redis_pools, "same")
    first.__enter__()
    redis_pools[4].delete(KEY)
    with second:
        with pytest.raises(LockLostError):
            first.renew()
        first.__exit__(None, None, None)
        assert owner(redis_pools) == "same"


def test_of_runs_that_begin_at_once_one_gets_in(redis_pools: Pools) -> None:
    runs = 8
    begin, end = threading.Barrier(runs), threading.Barrier(runs)
    inside, outside = list[str](), list[str]()

    def run(name: str) -> None:
        begin.wait(10)
        try:
            with lock(redis_pools, name):
                inside.append(name)
                end.wait(10)
        except OptimiserBusyError:
            outside.append(name)
            end.wait(10)

    threads = [threading.Thread(target=run, args=(f"run-{each}",)) for each in range(runs)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)

    assert len(inside) == 1
    assert len(outside) == runs - 1
    assert owner(redis_pools) is None


def test_what_stands_there_and_is_no_lock_is_named_and_left_alone(redis_pools: Pools) -> None:
    redis_pools[4].set(KEY, "{}")
    with pytest.raises(StrayLockError, match="never expires"), lock(redis_pools, "first"):
        pass
    assert redis_pools[4].get(KEY) == b"{}"

    redis_pools[4].delete(KEY)
    redis_pools[4].rpush(KEY, "x")
    with pytest.raises(StrayLockError, match="holds no lock"), lock(redis_pools, "first"):
        pass
    assert redis_pools[4].lrange(KEY, 0, -1) == [b"x"]
