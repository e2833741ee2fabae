# SPDX-License-Identifier: Apache-2.0
"""One server of each program at hand, whose default user is off; each test has its own tenants."""

from __future__ import annotations

import itertools
from importlib.util import find_spec
from typing import TYPE_CHECKING

import pytest

from kryonix_cache.fixtures.targets.server import ServerProcess
from kryonix_cache.reference_impl.access import TenantUsers
from kryonix_cache.reference_impl.connection import Pools
from kryonix_cache.reference_impl.contract import default_contract
from tests.targets.servers import redis_binary
from tests.versions.conftest import NAMED, PACKAGED, program_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["redis_binary"]

# The package has an environment of its own; elsewhere each of its tests would be a skip.
_PACKAGED = [PACKAGED] if find_spec(PACKAGED) else []
_NUMBERS = itertools.count()


@pytest.fixture(scope="session", params=["installed", "embedded", *_PACKAGED, *NAMED])
def program(request: pytest.FixtureRequest) -> Path:
    return program_of(request.param)


@pytest.fixture(scope="session")
def server(program: Path) -> Iterator[ServerProcess]:
    with ServerProcess(program) as running:
        yield running


@pytest.fixture
def pools(server: ServerProcess) -> Iterator[Pools]:
    with Pools(server.endpoint) as clients:
        yield clients


@pytest.fixture
def users(pools: Pools) -> TenantUsers:
    return TenantUsers(default_contract(), pools)


@pytest.fixture
def tenant(users: TenantUsers) -> Iterator[str]:
    """Return an id that no other test of this process uses; its user is removed afterwards."""
    name = f"acme{next(_NUMBERS)}"
    yield name
    users.revoke(name)
