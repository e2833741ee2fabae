# SPDX-License-Identifier: Apache-2.0
"""What each area of the handle does, and what then lies on the server."""

from __future__ import annotations

import itertools
import json
import threading
import time
from typing import TYPE_CHECKING

import pytest
import redis

from kryonix_cache.reference_impl.connection import lease
from kryonix_cache.reference_impl.contract import default_contract
from kryonix_cache.reference_impl.errors import (
    ContentionError,
    FamilyClosedError,
    ForeignValueError,
    KeyPartError,
    UnknownFamilyError,
    ValueTooLongLivedError,
    ValueUnreadableError,
)
from kryonix_cache.reference_impl.tenant import TenantCache, TenantCaches, exchanges, families
from kryonix_cache.reference_impl.tenant.runners import Runner
from kryonix_cache.reference_impl.tenant.timelines import Figure

if TYPE_CHECKING:
    from collections.abc import Callable

    from kryonix_cache.reference_impl.connection import Pools
    from kryonix_cache.reference_impl.tenant.exchanges import Program

CONTRACT = default_contract()


def key_of(cache: TenantCache, family: str, **parts: str) -> bytes:
    return CONTRACT.key(family, tenant=cache.tenant, **parts)


def raw(pools: Pools, family: str) -> redis.Redis:
    return pools[CONTRACT.family(family).databases[0]]


# --- answers ---


def test_an_answer_is_kept_for_its_time_in_its_database(cache: TenantCache, pools: Pools) -> None:
    cache.answers.put("crm", "users", {"n": [1, None, "é"]}, ttl=300)
    assert cache.answers.get("crm", "users") == {"n": [1, None, "é"]}
    key = key_of(cache, families.ANSWERS, module="crm", endpoint="users")
    assert 295 <= raw(pools, families.ANSWERS).ttl(key) <= 300
    assert cache.answers.list() == [("crm", "users")]
    assert cache.answers.delete("crm", "users") is True
    assert cache.answers.delete("crm", "users") is False
    assert cache.answers.get("crm", "users") is None


@pytest.mark.parametrize("ttl", [0, -1, 7201, 10**12])
def test_an_answer_never_outlives_the_contract(cache: TenantCache, ttl: int) -> None:
    with pytest.raises(ValueTooLongLivedError, match=r"1 to 7200 seconds"):
        cache.answers.put("crm", "users", 1, ttl=ttl)
    assert cache.answers.get("crm", "users") is None


@pytest.mark.parametrize("stored", ["", "no json", "[]", '{"data": 1}', "[" * 100_000])
def test_an_answer_that_somebody_else_wrote_is_not_handed_out(
    cache: TenantCache, pools: Pools, stored: str
) -> None:
    key = key_of(cache, families.ANSWERS, module="crm", endpoint="users")
    raw(pools, families.ANSWERS).set(key, stored)
    with pytest.raises(ValueUnreadableError, match="crm:users"):
        cache.answers.get("crm", "users")


def test_an_answer_that_names_another_tenant_is_not_handed_out(
    cache: TenantCache, pools: Pools
) -> None:
    """A value that a faulty writer put under the wrong key reaches nobody."""
    key = key_of(cache, families.ANSWERS, module="crm", endpoint="users")
    foreign = json.dumps({"data": "SECRET", "tenant_id": "somebody-else"})
    raw(pools, families.ANSWERS).set(key, foreign)
    with pytest.raises(ForeignValueError) as caught:
        cache.answers.get("crm", "users")
    assert "SECRET" not in str(caught.value)


def test_the_list_of_a_tenant_ends_at_its_name(pools: Pools, tenant_id: str) -> None:
    caches = TenantCaches(CONTRACT, pools)
    for name in (tenant_id, f"{tenant_id}0", f"{tenant_id}-x"):
        caches.open(name).answers.put("crm", name, 1, ttl=60)
    assert caches.open(tenant_id).answers.list() == [("crm", tenant_id)]


# --- sessions ---


def test_a_session_lives_anew_with_each_touch(cache: TenantCache, pools: Pools) -> None:
    cache.sessions.start("s1", {"user_id": "u1", "platform": "ios"})
    key = key_of(cache, families.SESSIONS, session="s1")
    raw(pools, families.SESSIONS).expire(key, 5)
    assert cache.sessions.touch("s1") is True
    assert raw(pools, families.SESSIONS).ttl(key) > 1700
    read = cache.sessions.read("s1")
    assert (read["user_id"], read["tenant_id"]) == ("u1", cache.tenant)


