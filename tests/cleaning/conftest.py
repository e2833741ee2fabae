# SPDX-License-Identifier: Apache-2.0
"""A server that a killed run left something on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.seeding.servers import new_server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kryonix_cache.fixtures.targets.server import ServerProcess


@pytest.fixture
def server() -> Iterator[ServerProcess]:
    with new_server() as process:
        yield process
