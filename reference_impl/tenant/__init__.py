# SPDX-License-Identifier: Apache-2.0
"""The reference tenant handle, blocking and for asyncio."""

from kryonix_cache.reference_impl.tenant.async_cache import AsyncTenantCache, AsyncTenantCaches
from kryonix_cache.reference_impl.tenant.cache import TenantCache, TenantCaches
from kryonix_cache.reference_impl.tenant.families import serves

__all__ = [
    "AsyncTenantCache",
    "AsyncTenantCaches",
    "TenantCache",
    "TenantCaches",
    "serves",
]
