# SPDX-License-Identifier: Apache-2.0
"""What each power lets through and refuses, on real servers."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from kryonix_cache.fixtures.commands import WRITES, rule_for
from kryonix_cache.fixtures.errors import PowerRefusedError
from kryonix_cache.fixtures.journal import Journal
from kryonix_cache.fixtures.powers import Power, PowerGuard
from kryonix_cache.fixtures.targets.server import ServerProcess
from kryonix_cache.reference_impl.connection import KeyTemplate, bulk, connect
from kryonix_cache.reference_impl.errors import ForbiddenCommandError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import redis

OWN, FOREIGN = "tenant:ct-1-a:x", "tenant:acme:x"
DATABASE = 4


def owns(database: int, key: bytes) -> bool:
    return database == DATABASE and key.startswith(b"tenant:ct-1-")


class Guarded:
    """A client under a power, its journal, and a client that nothing limits beside it."""

    def __init__(self, server: ServerProcess, power: Power) -> None:
        self.journal = Journal()
        guard = PowerGuard(
            power, self.journal, owns=owns, owns_channel=lambda name: name.startswith(b"ct-1-")
        )
        self.client = connect(server.endpoint, DATABASE, policy=guard, decode=True)
        self.free = connect(server.endpoint, DATABASE, decode=True)
        self.free.delete(OWN, FOREIGN)

    def refuses(self, call: Callable[[], object], reason: str) -> None:
        before = self.free.info("commandstats")
        refusals = len(self.journal.total().refusals)
        with pytest.raises(PowerRefusedError, match=reason):
            call()
        assert len(self.journal.total().refusals) == refusals + 1
        after = self.free.info("commandstats")
        changed = {
            name for name in after if after[name]["calls"] != before.get(name, {}).get("calls")
        }
        # Nothing reached the server but our own question and a connection's set-up.
        assert changed <= {"cmdstat_info", "cmdstat_auth", "cmdstat_select"}


@pytest.fixture
def observing(server: ServerProcess) -> Iterator[Guarded]:
    yield from guarded(server, Power.OBSERVE)


@pytest.fixture
def owning(server: ServerProcess) -> Iterator[Guarded]:
    yield from guarded(server, Power.OWN)


def guarded(server: ServerProcess, power: Power) -> Iterator[Guarded]:
    pair = Guarded(server, power)
    yield pair
    assert pair.free.ttl(OWN) != -1, "a key of the run never expires"
    pair.client.close()
    pair.free.close()


def test_observe_reads_everything_that_an_audit_needs(observing: Guarded) -> None:
    observing.free.hset(FOREIGN, mapping={"a": 1})
    client = observing.client
    assert client.hgetall(FOREIGN) == {"a": "1"}
    assert client.type(FOREIGN) == "hash"
    assert FOREIGN in client.scan(count=1000)[1]
    assert client.object("encoding", FOREIGN)
    assert client.memory_usage(FOREIGN)
    for ask in (client.info, client.config_get, client.acl_list, client.acl_whoami, client.dbsize):
        assert ask()
    assert client.execute_command("ACL DRYRUN", "admin", "GET", "x")
    assert client.execute_command("COMMAND", "INFO", "GET")
    assert client.pipeline(transaction=True).get("a").ttl("b").execute() == [None, -2]


@pytest.mark.parametrize(
    "command",
    [
        ("SET", OWN, "v", "EX", "10"),
        ("DEL", OWN),
        ("EXPIRE", OWN, "10"),
        ("HSET", OWN, "f", "v"),
        ("set", FOREIGN, "v"),
        (b"DeL", FOREIGN),
        ("TOUCH", FOREIGN),
        ("PERSIST", FOREIGN),
        ("GETDEL", FOREIGN),
        ("PUBLISH", "ct-1-news", "x"),
    ],
)
def test_observe_writes_nothing(observing: Guarded, command: tuple[str, ...]) -> None:
    observing.refuses(lambda: observing.client.execute_command(*command), "observe")


HIGHER = [
    ("SHUTDOWN", "NOSAVE"),
    ("CONFIG", "SET", "maxmemory", "1"),
    ("config set", "maxmemory", "1"),
    ("CONFIG", "REWRITE"),
    ("CONFIG", "RESETSTAT"),
    ("DEBUG", "SLEEP", "0"),
    ("MONITOR",),
    ("EVAL", "return 1", "0"),
    ("EVAL_RO", "return 1", "0"),
    ("EVALSHA", "abc", "0"),
    ("SCRIPT", "FLUSH"),
    ("FUNCTION", "FLUSH"),
    ("FCALL", "f", "0"),
    ("MIGRATE", "h", "1", OWN, "0", "1"),
    ("REPLICAOF", "NO", "ONE"),
    ("SLAVEOF", "h", "1"),
    ("ACL", "SETUSER", "x"),
    ("ACL", "DELUSER", "x"),
    ("ACL", "LOG", "RESET"),
    ("CLIENT", "KILL", "TYPE", "normal"),
    ("CLIENT", "PAUSE", "1"),
    ("CLIENT", "REPLY", "OFF"),
    ("SLOWLOG", "RESET"),
    ("LATENCY", "RESET"),
    ("MEMORY", "PURGE"),
    ("BGSAVE",),
    ("SAVE",),
    ("BGREWRITEAOF",),
    ("MOVE", OWN, "5"),
    ("COPY", OWN, OWN, "DB", "5"),
    ("SORT", OWN, "STORE", OWN),
    ("GEORADIUS", OWN, "1", "1", "1", "m", "STORE", FOREIGN),
    ("RESTORE", OWN, "0", "x"),
    ("RESET",),
    ("AUTH", "x"),
    ("HELLO", "3"),
    ("NOSUCHCOMMAND", OWN),
    ("CONFIG",),
]


@pytest.mark.parametrize("command", HIGHER, ids=" ".join)
def test_what_needs_more_power_is_refused_to_observe_and_own(
    observing: Guarded, owning: Guarded, command: tuple[str, ...]
) -> None:
    observing.refuses(lambda: observing.client.execute_command(*command), "observe")
    owning.refuses(lambda: owning.client.execute_command(*command), "own")


@pytest.mark.parametrize("name", ["FLUSHALL", "flushdb", b"Keys", "SWAPDB 0 1"])
@pytest.mark.parametrize("power", list(Power))
def test_no_power_covers_a_forbidden_command(
    server: ServerProcess, power: Power, name: str
) -> None:
    client = connect(server.endpoint, policy=PowerGuard(power, Journal()))
    with pytest.raises(ForbiddenCommandError):
        client.execute_command(name)
    client.close()


EXPIRING: list[Callable[[redis.Redis], object]] = [
    lambda c: c.set(OWN, "v", ex=10),
    lambda c: c.set(OWN, "v", pxat=9_999_999_999_999),
    lambda c: c.execute_command("SETEX", OWN, 10, "v"),
    lambda c: c.pipeline().hset(OWN, "f", "v").expire(OWN, 10).execute(),
    lambda c: c.pipeline().delete(OWN).rpush(OWN, "v").pexpire(OWN, 10_000).execute(),
    lambda c: c.pipeline().set(OWN, "v").expireat(OWN, 9_999_999_999).execute(),
    lambda c: c.pipeline().sadd(OWN, "v").expire(OWN, 10, nx=True).execute(),
    lambda c: c.pipeline().zadd(OWN, {"m": 1}).set(OWN, "v", px=10_000).execute(),
    lambda c: c.pipeline().mset({OWN: "v"}).expire(OWN, 10).execute(),
    lambda c: c.pipeline().hset(OWN, "f", "v").delete(OWN).execute(),
    lambda c: c.delete(OWN),
    lambda c: c.hdel(OWN, "f"),
]


@pytest.mark.parametrize("number", range(len(EXPIRING)))
def test_own_writes_keys_that_expire(owning: Guarded, number: int) -> None:
    EXPIRING[number](owning.client)
    assert owning.journal.total().foreign_keys_written == 0
    assert owning.free.ttl(OWN) != -1


LASTING: list[Callable[[redis.Redis], object]] = [
    lambda c: c.set(OWN, "v"),
    lambda c: c.set(OWN, "EX"),
    lambda c: c.set(OWN, "v", keepttl=True),
    lambda c: c.hset(OWN, "f", "v"),
    lambda c: c.incr(OWN),
    lambda c: c.lpush(OWN, "v"),
    lambda c: c.mset({OWN: "v", f"{OWN}2": "v"}),
    lambda c: c.pipeline(transaction=False).hset(OWN, "f", "v").expire(OWN, 10).execute(),
    lambda c: c.pipeline().expire(OWN, 10).hset(OWN, "f", "v").execute(),
    lambda c: c.pipeline().set(OWN, "v", ex=10).set(OWN, "w").execute(),
    lambda c: c.pipeline().hset(OWN, "f", "v").expire(f"{OWN}2", 10).execute(),
    lambda c: c.pipeline().hset(OWN, "f", "v").expire(OWN, 10, xx=True).execute(),
    lambda c: c.pipeline().hset(OWN, "f", "v").expire(OWN, 10, gt=True).execute(),
    lambda c: c.pipeline().mset({OWN: "v", f"{OWN}2": "v"}).expire(OWN, 10).execute(),
    lambda c: c.pipeline().set(OWN, "v", ex=10).rename(OWN, f"{OWN}2").execute(),
    lambda c: c.getex(OWN, persist=True),
]


@pytest.mark.parametrize("number", range(len(LASTING)))
def test_own_writes_no_key_that_could_last_for_ever(owning: Guarded, number: int) -> None:
    owning.refuses(lambda: LASTING[number](owning.client), "never expires")


def test_a_transaction_that_is_not_closed_is_none(owning: Guarded) -> None:
    with bulk(owning.client) as connection, pytest.raises(PowerRefusedError, match="MULTI"):
        connection.send_batch(
            [(b"MULTI",), (b"HSET", OWN.encode(), b"f", b"v"), (b"EXPIRE", OWN.encode(), b"9")]
        )


@pytest.mark.parametrize(
    "command",
    [
        ("SET", FOREIGN, "v", "EX", "10"),
        ("DEL", FOREIGN),
        ("DEL", OWN, FOREIGN),
        ("UNLINK", FOREIGN, OWN),
        ("EXPIRE", FOREIGN, "10"),
        ("MSET", OWN, "v", FOREIGN, "v"),
        ("RENAME", FOREIGN, OWN),
        ("RENAME", OWN, FOREIGN),
        ("LMOVE", FOREIGN, OWN, "LEFT", "LEFT"),
        ("SMOVE", FOREIGN, OWN, "m"),
        ("ZUNIONSTORE", OWN, "1", FOREIGN),
        ("ZUNIONSTORE", FOREIGN, "1", OWN),
        ("BITOP", "NOT", FOREIGN, OWN),
        ("BLPOP", OWN, FOREIGN, "1"),
        ("TOUCH", FOREIGN),
        ("DEL",),
    ],
    ids=" ".join,
)
def test_own_touches_no_foreign_key(owning: Guarded, command: tuple[str, ...]) -> None:
    owning.refuses(lambda: owning.client.execute_command(*command), "not of this run")
    assert owning.journal.total().foreign_keys_written == 0


def test_own_copies_into_no_other_database(owning: Guarded) -> None:
    pipeline = owning.client.pipeline().copy(OWN, f"{OWN}2", destination_db=5)
    owning.refuses(pipeline.expire(f"{OWN}2", 10).execute, "another database")


def test_a_key_is_own_in_its_own_database_only(server: ServerProcess) -> None:
    guard = PowerGuard(Power.OWN, Journal(), owns=owns)
    elsewhere = connect(server.endpoint, DATABASE + 1, policy=guard)
    with pytest.raises(PowerRefusedError, match="not of this run"):
        elsewhere.set(OWN, "v", ex=10)
    elsewhere.close()


def test_one_foreign_write_keeps_the_whole_pipeline_back(owning: Guarded) -> None:
    pipeline = owning.client.pipeline().set(OWN, "v", ex=10).set(FOREIGN, "v", ex=10)
    owning.refuses(pipeline.execute, "not of this run")
    assert owning.free.exists(OWN, FOREIGN) == 0


def test_own_uses_channels_of_its_tenants_only(owning: Guarded) -> None:
    assert owning.client.publish("ct-1-news", "x") == 0
    owning.refuses(lambda: owning.client.publish("news", "x"), "channel")
    owning.refuses(lambda: owning.client.pubsub().subscribe("news"), "channel")
    owning.refuses(lambda: owning.client.pubsub().psubscribe("*"), "channel")


@pytest.mark.parametrize(
    ("command", "least"),
    [
        (("SET", FOREIGN, "v"), Power.WHOLE),
        (("EVAL", "return 1", "0"), Power.WHOLE),
        (("ACL", "SETUSER", "somebody"), Power.WHOLE),
        (("CONFIG", "SET", "maxmemory-samples", "5"), Power.CONFIG),
        (("CONFIG", "RESETSTAT"), Power.CONFIG),
        (("REPLICAOF", "NO", "ONE"), Power.DESTROY),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_each_power_includes_the_ones_before_it(
    redis_binary: Path, command: tuple[str, ...], least: Power
) -> None:
    with ServerProcess(redis_binary) as server:
        for power in Power:
            client = connect(server.endpoint, policy=PowerGuard(power, Journal()))
            if power >= least:
                client.execute_command(*command)
            else:
                with pytest.raises(PowerRefusedError, match=power.label):
                    client.execute_command(*command)
            client.close()


def test_shutdown_needs_destroy(redis_binary: Path) -> None:
    with ServerProcess(redis_binary) as server:
        client = connect(server.endpoint, policy=PowerGuard(Power.CONFIG, Journal()))
        with pytest.raises(PowerRefusedError, match="destroy"):
            client.execute_command("SHUTDOWN", "NOSAVE")
        assert server.running
        client.close()


def test_the_journal_tells_what_was_done(owning: Guarded) -> None:
    mark = owning.journal.mark()
    owning.client.pipeline().hset(OWN, "f", "v").expire(OWN, 10).execute()
    owning.client.hgetall(OWN)
    owning.client.ttl(OWN)
    owning.client.set(f"{OWN}2", "v", ex=10)
    owning.client.delete(f"{OWN}2", f"{OWN}3")
    done = owning.journal.since(mark)
    assert done.by_name == {
        "MULTI": 1, "HSET": 1, "EXPIRE": 1, "EXEC": 1, "HGETALL": 1, "TTL": 1, "SET": 1, "DEL": 1,
    }  # fmt: skip
    assert (done.commands, done.reads, done.values_read) == (8, 2, 1)
    assert (done.keys_written, done.keys_removed, done.keys_left) == (2, 1, 1)
    assert owning.journal.left() == ((DATABASE, OWN.encode()),)


def test_a_bulk_read_is_counted_key_by_key(observing: Guarded) -> None:
    template = KeyTemplate((b"TYPE", None), (b"HGETALL", None))
    with bulk(observing.client) as connection:
        connection.exchange_keys(template, [b"a", b"b", b"c"])
    done = observing.journal.total()
    assert done.by_name == {"TYPE": 3, "HGETALL": 3}
    assert (done.commands, done.reads, done.values_read) == (6, 6, 3)


def test_foreign_writes_of_a_higher_power_are_counted(server: ServerProcess) -> None:
    journal = Journal()
    client = connect(server.endpoint, DATABASE, policy=PowerGuard(Power.WHOLE, journal, owns=owns))
    client.mset({OWN: "v", FOREIGN: "v", f"{FOREIGN}2": "v"})
    client.delete(FOREIGN, OWN, f"{FOREIGN}2")
    assert journal.total().foreign_keys_written == 4
    assert journal.total().keys_written == journal.total().keys_removed == 1
    client.close()


def test_the_table_agrees_with_the_server_about_reads_and_writes(server: ServerProcess) -> None:
    """No command that the server flags as a write passes for a read in the table."""
    client = connect(server.endpoint)
    with bulk(client) as connection:
        known = connection.exchange([(b"COMMAND",)])[0]
    client.close()
    assert isinstance(known, list)
    for entry in known:
        assert isinstance(entry, list)
        name, flags = entry[0], entry[2]
        assert isinstance(name, bytes)
        assert isinstance(flags, list)
        rule = rule_for((name,))
        if rule is not None and b"write" in flags:
            assert rule.effect in WRITES, name
        if rule is not None and b"readonly" in flags:
            assert rule.effect not in WRITES or name == b"touch", name


def test_the_table_agrees_with_the_server_about_keys(server: ServerProcess) -> None:
    """COMMAND GETKEYS finds no key that the table does not see."""
    client = connect(server.endpoint)
    samples = {
        "GET k": [b"k"],
        "HSET k f v": [b"k"],
        "MSET k v l w": [b"k", b"l"],
        "DEL k l m": [b"k", b"l", b"m"],
        "RENAME k l": [b"k", b"l"],
        "LMOVE k l LEFT LEFT": [b"k", b"l"],
        "BITOP AND k l m": [b"k", b"l", b"m"],
        "ZUNIONSTORE k 2 l m": [b"k", b"l", b"m"],
        "SUNIONSTORE k l m": [b"k", b"l", b"m"],
        "BLPOP k l 1": [b"k", b"l"],
        "OBJECT ENCODING k": [b"k"],
        "MEMORY USAGE k": [b"k"],
        "SINTERCARD 2 k l": [b"k", b"l"],
        "XADD k * f v": [b"k"],
    }
    for text, keys in samples.items():
        command = text.encode().split()
        rule = rule_for(command)
        assert rule is not None
        assert rule.keys(command) == keys
        with bulk(client) as connection:
            assert connection.exchange([(b"COMMAND", b"GETKEYS", *command)]) == [keys]
    client.close()


def limited(longest: int | None) -> PowerGuard:
    return PowerGuard(Power.OWN, Journal(), owns=owns, longest_seconds=longest)


# The names of the numbers, not the numbers: workers that start a second apart collect the same.
LIFETIMES = [
    f"EXPIRE {OWN} SECONDS",
    f"expire {OWN} SECONDS NX",
    f"PEXPIRE {OWN} MILLISECONDS",
    f"EXPIREAT {OWN} MOMENT",
    f"PEXPIREAT {OWN} MOMENT_MS",
    f"SET {OWN} v EX SECONDS",
    f"SET {OWN} v NX px MILLISECONDS",
    f"SET {OWN} v EXAT MOMENT",
    f"SET {OWN} v PXAT MOMENT_MS",
    f"SETEX {OWN} SECONDS v",
    f"PSETEX {OWN} MILLISECONDS v",
    f"GETEX {OWN} EX SECONDS",
    f"GETEX {OWN} PXAT MOMENT_MS",
]


def lasting(command: str, seconds: int) -> tuple[bytes, ...]:
    """Return the command with so many seconds from now in place of the names of numbers."""
    until = int(time.time()) + seconds
    numbers = {
        "SECONDS": seconds,
        "MILLISECONDS": seconds * 1000,
        "MOMENT": until,
        "MOMENT_MS": until * 1000,
    }
    return tuple(str(numbers.get(word, word)).encode() for word in command.split())


@pytest.mark.parametrize("command", LIFETIMES)
def test_own_gives_no_key_a_longer_life_than_the_limit(command: str) -> None:
    """A key that a killed run leaves must be gone soon, not in thirty years."""
    words = lasting(command, 1_000_000_000)
    with pytest.raises(PowerRefusedError, match="live longer than 3600 s"):
        limited(3600).check(words, DATABASE)
    limited(None).check(words, DATABASE)


@pytest.mark.parametrize("command", LIFETIMES)
def test_own_gives_a_key_as_long_a_life_as_the_limit(command: str) -> None:
    limited(3600).check(lasting(command, 3600), DATABASE)


def test_a_value_that_reads_like_an_option_is_no_lifetime() -> None:
    limited(3600).check((b"SET", OWN.encode(), b"EX", b"EX", b"60"), DATABASE)
