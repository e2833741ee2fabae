# SPDX-License-Identifier: Apache-2.0
"""One server of each product for the tests of demand; each test has its own tenants."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest

from kryonix_cache.reference_impl.connection import Pools
from tests.targets.servers import binary, redis_binary, server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kryonix_cache.fixtures.targets.server import ServerProcess

__all__ = ["binary", "redis_binary", "server"]

_NUMBERS = itertools.count()


@pytest.fixture
def pools(server: ServerProcess) -> Iterator[Pools]:
    with Pools(server.endpoint) as clients:
        yield clients


@pytest.fixture
def tenant() -> str:
    """Return an id that no other test of this process uses."""
    return f"acme{next(_NUMBERS)}"
