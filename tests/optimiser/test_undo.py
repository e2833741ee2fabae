# SPDX-License-Identifier: Apache-2.0
"""What a run changed is put back, and what somebody changed since is left alone."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from kryonix_cache.reference_impl.optimiser.errors import (
    OptimiserBusyError,
    UnknownOptimisationError,
)
from kryonix_cache.reference_impl.optimiser.lock import OptimiserLock
from kryonix_cache.reference_impl.optimiser.undo import undo
from tests.optimiser.acting import DATABASES, act, analysis, contents, entries
from tests.optimiser.keyspace import AT, CONTRACT, put_answer

if TYPE_CHECKING:
    from kryonix_cache.reference_impl.connection import Pools
    from kryonix_cache.reference_impl.optimiser.undo import UndoReport

TRAIL = b"ai:trail:tenant:acme"
PRELOAD = b"preload:tenant:acme:crm.leads"
WARMING = b"warming:tenant:acme:api:crm:leads"
LATER = AT + timedelta(minutes=5)
NEAR_MS = 100
"""What lies between two readings of the server's clock at most."""


def extend(pools: Pools, run: str = "first") -> None:
    changes, _ = act(pools, analysis(hit_rate=60), run=run)
    assert changes


def preload(pools: Pools) -> None:
    changes, _ = act(
        pools, analysis(predicted=("crm.leads",)), loader=lambda tenant, item: [tenant, item]
    )
    assert [change.key for change in changes] == [PRELOAD, WARMING]


def undone(pools: Pools, run: str = "first", *, dry_run: bool = False) -> UndoReport:
    return undo(CONTRACT, pools, run, at=LATER, dry_run=dry_run)


def test_an_expiry_is_put_back_to_the_moment_that_it_had(pools: Pools) -> None:
    key = put_answer(pools, "acme", "crm.leads", ttl=600)
    before = pools[1].pexpiretime(key)
    extend(pools)
    assert pools[1].pexpiretime(key) > before + 290_000
    time.sleep(4 * NEAR_MS / 1000)

    report = undone(pools)

    assert abs(pools[1].pexpiretime(key) - before) < NEAR_MS
    assert [change.key for change in report.undone] == [key]
    assert report.skipped == ()
    assert [entry.undone_at for entry in entries(pools, 1)] == [LATER]


def test_an_answer_that_would_be_gone_by_now_is_deleted(redis_pools: Pools) -> None:
    key = put_answer(redis_pools, "acme", "crm.dashboard", ttl=600)
    redis_pools[1].pexpire(key, 400)
    act(redis_pools, analysis(calls=9000))
    assert redis_pools[1].ttl(key) > 7000
    time.sleep(0.5)

    assert [change.key for change in undone(redis_pools).undone] == [key]
    assert not redis_pools[1].exists(key)


def test_what_was_written_and_is_unchanged_is_deleted(pools: Pools) -> None:
    preload(pools)

    report = undone(pools)

    assert {change.key for change in report.undone} == {PRELOAD, WARMING}
    assert [key for each in DATABASES for key in pools[each].scan_iter()] == [TRAIL]


def test_what_was_changed_meanwhile_is_named_and_left_alone(pools: Pools) -> None:
    keys = {
        name: put_answer(pools, "acme", f"crm.{name}", ttl=600)
        for name in ("same", "rewritten", "prolonged", "shortened", "persistent", "gone")
    }
    extend(pools)
    put_answer(pools, "acme", "crm.rewritten", ttl=900, age=0)
    pools[1].expire(keys["prolonged"], 5000)
    pools[1].expire(keys["shortened"], 100)
    pools[1].persist(keys["persistent"])
    pools[1].delete(keys["gone"])
    before = contents(pools)

    report = undone(pools)

    assert [change.key for change in report.undone] == [keys["same"]]
    assert {problem.where: problem.what for problem in report.skipped} == {
        f"db 1 {keys['rewritten'].decode()}": "its value was rewritten since",
        f"db 1 {keys['prolonged'].decode()}": "its expiry was changed since",
        f"db 1 {keys['shortened'].decode()}": "its expiry was changed since",
        f"db 1 {keys['persistent'].decode()}": "its expiry was changed since",
        f"db 1 {keys['gone'].decode()}": "it is gone",
    }
    after = contents(pools)
    changed = {key for _, key in before.keys() | after.keys() if before[1, key] != after[1, key]}
    assert changed == {keys["same"], TRAIL}


