# SPDX-License-Identifier: Apache-2.0
"""One server of each product for the tests of the tenant handle; each test has its own tenants."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest

from kryonix_cache.reference_impl.contract import default_contract
from kryonix_cache.reference_impl.tenant import TenantCache, TenantCaches
from tests.targets.servers import binary, pools, redis_binary, server

if TYPE_CHECKING:
    from kryonix_cache.reference_impl.connection import Pools

__all__ = ["binary", "pools", "redis_binary", "server"]

_NUMBERS = itertools.count()


@pytest.fixture
def tenant_id() -> str:
    """Return an id that no other test of this process uses."""
    return f"acme{next(_NUMBERS)}"


@pytest.fixture
def cache(pools: Pools, tenant_id: str) -> TenantCache:
    return TenantCaches(default_contract(), pools).open(tenant_id)
