# SPDX-License-Identifier: Apache-2.0
"""The lock: one run at a time, taken over when its holder died, never touched by another."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from kryonix_cache.reference_impl.connection import Pools
from kryonix_cache.reference_impl.optimiser.errors import (
    LockLostError,
    LockRefusedError,
    OptimiserBusyError,
    StrayLockError,
)
from kryonix_cache.reference_impl.optimiser.lock import OptimiserLock
from tests.optimiser.deeds import Interference
from tests.optimiser.keyspace import CONTRACT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kryonix_cache.fixtures.targets.server import ServerProcess

DATABASE = 4
KEY = CONTRACT.key("optimiser-lock")

HOLDER = """
import sys
from kryonix_cache.reference_impl.connection import Endpoint, Pools
from kryonix_cache.reference_impl.contract import default_contract
from kryonix_cache.reference_impl.optimiser.errors import OptimiserBusyError
from kryonix_cache.reference_impl.optimiser.lock import OptimiserLock

with Pools(Endpoint("redis", "127.0.0.1", int(sys.argv[1]))) as pools:
    print("ready", flush=True)
    sys.stdin.readline()
    try:
        with OptimiserLock(pools, default_contract(), sys.argv[2]):
            print("held", flush=True)
            sys.stdin.readline()
    except OptimiserBusyError:
        print("busy", flush=True)
"""


@pytest.fixture
def free(standing: Pools) -> Iterator[Pools]:
    """Return clients of a server on which nobody holds the lock, before and after."""
    standing[DATABASE].unlink(KEY)
    yield standing
    standing[DATABASE].unlink(KEY)


def lock(pools: Pools, owner: str = "run-1") -> OptimiserLock:
    return OptimiserLock(pools, CONTRACT, owner)


@contextmanager
def holder(server: ServerProcess, owner: str) -> Iterator[subprocess.Popen[str]]:
    """Start a process that takes the lock when it is told to, and leaves it when told again."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(server.port), owner],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            assert told(process) == "ready"
            yield process
        finally:
            process.kill()