def test_a_written_item_that_was_written_anew_is_kept(redis_pools: Pools) -> None:
    preload(redis_pools)
    redis_pools[10].set(PRELOAD, "[]", keepttl=True)

    report = undone(redis_pools)

    assert [problem.where for problem in report.skipped] == [f"db 10 {PRELOAD.decode()}"]
    assert redis_pools[10].get(PRELOAD) == b"[]"
    assert not redis_pools[10].exists(WARMING)


def test_to_undo_twice_is_to_undo_once(pools: Pools) -> None:
    put_answer(pools, "acme", "crm.leads", ttl=600)
    extend(pools)
    assert len(undone(pools).undone) == 1
    before = contents(pools)

    report = undone(pools)

    assert (report.undone, report.already, report.skipped) == ((), 1, ())
    assert contents(pools) == before


def test_only_the_run_that_is_named_is_undone(redis_pools: Pools) -> None:
    first = put_answer(redis_pools, "acme", "crm.leads", ttl=600)
    extend(redis_pools, "first")
    second = put_answer(redis_pools, "acme", "crm.users", ttl=600)
    extend(redis_pools, "second")

    assert [change.key for change in undone(redis_pools, "second").undone] == [second]
    assert redis_pools[1].ttl(first) > 890
    assert redis_pools[1].ttl(second) <= 600


def test_a_run_that_left_no_trail_is_unknown(pools: Pools) -> None:
    put_answer(pools, "acme", "crm.leads", ttl=600)
    extend(pools)
    before = contents(pools)

    with pytest.raises(UnknownOptimisationError, match="'another'"):
        undone(pools, "another")
    assert contents(pools) == before


def test_a_dry_run_of_an_undo_says_what_it_would_do_and_does_nothing(pools: Pools) -> None:
    key = put_answer(pools, "acme", "crm.leads", ttl=600)
    extend(pools)
    before = contents(pools)

    report = undone(pools, dry_run=True)

    assert [change.key for change in report.undone] == [key]
    assert contents(pools) == before
    assert [change.key for change in undone(pools).undone] == [key]


def test_a_dry_run_leaves_nothing_to_undo(pools: Pools) -> None:
    put_answer(pools, "acme", "crm.leads", ttl=600)
    before = contents(pools)

    changes, _ = act(pools, analysis(hit_rate=60), dry_run=True)

    assert len(changes) == 1
    assert contents(pools) == before
    with pytest.raises(UnknownOptimisationError):
        undone(pools)


def test_nothing_is_undone_while_a_run_is_at_work(redis_pools: Pools) -> None:
    key = put_answer(redis_pools, "acme", "crm.leads", ttl=600)
    extend(redis_pools)
    with (
        OptimiserLock(redis_pools, CONTRACT, "at-work"),
        pytest.raises(OptimiserBusyError, match="at-work"),
    ):
        undone(redis_pools)
    assert redis_pools[1].ttl(key) > 890


def test_a_trail_gives_no_power_over_the_keys_of_another_tenant(redis_pools: Pools) -> None:
    put_answer(redis_pools, "acme", "crm.leads", ttl=600)
    extend(redis_pools)
    other = put_answer(redis_pools, "other", "crm.leads", ttl=600)
    (raw,) = redis_pools[1].lrange(TRAIL, 0, -1)
    redis_pools[1].lset(TRAIL, 0, raw.replace(b"tenant:acme:api", b"tenant:other:api"))
    before = contents(redis_pools)

    report = undone(redis_pools)

    assert report.undone == ()
    (problem,) = report.skipped
    assert problem.where == f"db 1 {other.decode()}"
    assert "no key of the tenant" in problem.what
    assert contents(redis_pools) == before
