# SPDX-License-Identifier: Apache-2.0
"""Servers with clean data, on which each test plants one fault and takes it back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from kryonix_cache.reference_impl.connection import Pools
from kryonix_cache.reference_impl.contract import default_contract
from kryonix_cache.reference_impl.seeding import Seeder, SyntheticPlan
from tests.judging.faults import TENANTS
from tests.seeding.servers import new_server

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session", params=["redis", "valkey"])
def clean_pools(request: pytest.FixtureRequest) -> Iterator[Pools]:
    """Give clients of a server that holds synthetic tenants, which are clean."""
    with new_server(request.param) as server, Pools(server.endpoint) as pools:
        Seeder(pools).seed(SyntheticPlan(default_contract(), TENANTS, 1))
        yield pools


@pytest.fixture
def empty_pools() -> Iterator[Pools]:
    with new_server() as server, Pools(server.endpoint) as pools:
        yield pools
