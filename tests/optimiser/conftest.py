# SPDX-License-Identifier: Apache-2.0
"""Servers for the tests of the optimiser."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from kryonix_cache.reference_impl.connection import Pools
from tests.seeding.servers import new_server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kryonix_cache.fixtures.targets.server import ServerProcess


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