def test_a_touch_does_not_bring_a_session_back(cache: TenantCache, pools: Pools) -> None:
    cache.sessions.start("s1", {"user_id": "u1"})
    assert cache.sessions.end("s1") is True
    assert cache.sessions.touch("s1") is False
    assert raw(pools, families.SESSIONS).exists(key_of(cache, families.SESSIONS, session="s1")) == 0


def test_a_session_that_starts_anew_keeps_nothing_of_the_old_one(cache: TenantCache) -> None:
    cache.sessions.start("s1", {"user_id": "u1", "push_token": "old"})
    cache.sessions.start("s1", {"user_id": "u2", "tenant_id": "somebody-else"})
    read = cache.sessions.read("s1")
    assert "push_token" not in read
    assert read["tenant_id"] == cache.tenant


# --- queues ---


def test_jobs_come_out_in_the_order_in_which_they_went_in(cache: TenantCache) -> None:
    lengths = [cache.queues.push("mail", {"n": n, "tenant_id": "x"}) for n in range(3)]
    assert lengths == [1, 2, 3]
    assert cache.queues.list() == ["mail"]
    jobs = [cache.queues.pop("mail") for _ in range(4)]
    assert [job and job["n"] for job in jobs] == [0, 1, 2, None]
    assert {job["tenant_id"] for job in jobs if job} == {cache.tenant}
    assert (cache.queues.length("mail"), cache.queues.list()) == (0, [])


def test_a_job_is_waited_for(cache: TenantCache) -> None:
    taken: list[object] = []
    worker = threading.Thread(target=lambda: taken.append(cache.queues.pop("mail", wait=20)))
    worker.start()
    cache.queues.push("mail", {"n": 7})
    worker.join(20)
    assert [job["n"] for job in taken if isinstance(job, dict)] == [7]


def test_waiting_for_a_job_ends_in_time(cache: TenantCache) -> None:
    start = time.monotonic()
    assert cache.queues.pop("mail", wait=0.2) is None
    assert 0.15 < time.monotonic() - start < 5


@pytest.mark.parametrize(
    ("stored", "error"),
    [
        ("no json", ValueUnreadableError),
        ("[1]", ValueUnreadableError),
        ('{"tenant_id": "somebody-else"}', ForeignValueError),
    ],
)
def test_a_job_of_nobody_stands_in_no_ones_way(
    cache: TenantCache, pools: Pools, stored: str, error: type[Exception]
) -> None:
    cache.queues.push("mail", {"n": 1})
    raw(pools, families.QUEUES).lpush(key_of(cache, families.QUEUES, queue="mail"), stored)
    with pytest.raises(error):
        cache.queues.pop("mail")
    job = cache.queues.pop("mail")
    assert job is not None
    assert job["n"] == 1


# --- records, documents, timeline ---


def test_a_record_is_written_field_by_field(cache: TenantCache) -> None:
    cache.modules.write({"slot_duration": "30"}, module="calendar")
    cache.modules.write({"advance_booking_days": "7"}, module="calendar")
    cache.modules.write({}, module="empty")
    assert cache.modules.read(module="calendar") == {
        "slot_duration": "30",
        "advance_booking_days": "7",
    }
    assert cache.modules.list() == [{"module": "calendar"}]
    assert cache.modules.delete(module="calendar") is True
    assert cache.modules.read(module="calendar") == {}


def test_a_record_of_a_family_that_expires_is_given_its_time(
    cache: TenantCache, pools: Pools
) -> None:
    cache.sdk_sessions.write({"user_id": "u1"}, session="s1")
    key = key_of(cache, families.SDK_SESSIONS, session="s1")
    assert 3590 < raw(pools, families.SDK_SESSIONS).ttl(key) <= 3600


def test_what_a_tenant_may_only_read_is_not_written(cache: TenantCache) -> None:
    assert cache.registration.read() == {}
    with pytest.raises(FamilyClosedError, match="only read"):
        cache.registration.write({"api_key": "x"})
    with pytest.raises(FamilyClosedError, match="neither read nor written"):
        cache.records("auto-setup").read()


