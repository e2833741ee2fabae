# SPDX-License-Identifier: Apache-2.0
"""Servers for the tests of the optimiser."""

from __future__ import annotations

import itertools
from importlib.util import find_spec
from typing import TYPE_CHECKING

import pytest

from kryonix_cache.fixtures.targets.configuration import ServerPlan
from kryonix_cache.fixtures.targets.server import ServerProcess
from kryonix_cache.reference_impl.connection import Pools
from kryonix_cache.reference_impl.contract import default_contract
from tests.seeding.servers import new_server
from tests.versions.conftest import NAMED, PACKAGED, program_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from kryonix_cache.reference_impl.contract.model import TenantId

# The package has an environment of its own; elsewhere each of its tests would be a skip.
_PACKAGED = [PACKAGED] if find_spec(PACKAGED) else []
_NUMBERS = itertools.count()


@pytest.fixture(params=["redis", "valkey"])
def server(request: pytest.FixtureRequest) -> Iterator[ServerProcess]:
    """Start an empty server, once of each product."""
    with new_server(request.param) as process:
        yield process


@pytest.fixture
def redis_server() -> Iterator[ServerProcess]:
    """Start an empty server of the product on PATH, for what no product does its own way."""
    with new_server() as process:
        yield process


@pytest.fixture
def pools(server: ServerProcess) -> Iterator[Pools]:
    with Pools(server.endpoint) as clients:
        yield clients


@pytest.fixture
def redis_pools(redis_server: ServerProcess) -> Iterator[Pools]:
    with Pools(redis_server.endpoint) as clients:
        yield clients


@pytest.fixture(scope="session", params=["installed", "embedded", *_PACKAGED, *NAMED])
def program(request: pytest.FixtureRequest) -> Path:
    return program_of(request.param)


@pytest.fixture(scope="session")
def standing_server(program: Path) -> Iterator[ServerProcess]:
    """Start a server of each program at hand; its tests have tenants of their own."""
    plan = ServerPlan(directives={"save": ""}, open_access=True)
    with ServerProcess(program, plan) as running:
        yield running


@pytest.fixture
def standing(standing_server: ServerProcess) -> Iterator[Pools]:
    with Pools(standing_server.endpoint) as clients:
        yield clients


@pytest.fixture
def tenant() -> TenantId:
    """Return an id that no other test of this process uses."""
    return default_contract().tenant.parse(f"acme{next(_NUMBERS)}")