def go(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def told(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_the_lock_says_who_holds_it_and_ends_by_itself(free: Pools) -> None:
    with lock(free):
        held = json.loads(free[DATABASE].get(KEY) or b"")
        left = free[DATABASE].ttl(KEY)

    assert held["owner"] == "run-1"
    fields = CONTRACT.family("optimiser-lock").all_fields
    assert held.keys() == fields.keys()
    for name, value in held.items():
        fields[name].format.parse(value)
    assert 890 < left <= 900
    assert not free[DATABASE].exists(KEY)


def test_a_second_run_is_told_who_is_at_work(free: Pools) -> None:
    with (
        lock(free),
        pytest.raises(OptimiserBusyError, match=r"run-1, has worked since 20.*in 900 s"),
    ):
        lock(free, "run-2").__enter__()

    with lock(free, "run-2"):
        assert b"run-2" in (free[DATABASE].get(KEY) or b"")


def test_of_two_processes_at_once_one_works_and_the_other_says_so(
    standing_server: ServerProcess, free: Pools
) -> None:
    with holder(standing_server, "run-1") as one, holder(standing_server, "run-2") as other:
        processes = (one, other)
        for process in processes:
            go(process)
        words = sorted(told(process) for process in processes)
        for process in processes:
            process.communicate("\n")

    assert words == ["busy", "held"]
    assert [process.returncode for process in processes] == [0, 0]
    assert not free[DATABASE].exists(KEY)


def test_the_lock_of_a_killed_holder_is_taken_over_when_its_time_is_over(
    standing_server: ServerProcess, free: Pools
) -> None:
    with holder(standing_server, "run-1") as process:
        go(process)
        assert told(process) == "held"
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    with pytest.raises(OptimiserBusyError):
        lock(free, "run-2").__enter__()
    # Nine hundred seconds later.
    free[DATABASE].pexpire(KEY, 1)
    while free[DATABASE].exists(KEY):
        pass
    with lock(free, "run-2"):
        assert b"run-2" in (free[DATABASE].get(KEY) or b"")


def test_a_slow_holder_stops_and_leaves_the_next_ones_lock_alone(free: Pools) -> None:
    slow, next_ = lock(free, "slow"), lock(free, "next")
    with pytest.raises(LockLostError, match="slow lost its lock"), slow:  # noqa: PT012 (the whole story)
        free[DATABASE].unlink(KEY)
        next_.__enter__()
        free[DATABASE].expire(KEY, 100)
        slow.renew()

    assert b"next" in (free[DATABASE].get(KEY) or b"")
    assert free[DATABASE].ttl(KEY) <= 100
    next_.renew()
    assert free[DATABASE].ttl(KEY) > 890
    next_.__exit__(None, None, None)
    assert not free[DATABASE].exists(KEY)


def test_a_holder_whose_lock_ended_stops_even_if_nobody_took_it(free: Pools) -> None:
    with lock(free) as held:
        free[DATABASE].unlink(KEY)
        with pytest.raises(LockLostError):
            held.renew()
    assert not free[DATABASE].exists(KEY)


def test_two_locks_of_one_owner_are_two(free: Pools) -> None:
    """A run's name is no secret, and a process may be started twice with it."""
    first = lock(free).__enter__()
    free[DATABASE].unlink(KEY)
    with lock(free):
        with pytest.raises(LockLostError):
            first.renew()
        first.__exit__(None, None, None)
        assert free[DATABASE].exists(KEY)


@pytest.mark.parametrize("what", ["renew", "release"])
def test_a_lock_that_changes_hands_in_between_is_not_touched(
    standing_server: ServerProcess, free: Pools, what: str
) -> None:
    """Between looking whose the lock is and changing it, it ended and was taken."""
    policy = Interference()
    with Pools(standing_server.endpoint, policy=policy) as pools:
        held = lock(pools, "slow").__enter__()

        def take() -> None:
            free[DATABASE].unlink(KEY)
            lock(free, "next").__enter__()
            free[DATABASE].expire(KEY, 100)

        policy.deed = take
        if what == "renew":
            with pytest.raises(LockLostError):
                held.renew()
        else:
            held.__exit__(None, None, None)

    assert policy.came_in == 1
    assert b"next" in (free[DATABASE].get(KEY) or b"")
    assert free[DATABASE].ttl(KEY) <= 100


def test_what_is_no_lock_is_named_and_left_alone(free: Pools) -> None:
    free[DATABASE].hset(KEY, "a", "b")
    with pytest.raises(StrayLockError, match="holds no lock, so no run can lock it"):
        lock(free).__enter__()
    free[DATABASE].unlink(KEY)
    free[DATABASE].set(KEY, "mine")
    with pytest.raises(StrayLockError, match="never expires"):
        lock(free).__enter__()
    free[DATABASE].set(KEY, "{" + "x" * 5000, ex=50)
    with pytest.raises(OptimiserBusyError, match="unknown, has worked since an unknown time"):
        lock(free).__enter__()

    assert free[DATABASE].strlen(KEY) == 5001


def test_what_ended_the_run_is_not_hidden_by_its_lock(
    redis_server: ServerProcess, redis_pools: Pools
) -> None:
    class EndedError(Exception):
        pass

    with pytest.raises(EndedError), lock(redis_pools):  # noqa: PT012 (the whole story)
        redis_server.stop()
        raise EndedError


def test_a_server_that_takes_no_writes_refuses_the_lock_in_one_sentence(
    redis_pools: Pools,
) -> None:
    redis_pools[0].config_set("min-replicas-to-write", 1)
    with pytest.raises(
        LockRefusedError, match=r"refuses the lock 'ai:optimiser:lock' \(NOREPLICAS"
    ):
        lock(redis_pools).__enter__()
