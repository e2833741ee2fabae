# SPDX-License-Identifier: Apache-2.0
"""One server of each program at hand, whose default user is off; each test has its own tenants."""

from __future__ import annotations

import itertools
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from kryonix_cache.fixtures.targets.server import ServerProcess
from kryonix_cache.reference_impl.access import TenantUsers
from kryonix_cache.reference_impl.connection import Pools
from kryonix_cache.reference_impl.contract import default_contract
from tests.targets.servers import redis_binary
from tests.versions.conftest import IN_OWN_ENVIRONMENT, NAMED, PACKAGED, program_of

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["redis_binary"]

# The package has an environment of its own; elsewhere each of its tests would be a skip.
_RARE = [*([PACKAGED] if find_spec(PACKAGED) else []), *NAMED]
# The environment `versions` adds them, and plays nothing again that `test` plays.
_ADDS = IN_OWN_ENVIRONMENT and bool(_RARE)
_NUMBERS = itertools.count()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the tests of this folder that are the same for every server."""
    if not _ADDS:
        return
    here = Path(__file__).parent
    same = [
        item
        for item in items
        if isinstance(item, pytest.Function)
        and here in item.path.parents
        and "program" not in item.fixturenames
    ]
    config.hook.pytest_deselected(items=same)
    items[:] = [item for item in items if item not in same]


@pytest.fixture(scope="session", params=_RARE if _ADDS else ["installed", "embedded", *_RARE])
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
