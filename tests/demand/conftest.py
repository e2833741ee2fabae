# SPDX-License-Identifier: Apache-2.0
"""One server of each product for the tests of demand; each test has its own tenants."""

from __future__ import annotations

import itertools

import pytest

from tests.targets.servers import binary, pools, redis_binary, server

__all__ = ["binary", "pools", "redis_binary", "server"]

_NUMBERS = itertools.count()


@pytest.fixture
def tenant() -> str:
    """Return an id that no other test of this process uses."""
    return f"acme{next(_NUMBERS)}"
