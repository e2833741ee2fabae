# SPDX-License-Identifier: Apache-2.0
"""A server of each product for the tests of what optimisers are judged with."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from kryonix_cache.reference_impl.connection import Pools
from tests.seeding.servers import new_server

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(params=["redis", "valkey"])
def pools(request: pytest.FixtureRequest) -> Iterator[Pools]:
    with new_server(request.param) as server, Pools(server.endpoint) as clients:
        yield clients
