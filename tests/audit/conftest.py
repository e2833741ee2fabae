# SPDX-License-Identifier: Apache-2.0
"""Servers for the tests of the scan and of the command `audit`."""

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
    """Start an empty server that lets everybody in and has DEBUG."""
    with new_server(request.param, **{"enable-debug-command": "yes"}) as process:
        yield process


@pytest.fixture
def pools(server: ServerProcess) -> Iterator[Pools]:
    with Pools(server.endpoint) as clients:
        yield clients
