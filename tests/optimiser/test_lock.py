# SPDX-License-Identifier: Apache-2.0
"""The lock of the optimiser: one run at a time, with an owner and an end (E20)."""

from __future__ import annotations

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

FAMILY = CONTRACT.family("optimiser-lock")
KEY = CONTRACT.key("optimiser-lock")
DATABASE = FAMILY.databases[0]


def test_a_second_run_is_told_who_is_at_work_and_the_lock_goes_with_its_owner(
    pools: Pools,
) -> None:
    with OptimiserLock(pools, CONTRACT, "first"):
        with (
            pytest.raises(OptimiserBusyError, match="first, has worked since"),
            OptimiserLock(pools, CONTRACT, "second"),
        ):
            pytest.fail("two runs at once")
        assert pools[DATABASE].exists(KEY)
    assert not pools[DATABASE].exists(KEY)
    with OptimiserLock(pools, CONTRACT, "second"):
        assert b"second" in pools[DATABASE].get(KEY)


def test_a_lock_ends_by_itself_and_renewing_lets_it_live_anew(pools: Pools) -> None:
    with OptimiserLock(pools, CONTRACT, "first") as lock:
        assert 0 < pools[DATABASE].ttl(KEY) <= FAMILY.ttl.max_seconds
        pools[DATABASE].pexpire(KEY, 5000)
        lock.renew()
        assert pools[DATABASE].pttl(KEY) > 5000


def test_a_run_that_slept_past_its_lock_stops_and_leaves_the_next_ones_alone(
    pools: Pools,
) -> None:
    with OptimiserLock(pools, CONTRACT, "slow") as slow:
        pools[DATABASE].unlink(KEY)
        with OptimiserLock(pools, CONTRACT, "next") as following:
            with pytest.raises(LockLostError):
                slow.renew()
            slow.__exit__(None, None, None)
            following.renew()
            assert b"next" in pools[DATABASE].get(KEY)


def test_a_lock_that_never_ends_is_named_and_not_waited_for(pools: Pools) -> None:
    pools[DATABASE].set(KEY, "forgotten")
    with (
        pytest.raises(StrayLockError, match="never expires"),
        OptimiserLock(pools, CONTRACT, "first"),
    ):
        pytest.fail("a stray lock was taken")
    assert pools[DATABASE].get(KEY) == b"forgotten"
