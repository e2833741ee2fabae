# SPDX-License-Identifier: Apache-2.0
"""`seed` and `unseed` write the families of the contract and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from kryonix_cache.fixtures.declared_writes import DeclaredWrites
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