def test_an_area_that_the_contract_lacks_is_named(cache: TenantCache) -> None:
    with pytest.raises(UnknownFamilyError, match="'nonsense'"):
        cache.records("nonsense").read()


def test_documents_are_fetched_ahead_and_expire(cache: TenantCache, pools: Pools) -> None:
    cache.warmed.put("crm", "users", [1, 2])
    cache.preloaded.put("dashboard", {"a": 1}, ttl=60)
    cache.essentials.put("profile", "text")
    assert cache.warmed.get("crm", "users") == [1, 2]
    assert cache.preloaded.get("dashboard") == {"a": 1}
    assert cache.essentials.get("profile") == "text"
    key = key_of(cache, families.WARMED, module="crm", endpoint="users")
    assert 7190 < raw(pools, families.WARMED).ttl(key) <= 7200
    for gone in (cache.preloaded.delete("dashboard"), cache.warmed.delete("crm", "users")):
        assert gone is True
    assert cache.preloaded.get("dashboard") is None


def test_the_timeline_gives_figures_in_order(cache: TenantCache) -> None:
    later, early = Figure(2000, "response_time", 45.0), Figure(1000, "hit_rate", 99.5)
    cache.timeline.add(later, early)
    cache.timeline.add()
    assert cache.timeline.between(0, 3000) == [early, later]
    assert cache.timeline.between(1001, 2000) == [later]
    assert cache.timeline.forget(1000) == 1
    assert cache.timeline.between(0, 3000) == [later]


# --- WebSockets ---


def test_a_ping_of_a_connection_that_is_gone_writes_nothing(
    cache: TenantCache, pools: Pools
) -> None:
    cache.websockets.connect("c1", {"user_id": "u1"})
    assert cache.websockets.ping("c1") is True
    assert cache.websockets.subscribe("c1", "news", "alerts") is True
    assert json.loads(cache.websockets.read("c1")["subscribed_events"]) == ["news", "alerts"]
    assert cache.websockets.list() == ["c1"]
    assert cache.websockets.disconnect("c1") is True
    assert cache.websockets.ping("c1") is False
    assert cache.websockets.subscribe("c1", "news") is False
    key = key_of(cache, families.CONNECTIONS, connection="c1")
    assert raw(pools, families.CONNECTIONS).exists(key) == 0


def test_channels_are_a_set(cache: TenantCache) -> None:
    assert [cache.channels.add(name) for name in ("b", "a", "a")] == [True, True, False]
    assert cache.channels.list() == ["a", "b"]
    assert cache.channels.discard("a") is True


def test_a_broadcast_reaches_the_subscribers_of_its_tenant_only(
    cache: TenantCache, pools: Pools
) -> None:
    other = TenantCaches(CONTRACT, pools).open(f"{cache.tenant}0")
    with (
        cache.broadcasts.subscribe("news", "alerts") as own,
        other.broadcasts.subscribe("news") as foreign,
    ):
        assert cache.broadcasts.publish("alerts", "hello é") == 1
        message = own.next(wait=5)
        assert message == ("alerts", "hello é")
        assert foreign.next(wait=0.1) is None
    assert cache.broadcasts.publish("alerts", "nobody") == 0


# --- parts that no key can hold ---

HOSTILE = {
    "empty": "",
    "separator": "a:b",
    "glob": "*",
    "newline": "a\nb",
    "long": "x" * 200,
    "surrogate": "\ud800",
    "accent": "é",
}
CALLS: dict[str, Callable[[TenantCache, str], object]] = {
    "put": lambda cache, part: cache.answers.put(part, "users", 1, ttl=9),
    "get": lambda cache, part: cache.answers.get("crm", part),
    "start": lambda cache, part: cache.sessions.start(part, {}),
    "push": lambda cache, part: cache.queues.push(part, {}),
    "pop": lambda cache, part: cache.queues.pop(part, wait=1),
    "write": lambda cache, part: cache.modules.write({"a": "b"}, module=part),
    "preload": lambda cache, part: cache.preloaded.put(part, 1),
    "connect": lambda cache, part: cache.websockets.connect(part, {}),
    "publish": lambda cache, part: cache.broadcasts.publish(part, "x"),
    "subscribe": lambda cache, part: cache.broadcasts.subscribe(part).__enter__(),
}


