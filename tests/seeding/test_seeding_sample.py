# SPDX-License-Identifier: Apache-2.0
"""The sample on real servers, against a witness that the specification's own commands made."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from kryonix_cache.reference_impl.seeding import SamplePlan, SeedReport, seed_sample, unseed_sample
from kryonix_cache.reference_impl.seeding.errors import ForeignKeyError
from tests.seeding.observed import observe, values

if TYPE_CHECKING:
    from kryonix_cache.reference_impl.connection import Pools

WITNESS = Path(__file__).parent.parent / "data" / "source-sample.json"
AT = datetime(2025, 3, 1, 12, 30, tzinfo=UTC)
TIMELINE = (3, "perf:timeline:tenant:clinica_saude")
CONFIG = (7, "config:tenant:clinica_saude")


def masked(name: str, value: Any) -> Any:
    if name.startswith("system:database_info:"):
        return [[field, "PRESENT" if field == "created_at" else text] for field, text in value]
    if name.startswith("perf:timeline:"):
        return [[member, "PRESENT"] for member, _ in value]
    return value


def digest(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def foreign_state(pools: Pools, database: int) -> list[Any]:
    names = ("somebody:else", b"\xff\xfe binary")
    client = pools[database]
    return [state for name in names for state in (client.dump(name), client.pexpiretime(name))]


def test_the_sample_is_what_the_specification_s_own_commands_write(pools: Pools) -> None:
    """Same 58 keys and no other, same types, values and times to live (E07 corrected)."""
    seed_sample(pools)
    found = observe(pools)

    expected = {
        (row["database"], row["key"]): (row["type"], row["ttl"], row["sha256"])
        for row in json.loads(WITNESS.read_text(encoding="utf-8"))["keys"]
    }
    assert len(expected) == 58
    assert {
        (database, name): (
            key.type,
            None if key.ttl is None else -int(-key.ttl // 1),
            digest(masked(name, key.value)),
        )
        for (database, name), key in found.items()
    } == expected


def test_the_moment_of_seeding_stands_in_seven_keys_and_nowhere_else(pools: Pools) -> None:
    seed_sample(pools, AT)
    found = observe(pools)

    assert found[TIMELINE].value == [["cache_hit:92.1", AT.timestamp()]]
    for database in range(12, 16):
        fields = dict(found[database, f"system:database_info:{database}"].value)
        assert fields["created_at"] == "2025-03-01T12:30:00+00:00"
    assert sum("2025-03-01T12:30" in str(key.value) for key in found.values()) == 4


def test_seeding_twice_gives_what_seeding_once_gives(pools: Pools) -> None:
    assert seed_sample(pools, AT) == SeedReport(planned=58, written=58, kept=0)
    once = values(pools)

    assert seed_sample(pools) == SeedReport(planned=58, written=0, kept=58)
    assert values(pools) == once


def test_a_second_moment_replaces_the_first_when_it_is_asked_for(pools: Pools) -> None:
    seed_sample(pools)

    assert seed_sample(pools, AT).written == 7
    assert observe(pools)[TIMELINE].value == [["cache_hit:92.1", AT.timestamp()]]
    assert seed_sample(pools, AT).written == 0


def test_seeding_again_restores_full_times_to_live_and_expired_keys(pools: Pools) -> None:
    seed_sample(pools)
    pools[0].expire("tenant:cliente_exemplo:mobile:session:sess_123", 5)
    pools[0].unlink("tenant:cliente_exemplo:sdk:session:sdk_789")
    pools[7].expire(CONFIG[1], 500)
    seed_sample(pools)
    found = observe(pools)

    assert len(found) == 58
    session = found[0, "tenant:cliente_exemplo:mobile:session:sess_123"]
    assert session.ttl == pytest.approx(1800, abs=5)
    assert found[CONFIG].ttl is None


def test_a_key_with_another_value_refuses_the_whole_before_the_first_write(pools: Pools) -> None:
    pools[7].hset(CONFIG[1], "timezone", "Europe/Lisbon")
    before = observe(pools)

    with pytest.raises(ForeignKeyError, match="nothing was written: db 7 'config:tenant:clinica"):
        seed_sample(pools)
    assert observe(pools) == before


@pytest.mark.parametrize(
    "place",
    [(15, "system:database_info:15"), (2, "queue:tenant:clinica_saude:notifications"), TIMELINE],
)
def test_a_key_of_another_type_is_refused_whichever_its_family(
    redis_pools: Pools, place: tuple[int, str]
) -> None:
    redis_pools[place[0]].set(place[1], "mine")

    with pytest.raises(ForeignKeyError, match=f"db {place[0]} '{place[1]}'"):
        seed_sample(redis_pools)
    assert list(observe(redis_pools)) == [place]


@pytest.mark.parametrize("kind", ["string", "list", "set", "zset", "stream", "hyperloglog"])
def test_no_foreign_type_in_the_place_of_a_hash_stops_the_refusal(
    redis_pools: Pools, kind: str
) -> None:
    client = redis_pools[3]
    {
        "string": lambda: client.set("metrics:system", b"\xff\x00"),
        "list": lambda: client.rpush("metrics:system", *range(1000)),
        "set": lambda: client.sadd("metrics:system", "a"),
        "zset": lambda: client.zadd("metrics:system", {"a": 1}),
        "stream": lambda: client.xadd("metrics:system", {"a": "b"}),
        "hyperloglog": lambda: client.pfadd("metrics:system", "a"),
    }[kind]()

    with pytest.raises(ForeignKeyError, match="db 3 'metrics:system'"):
        seed_sample(redis_pools)


def test_a_list_that_grew_is_somebody_else_s_now(redis_pools: Pools) -> None:
    seed_sample(redis_pools)
    redis_pools[2].lpush("queue:system:auto_client_creation", "{}")

    with pytest.raises(ForeignKeyError, match="queue:system:auto_client_creation"):
        seed_sample(redis_pools)


def test_foreign_keys_keep_value_and_time_to_live(pools: Pools) -> None:
    """Seeding and unseeding touch no key beside the sample's own, in any database."""
    for database in range(16):
        pools[database].set("somebody:else", database, px=500_000_000)
        pools[database].rpush(b"\xff\xfe binary", "a", "b")
    before = [foreign_state(pools, database) for database in range(16)]

    seed_sample(pools)
    assert [pools[database].dbsize() for database in range(16)] == [
        size + 2 for _, size in sorted(SamplePlan().sizes.items())
    ]
    unseed_sample(pools)

    assert [foreign_state(pools, database) for database in range(16)] == before
    assert all(pools[database].dbsize() == 2 for database in range(16))


def test_unseed_removes_the_whole_sample_whatever_its_moment(pools: Pools) -> None:
    seed_sample(pools, AT)
    report = unseed_sample(pools)

    assert (report.planned, report.removed, report.missing, report.changed) == (58, 58, 0, ())
    assert observe(pools) == {}


def test_unseed_keeps_and_names_what_was_changed_since(pools: Pools) -> None:
    seed_sample(pools)
    pools[7].hset(CONFIG[1], "currency", "EUR")
    pools[9].unlink("websocket:events:performance")
    report = unseed_sample(pools)

    assert report.changed == ((7, CONFIG[1].encode()),)
    assert (report.removed, report.missing) == (56, 1)
    assert list(observe(pools)) == [CONFIG]


def test_unseed_on_a_server_that_was_never_seeded_removes_nothing(pools: Pools) -> None:
    pools[0].set("template:other", "x")
    assert unseed_sample(pools).missing == 58
    assert pools[0].get("template:other") == b"x"


def test_a_moment_without_an_offset_is_refused() -> None:
    with pytest.raises(ValueError, match="offset"):
        SamplePlan(datetime(2025, 1, 1))  # noqa: DTZ001 (the fault)
