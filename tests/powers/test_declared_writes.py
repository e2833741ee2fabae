# SPDX-License-Identifier: Apache-2.0
"""The operator's own commands write the families that they declare, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from kryonix_cache.fixtures.declared_writes import OPTIMISING, DeclaredWrites
from kryonix_cache.fixtures.errors import PowerRefusedError
from kryonix_cache.reference_impl.connection import Pools
from kryonix_cache.reference_impl.contract import default_contract
from kryonix_cache.reference_impl.seeding import Seeder, SyntheticPlan, seed_sample, unseed_sample
from tests.seeding.servers import new_server

if TYPE_CHECKING:
    from collections.abc import Iterator

CONTRACT = default_contract()


@pytest.fixture
def pools() -> Iterator[Pools]:
    with (
        new_server() as server,
        Pools(server.endpoint, policy=DeclaredWrites(CONTRACT)) as clients,
    ):
        yield clients


def test_seeding_and_taking_back_need_nothing_more(pools: Pools) -> None:
    plan = SyntheticPlan(CONTRACT, ["a", "b"], 1)
    assert Seeder(pools).seed(plan).written == sum(plan.sizes.values())
    assert Seeder(pools).unseed(plan).removed == sum(plan.sizes.values())
    assert seed_sample(pools).written == unseed_sample(pools).removed == 58


@pytest.mark.parametrize(
    "command",
    [
        ("SET", "nobodys:key", "v"),
        ("UNLINK", "ai:sector_templates:default", "nobodys:key"),
        ("EXPIRE", "nobodys:key", "1"),
        ("DEL", "nobodys:key"),
        ("CONFIG", "SET", "maxmemory", "1"),
        ("EVAL", "return 1", "0"),
    ],
    ids=" ".join,
)
def test_everything_else_is_refused_before_it_is_sent(
    pools: Pools, command: tuple[str, ...]
) -> None:
    with pytest.raises(PowerRefusedError, match="power seed"):
        pools[1].execute_command(*command)


@pytest.fixture
def optimising() -> Iterator[Pools]:
    with (
        new_server() as server,
        Pools(server.endpoint, policy=DeclaredWrites(CONTRACT, OPTIMISING)) as clients,
    ):
        yield clients


@pytest.mark.parametrize(
    ("database", "command"),
    [
        (1, ("SET", "tenant:acme:api:crm:users", "made up", "EX", "60")),
        (1, ("UNLINK", "tenant:acme:api:crm:users")),
        (1, ("PERSIST", "tenant:acme:api:crm:users")),
        (1, ("EXPIRE", "tenant:acme:sdk:config", "60")),
        (1, ("SET", "preload:tenant:acme:crm.users", "in a wrong database")),
        (0, ("EXPIRE", "tenant:acme:mobile:session:s1", "60")),
        (3, ("HSET", "metrics:tenant:acme", "cache_hit_rate", "99")),
        (7, ("HSET", "config:tenant:acme", "timezone", "UTC")),
        (10, ("UNLINK", "preload:tenant:acme:crm.users", "nobodys:key")),
        (4, ("EVAL", "return 1", "0")),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_optimising_touches_no_value_that_is_not_its_own(
    optimising: Pools, database: int, command: tuple[str, ...]
) -> None:
    with pytest.raises(PowerRefusedError, match="power optimise"):
        optimising[database].execute_command(*command)


@pytest.mark.parametrize(
    ("database", "command"),
    [
        (1, ("PEXPIRE", "tenant:acme:api:crm:users", "60000")),
        (1, ("ZADD", "ai:sightings:tenant:acme", "1", "x")),
        (10, ("SET", "preload:tenant:acme:crm.users", "{}", "EX", "60")),
        (10, ("RPUSH", "ai:trail:tenant:acme", "{}")),
        (4, ("HSET", "ai:patterns:tenant:acme", "last_analysis", "x")),
        (4, ("DEL", "ai:optimiser:lock")),
        (3, ("HMGET", "metrics:tenant:acme", "cache_hit_rate")),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_optimising_may_write_what_it_declares(
    optimising: Pools, database: int, command: tuple[str, ...]
) -> None:
    optimising[database].execute_command(*command)