@pytest.mark.parametrize("part", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_a_part_that_no_key_can_hold_is_refused_before_anything_is_sent(
    cache: TenantCache, pools: Pools, call: Callable[[TenantCache, str], object], part: str
) -> None:
    before = commands_processed(pools)
    with pytest.raises(KeyPartError):
        call(cache, part)
    # The one command is the question itself.
    assert commands_processed(pools) == before + 1


def commands_processed(pools: Pools) -> int:
    return int(pools[0].info("stats")["total_commands_processed"])


# --- one connection, in step ---


def test_a_program_that_stops_while_it_watches_closes_its_connection(pools: Pools) -> None:
    """A watch that stays behind would let the next transaction on the connection fail."""

    def watch_and_stop() -> Program[None]:
        yield exchanges.Batch(3, [(b"WATCH", b"watched")])
        raise ValueError("the program is at its end")

    def identity() -> Program[object]:
        return (yield from exchanges.ask(3, b"CLIENT", b"ID"))

    runner = Runner(pools)
    before = runner.run(identity())
    with pytest.raises(ValueError, match="at its end"):
        runner.run(watch_and_stop())
    assert runner.run(identity()) != before


def test_a_refusal_costs_no_connection(cache: TenantCache, pools: Pools) -> None:
    """A server that is full refuses often; making a new connection each time would hurt it."""

    def identity() -> Program[object]:
        return (yield from exchanges.ask(1, b"CLIENT", b"ID"))

    runner = Runner(pools)
    before = runner.run(identity())
    key = key_of(cache, families.ANSWERS, module="crm", endpoint="users")
    raw(pools, families.ANSWERS).rpush(key, "a list")
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        cache.answers.get("crm", "users")
    assert runner.run(identity()) == before


def test_a_change_gives_up_where_others_change_the_key_all_the_time(
    cache: TenantCache, pools: Pools
) -> None:
    cache.websockets.connect("c1", {"user_id": "u1"})
    key = key_of(cache, families.CONNECTIONS, connection="c1")
    somebody_else = raw(pools, families.CONNECTIONS)
    changes = itertools.count(1)

    def play(program: Program[bool]) -> bool:
        batch = next(program)
        with lease(somebody_else) as connection:
            while True:
                if batch.commands[0][0] == b"MULTI":
                    somebody_else.hset(key, "changes", next(changes))
                batch = program.send(connection.exchange(batch.commands))

    with pytest.raises(ContentionError, match="16 times"):
        play(cache.websockets.area.ping("c1"))
    assert somebody_else.hget(key, "changes") == b"16"


def test_two_who_touch_one_connection_at_once_both_succeed(cache: TenantCache) -> None:
    cache.websockets.connect("c1", {"user_id": "u1"})
    outcomes: list[bool] = []
    workers = [
        threading.Thread(
            target=lambda: outcomes.extend(cache.websockets.ping("c1") for _ in range(50))
        )
        for _ in range(2)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(30)
    assert outcomes == [True] * 100


# --- cost ---


COSTS: dict[str, tuple[Callable[[TenantCache], object], int]] = {
    "put": (lambda cache: cache.answers.put("crm", "a", 1, ttl=9), 2),
    "get": (lambda cache: cache.answers.get("crm", "a"), 1),
    "start": (lambda cache: cache.sessions.start("s", {"user_id": "u"}), 5),
    "read": (lambda cache: cache.sessions.read("s"), 1),
    "push": (lambda cache: cache.queues.push("q", {}), 1),
    "pop": (lambda cache: cache.queues.pop("q", wait=5), 1),
    "write": (lambda cache: cache.configuration.write({"a": "b"}), 1),
    "ping": (lambda cache: cache.websockets.ping("nobody"), 3),
}


@pytest.mark.parametrize(("call", "commands"), COSTS.values(), ids=COSTS)
def test_an_operation_sends_no_more_than_it_needs(
    cache: TenantCache,
    pools: Pools,
    call: Callable[[TenantCache], object],
    commands: int,
) -> None:
    cache.queues.push("q", {})
    call(cache)
    cache.queues.push("q", {})
    before = commands_processed(pools)
    call(cache)
    assert commands_processed(pools) - before - 1 == commands
