# SPDX-License-Identifier: Apache-2.0
"""A user of its own on the server for each tenant, derived from the contract (ACL)."""

from kryonix_cache.reference_impl.access.dialect import DIALECTS, Dialect, read_dialect
from kryonix_cache.reference_impl.access.rules import (
    Rules,
    UserPlan,
    Vocabulary,
    is_tenants_user,
    plan_user,
)
from kryonix_cache.reference_impl.access.users import Login, TenantUsers

__all__ = [
    "DIALECTS",
    "Dialect",
    "Login",
    "Rules",
    "TenantUsers",
    "UserPlan",
    "Vocabulary",
    "is_tenants_user",
    "plan_user",
    "read_dialect",
]
