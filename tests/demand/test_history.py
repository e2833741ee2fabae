# SPDX-License-Identifier: Apache-2.0
"""A read lies in the counters or in the history, and whatever happens it is counted once."""

from __future__ import annotations

import base64
import json
import os
import random
import signal
import zlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from kryonix_cache.reference_impl.connection import Pools
from kryonix_cache.reference_impl.demand import encoding, history, items
from kryonix_cache.reference_impl.demand.errors import DemandNotKeptError, UnreadableHistoryError
from kryonix_cache.reference_impl.demand.keeper import Keeper
from kryonix_cache.reference_impl.demand.logs import Access
from kryonix_cache.reference_impl.demand.series import Demand
from kryonix_cache.reference_impl.errors import ContentionError, ScanLostError
from tests.demand.reads import (
    CONTRACT,
    DATABASE,
    MOST,
    NOON,
    batches_of,
    cells,
    count,
    counter_key,
    counters,
    history_key,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from kryonix_cache.reference_impl.problems import Problem
    from kryonix_cache.reference_impl.tenant.exchanges import Program

RULE = items.rule_of(CONTRACT)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
TODAY = datetime(2026, 3, 4, tzinfo=UTC)
USERS, LEADS = "api-cache:crm.users", "api-cache:crm.leads"


def read(pools: Pools, tenant: str, at: datetime = NOON) -> dict[tuple[str, datetime], float]:
    demand, problems = history.load(pools, CONTRACT, tenant, at)
    assert problems == []
    return cells(demand)


def some_reads(pools: Pools, tenant: str) -> dict[tuple[str, datetime], float]:
    """Count reads of four days, three of them over, and of the present hour; return all but it."""
    reads = {
        (USERS, TODAY - 3 * DAY + 9 * HOUR): 2.0,
        (LEADS, TODAY - DAY + 23 * HOUR): 5.0,
        (USERS, TODAY - DAY): 1.0,
        (USERS, TODAY + 9 * HOUR): 4.0,
        (USERS, TODAY + 11 * HOUR): 3.0,
    }
    for (item, hour), times in reads.items():
        count(pools, tenant, hour, item, times)
    count(pools, tenant, NOON, USERS, 7)
    return reads


def fold(pools: Pools, tenant: str, at: datetime = NOON) -> list[Problem]:
    return history.fold(pools, CONTRACT, tenant, at)


def learn(pools: Pools, tenant: str, reads: dict[tuple[str, datetime], float]) -> None:
    """Learn reads, as an access log tells of them."""
    accesses = [
        Access(tenant, family, name, hour + timedelta(minutes=5), int(times))
        for (item, hour), times in reads.items()
        for family, _, name in [item.partition(":")]
    ]
    assert history.learn(pools, CONTRACT, accesses, NOON) == []


# --- what is read ---


def test_a_tenant_without_reads_has_an_empty_table(pools: Pools, tenant: str) -> None:
    demand, problems = history.load(pools, CONTRACT, tenant, NOON)
    assert (demand.items, demand.counts.shape, problems) == ((), (0, 0), [])
    assert demand.next_hour == items.hour_of(NOON)


def test_counters_are_read_until_the_present_hour(pools: Pools, tenant: str) -> None:
    """What is read of an hour that is not over would look as if less was asked for."""
    reads = some_reads(pools, tenant)
    demand, _ = history.load(pools, CONTRACT, tenant, NOON)
    assert cells(demand) == reads
    assert demand.items == (LEADS, USERS)
    assert items.moment_of(demand.first_hour) == TODAY - 3 * DAY + 9 * HOUR
    assert items.moment_of(demand.next_hour) == TODAY + 12 * HOUR
    assert demand.counts.dtype == np.float64


def test_reads_are_learnt_in_any_order(pools: Pools, tenant: str) -> None:
    reads = {
        (USERS, TODAY - 13 * DAY): 2.0,
        (LEADS, TODAY - 5 * DAY + 7 * HOUR): 1.0,
        (USERS, TODAY + 11 * HOUR): 70_000.0,
        (USERS, TODAY + 10 * HOUR): 300.0,
    }
    backwards = dict(reversed(reads.items()))
    learn(pools, tenant, backwards)
    assert read(pools, tenant) == reads


def test_reads_of_the_present_hour_stand_beside_the_table(pools: Pools, tenant: str) -> None:
    """Counted and learnt ones, of items that the table has; folding leaves them where they are."""
    some_reads(pools, tenant)
    learn(pools, tenant, {(LEADS, TODAY + 12 * HOUR): 4.0})
    count(pools, tenant, NOON, "api-cache:crm.never-before", 2)
    for _ in range(2):
        demand, _ = history.load(pools, CONTRACT, tenant, NOON)
        assert demand.running is not None
        running = dict(zip(demand.items, demand.running.tolist(), strict=True))
        assert running == {LEADS: 4.0, USERS: 7.0}
        assert fold(pools, tenant) == []


def test_what_is_learnt_of_the_present_hour_is_there_when_it_is_over(
    pools: Pools, tenant: str
) -> None:
    learn(pools, tenant, {(USERS, TODAY + 12 * HOUR): 3.0})
    assert read(pools, tenant) == {}
    count(pools, tenant, NOON - HOUR, USERS, 1)
    fold(pools, tenant)
    assert read(pools, tenant, NOON + HOUR) == {
        (USERS, TODAY + 11 * HOUR): 1.0,
        (USERS, TODAY + 12 * HOUR): 3.0,
    }


def test_reads_that_cannot_be_learnt_are_told_of(pools: Pools, tenant: str) -> None:
    good = Access(tenant, "api-cache", "crm.users", NOON - HOUR)
    reads = [
        good,
        replace(good, at=NOON + HOUR),
        replace(good, at=NOON - 15 * DAY),
        replace(good, tenant="no tenant:x"),
        replace(good, item="a b"),
        replace(good, count=0),
        replace(good, count=10**12),
    ]
    problems = history.learn(pools, CONTRACT, reads, NOON)
    assert sorted(problem.what.partition(",")[0] for problem in problems) == [
        "1 are older than what is kept",
        "1 have an item that cannot be counted",
        "1 lie in the future",
        "1 name no valid tenant",
        "2 have a count that is not from 1 to 1000000000",
    ]
    assert read(pools, tenant) == {(USERS, TODAY + 11 * HOUR): 1.0}


def test_much_is_learnt_in_portions(
    pools: Pools, tenant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What does not fit into memory is written in between, and nothing is lost."""
    monkeypatch.setattr(history, "_CELLS_AT_ONCE", 10)
    reads = {(USERS, TODAY - each * HOUR): 1.0 + each for each in range(95)}
    learn(pools, tenant, reads)
    assert read(pools, tenant) == reads


def test_many_tenants_are_read_as_each_alone_is(pools: Pools, tenant: str) -> None:
    names = [f"{tenant}-{each}" for each in range(90)]
    for number, name in enumerate(names):
        if number % 3:
            count(pools, name, TODAY - DAY, USERS, number)
        if number % 2:
            learn(pools, name, {(LEADS, TODAY - 2 * DAY): number})
    before = int(pools[0].info("stats")["total_reads_processed"])
    together = history.load_many(pools, CONTRACT, names, NOON)
    rounds = int(pools[0].info("stats")["total_reads_processed"]) - before
    assert rounds < 20
    assert list(together) == names
    for number, name in enumerate(names):
        wanted = {}
        if number % 3:
            wanted[USERS, TODAY - DAY] = float(number)
        if number % 2:
            wanted[LEADS, TODAY - 2 * DAY] = float(number)
        assert together[name].unfolded == bool(number % 3)
        assert cells(together[name].demand) == wanted == read(pools, name)


def test_tenants_are_never_mixed(pools: Pools, tenant: str) -> None:
    others = [f"{tenant}0", f"{tenant}-x"]
    for number, name in enumerate([tenant, *others], start=1):
        count(pools, name, TODAY, f"api-cache:crm.{name}", number)
        learn(pools, name, {(f"api-cache:crm.learnt-{name}", TODAY): number})
        fold(pools, name)
    for number, name in enumerate([tenant, *others], start=1):
        assert read(pools, name) == {
            (f"api-cache:crm.{name}", TODAY): number,
            (f"api-cache:crm.learnt-{name}", TODAY): number,
        }


def test_a_server_that_is_gone_is_told_of_in_a_sentence(pools: Pools) -> None:
    with Pools(replace(pools.endpoint, port=1)) as dead, pytest.raises(ScanLostError, match="lost"):
        history.load(dead, CONTRACT, "acme", NOON)


def test_a_contract_that_keeps_no_reads_has_no_history(pools: Pools) -> None:
    with pytest.raises(DemandNotKeptError, match="optimiser"):
        history.load(pools, replace(CONTRACT, optimiser=None), "acme", NOON)


# --- folding ---


def test_folding_moves_what_is_over_and_changes_no_count(pools: Pools, tenant: str) -> None:
    reads = some_reads(pools, tenant)
    for _ in range(3):
        assert fold(pools, tenant) == []
        assert read(pools, tenant) == reads
    assert counters(pools, tenant) == {"12:api-cache:crm.users": 7}
    for days in (1, 3):
        assert pools[DATABASE].exists(counter_key(tenant, NOON - days * DAY)) == 0
    assert 0 < pools[DATABASE].ttl(counter_key(tenant)) <= 1000
    assert 2_591_900 < pools[DATABASE].ttl(history_key(tenant)) <= 2_592_000


def test_what_folding_writes_keeps_the_contract(pools: Pools, tenant: str) -> None:
    some_reads(pools, tenant)
    fold(pools, tenant)
    family = CONTRACT.family(items.HISTORY)
    assert family.value is not None
    document: Any = family.value.format.parse(pools[DATABASE].get(history_key(tenant)).decode())
    assert document["tenant_id"] == tenant
    for name, wanted in family.value.fields.items():
        value = document.pop(name)
        if wanted.format.name == "time":
            wanted.format.parse(value)
    assert document == {}


def test_a_late_writing_of_a_recorder_is_folded_later(pools: Pools, tenant: str) -> None:
    reads = some_reads(pools, tenant)
    fold(pools, tenant)
    count(pools, tenant, TODAY - DAY, USERS, 10)
    reads[USERS, TODAY - DAY] += 10
    assert read(pools, tenant) == reads
    fold(pools, tenant, NOON + HOUR)
    reads[USERS, TODAY + 12 * HOUR] = 7.0
    assert read(pools, tenant, NOON + HOUR) == reads


@pytest.mark.parametrize("steps", range(7))
def test_a_folding_that_stops_between_two_steps_loses_and_doubles_nothing(
    pools: Pools, tenant: str, steps: int
) -> None:
    reads = some_reads(pools, tenant)
    learn(pools, tenant, {(LEADS, TODAY - 7 * DAY): 9.0})
    reads[LEADS, TODAY - 7 * DAY] = 9.0
    sent = batches_of(Keeper(CONTRACT, NOON).folding(tenant), pools, steps)
    assert len(sent) == min(steps, 5)
    for _ in range(2):
        assert read(pools, tenant) == reads
        fold(pools, tenant)
    assert read(pools, tenant) == reads


@pytest.mark.parametrize("steps", range(1, 6))
def test_a_process_that_is_killed_while_it_folds_loses_and_doubles_nothing(
    pools: Pools, tenant: str, steps: int
) -> None:
    """Also where the last transaction was sent and its reply never read."""
    reads = some_reads(pools, tenant)
    child = os.fork()
    if child == 0:
        try:
            with Pools(pools.endpoint) as own:
                batches_of(_killing(Keeper(CONTRACT, NOON).folding(tenant), steps), own)
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.WTERMSIG(status) == signal.SIGKILL
    assert read(pools, tenant) == reads
    fold(pools, tenant)
    assert read(pools, tenant) == reads


def _killing(program: Program[object], steps: int) -> Program[object]:
    batch = next(program)
    for _ in range(steps - 1):
        batch = program.send((yield batch))
    _ = yield batch
    os.kill(os.getpid(), signal.SIGKILL)
    return None


@pytest.mark.parametrize("at_step", range(1, 5))
def test_a_recorder_that_writes_meanwhile_makes_folding_begin_anew(
    pools: Pools, tenant: str, at_step: int
) -> None:
    """A count that came between reading and moving would be deleted unseen."""
    reads = some_reads(pools, tenant)

    def writing(program: Program[object]) -> Program[object]:
        batch = next(program)
        step = 0
        while True:
            step += 1
            replies = yield batch
            if step == at_step:
                count(pools, tenant, TODAY - DAY, USERS, 100)
            try:
                batch = program.send(replies)
            except StopIteration as stop:
                return stop.value

    sent = batches_of(writing(Keeper(CONTRACT, NOON).folding(tenant)), pools)
    assert len(sent) == 10
    reads[USERS, TODAY - DAY] += 100
    assert read(pools, tenant) == reads
    assert pools[DATABASE].exists(counter_key(tenant, NOON - DAY)) == 0


def test_folding_gives_up_where_somebody_writes_all_the_time(pools: Pools, tenant: str) -> None:
    some_reads(pools, tenant)

    def writing(program: Program[object]) -> Program[object]:
        batch = next(program)
        while True:
            replies = yield batch
            count(pools, tenant, TODAY - DAY, USERS, 1)
            batch = program.send(replies)

    with pytest.raises(ContentionError, match="16 times"):
        batches_of(writing(Keeper(CONTRACT, NOON).folding(tenant)), pools)


# --- bounds ---


def test_the_items_with_most_reads_of_late_are_kept(pools: Pools, tenant: str) -> None:
    """What was asked for ten days ago weighs a tenth of what is asked for now."""
    reads: dict[tuple[str, datetime], float] = {}
    for each in range(RULE.history_items):
        reads[f"api-cache:crm.new{each}", TODAY] = 20.0
    for each in range(200):
        reads[f"api-cache:crm.old{each}", TODAY - 12 * DAY] = 200.0
        reads[f"api-cache:crm.rare{each}", TODAY] = 1.0
    learn(pools, tenant, reads)
    kept = {item for item, _ in read(pools, tenant)}
    assert kept == {f"api-cache:crm.new{each}" for each in range(RULE.history_items)}


def test_days_that_are_over_are_forgotten(pools: Pools, tenant: str) -> None:
    oldest = NOON - RULE.history_days * DAY
    hour = oldest.replace(minute=0)
    learn(pools, tenant, {(USERS, hour): 1.0, (USERS, hour + HOUR): 2.0})
    assert read(pools, tenant) == {(USERS, hour): 1.0, (USERS, hour + HOUR): 2.0}
    assert read(pools, tenant, NOON + HOUR) == {(USERS, hour + HOUR): 2.0}
    count(pools, tenant, NOON, USERS, 1)
    fold(pools, tenant, NOON + 2 * HOUR)
    assert read(pools, tenant, NOON + 2 * HOUR) == {(USERS, TODAY + 12 * HOUR): 1.0}


def test_the_history_of_a_busy_tenant_is_small(pools: Pools, tenant: str) -> None:
    """As many items as are kept, each read in each hour: under 64 KiB, and read within time."""
    chance = np.random.default_rng(1)
    counts = chance.poisson(20, (RULE.history_items, 24 * RULE.history_days)).astype(np.float64)
    names = tuple(sorted(f"api-cache:crm.item{each}" for each in range(RULE.history_items)))
    first = items.hour_of(NOON) - counts.shape[1]
    text = encoding.encode(tenant, Demand(names, first, counts), NOON)
    assert len(text) < 65_536
    pools[DATABASE].set(history_key(tenant), text, ex=100)
    demand, problems = history.load(pools, CONTRACT, tenant, NOON)
    assert (demand.items, problems) == (names, [])
    assert (demand.counts == counts).all()


@pytest.mark.parametrize("largest", [0, 1, 255, 256, 65_535, 65_536, 2**32 - 1])
def test_counts_of_every_size_come_back_as_they_were(largest: int) -> None:
    demand = Demand((USERS,), 490_000, np.array([[0.0, 1.0, float(largest)]]))
    first, rows = encoding.decode(encoding.encode("acme", demand, NOON), "acme", lambda _: True)
    assert first == 490_000
    assert rows[USERS].tolist() == [0.0, 1.0, float(largest)]


# --- what nobody here wrote ---


def packed(raw: bytes) -> str:
    return base64.b64encode(zlib.compress(raw)).decode()


def document(tenant: str, **changes: object) -> bytes:
    whole = {
        "tenant_id": tenant,
        "first_hour": "2026-03-04T00:00:00+00:00",
        "folded_until": "2026-03-04T00:00:00+00:00",
        "items": {USERS: packed(b"\x01\x05")},
    }
    return json.dumps(whole | changes).encode()


UNREADABLE: dict[str, Callable[[str], bytes]] = {
    "empty items": lambda tenant: document(tenant, items=[]),
    "no JSON": lambda _: b"\xff\x00",
    "no object": lambda _: b"[1]",
    "deep": lambda _: b"[" * 100_000,
    "another tenant": lambda tenant: document(f"{tenant}0"),
    "no tenant": lambda _: document("", tenant_id=None),
    "no time": lambda tenant: document(tenant, first_hour="yesterday"),
    "no offset": lambda tenant: document(tenant, folded_until="2026-03-04T00:00:00"),
    "odd item": lambda tenant: document(tenant, items={"a b": packed(b"\x01\x05")}),
    "no text": lambda tenant: document(tenant, items={USERS: [1, 2]}),
    "no base64": lambda tenant: document(tenant, items={USERS: "§§"}),
    "no zlib": lambda tenant: document(tenant, items={USERS: "AAAA"}),
    "odd width": lambda tenant: document(tenant, items={USERS: packed(b"\x03abc")}),
    "half a count": lambda tenant: document(tenant, items={USERS: packed(b"\x02abc")}),
    "nothing": lambda tenant: document(tenant, items={USERS: packed(b"")}),
    "bomb": lambda tenant: document(tenant, items={USERS: packed(b"\x01" + bytes(10_000_000))}),
    "many bombs": lambda tenant: document(
        tenant, items={f"{USERS}{each}": packed(b"\x01" + bytes(9_000)) for each in range(4_000)}
    ),
    "enormous": lambda tenant: document(tenant, items={}) + b" " * 2_000_000,
}


@pytest.mark.parametrize("text", UNREADABLE.values(), ids=UNREADABLE)
def test_a_history_that_cannot_be_read_is_a_problem_and_taken_for_empty(
    pools: Pools, tenant: str, text: Callable[[str], bytes]
) -> None:
    """It stays as it is until there is something to put in its place, and then that is told."""
    client, key = pools[DATABASE], history_key(tenant)
    stored = text(tenant)
    client.set(key, stored, ex=1000)
    demand, problems = history.load(pools, CONTRACT, tenant, NOON)
    assert demand.items == ()
    assert [problem.where for problem in problems] == [key.decode()]
    assert "taken for empty" in problems[0].what
    (problem,) = fold(pools, tenant)
    assert "left as it is" in problem.what
    assert client.get(key) == stored
    count(pools, tenant, TODAY, USERS, 4)
    demand, (problem,) = history.load(pools, CONTRACT, tenant, NOON)
    assert cells(demand) == {(USERS, TODAY): 4.0}
    (problem,) = fold(pools, tenant)
    assert "replaced by what was read since" in problem.what
    assert read(pools, tenant) == {(USERS, TODAY): 4.0}


def test_a_history_of_another_type_is_a_problem_and_replaced_with_a_word(
    pools: Pools, tenant: str
) -> None:
    pools[DATABASE].rpush(history_key(tenant), "x")
    _, (problem,) = history.load(pools, CONTRACT, tenant, NOON)
    assert "another type" in problem.what
    (problem,) = history.learn(
        pools, CONTRACT, [Access(tenant, "api-cache", "crm.users", NOON - HOUR)], NOON
    )
    assert "replaced" in problem.what
    assert read(pools, tenant) == {(USERS, TODAY + 11 * HOUR): 1.0}


def test_broken_counters_are_a_problem_and_leave_with_the_good_ones(
    pools: Pools, tenant: str
) -> None:
    """Names and numbers that no recorder writes, beside some that one does."""
    key = counter_key(tenant)
    count(pools, tenant, TODAY + 9 * HOUR, USERS, 2)
    hostile: dict[Any, float] = {
        "24:api-cache:crm.users": 1,
        "9:api-cache:crm.users": 1,
        b"\xff": 1,
        "": 1,
        "09:api-cache:" + "x" * 300: 1,
        "10:api-cache:crm.minus": -5,
        "10:api-cache:crm.zero": 0,
        "10:api-cache:crm.endless": float("inf"),
        "10:api-cache:crm.much": 1e15,
    }
    pools[DATABASE].zadd(key, hostile)
    demand, (problem,) = history.load(pools, CONTRACT, tenant, NOON)
    assert cells(demand) == {(USERS, TODAY + 9 * HOUR): 2.0}
    assert problem.what.startswith("9 of 10 counters")
    assert fold(pools, tenant) == [problem]
    assert pools[DATABASE].exists(key) == 0
    assert read(pools, tenant) == {(USERS, TODAY + 9 * HOUR): 2.0}


def one_large_member(pools: Pools, key: bytes) -> None:
    pools[DATABASE].zadd(key, {b"x" * 3_000_000: 1, b"09:api-cache:crm.users": 1})


def many_members(pools: Pools, key: bytes) -> None:
    pools[DATABASE].zadd(key, {f"09:api-cache:crm.item{each}": 1 for each in range(MOST + 1)})


def another_type(pools: Pools, key: bytes) -> None:
    pools[DATABASE].hset(key, "a", "b")


@pytest.mark.parametrize("hostile", [one_large_member, many_members, another_type])
def test_counters_that_are_too_large_or_no_counters_are_left_out_and_left_alone(
    pools: Pools, tenant: str, hostile: Callable[[Pools, bytes], None]
) -> None:
    key = counter_key(tenant, TODAY - DAY)
    hostile(pools, key)
    count(pools, tenant, TODAY, LEADS, 2)
    demand, (problem,) = history.load(pools, CONTRACT, tenant, NOON)
    assert cells(demand) == {(LEADS, TODAY): 2.0}
    assert problem.where == key.decode()
    assert "left out" in problem.what
    assert fold(pools, tenant) == [problem]
    assert pools[DATABASE].exists(key) == 1
    assert cells(history.load(pools, CONTRACT, tenant, NOON)[0]) == {(LEADS, TODAY): 2.0}


def test_a_broken_tenant_stands_in_no_others_way(pools: Pools, tenant: str) -> None:
    pools[DATABASE].set(history_key(tenant), "no JSON", ex=100)
    count(pools, f"{tenant}-x", TODAY, USERS, 1)
    found = history.load_many(pools, CONTRACT, [tenant, f"{tenant}-x"], NOON)
    assert len(found[tenant].problems) == 1
    assert cells(found[f"{tenant}-x"].demand) == {(USERS, TODAY): 1.0}


def test_no_damage_to_a_history_ends_in_a_traceback(tenant: str) -> None:
    """Any byte of it may be another one, or missing."""
    chance = random.Random(5)
    demand = Demand((LEADS, USERS), 492_000, np.arange(20.0).reshape(2, 10))
    whole = encoding.encode(tenant, demand, NOON)
    broken = 0
    for _ in range(2_000):
        position = chance.randrange(len(whole))
        other = bytes([chance.randrange(256)])
        text = whole[:position] + chance.choice([b"", other]) + whole[position + 1 :]
        try:
            encoding.decode(text, tenant, items.CounterReader(CONTRACT).names)
        except UnreadableHistoryError:
            broken += 1
    assert broken > 1_000
