# SPDX-License-Identifier: Apache-2.0
"""Keys of tenants as an application would write them."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from kryonix_cache.reference_impl.contract import default_contract

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kryonix_cache.reference_impl.connection import Pools

CONTRACT = default_contract()
AT = datetime(2025, 1, 27, 10, 0, tzinfo=UTC)


def put_answer(
    pools: Pools,
    tenant: str,
    item: str,
    *,
    ttl: int | None = 600,
    age: float = 60,
    at: datetime = AT,
    data: object = None,
) -> bytes:
    """Write a cached answer `module.endpoint` that is `age` seconds old at the moment `at`."""
    module, _, endpoint = item.partition(".")
    key = CONTRACT.key("api-cache", tenant=tenant, module=module, endpoint=endpoint)
    envelope = {
        "tenant_id": tenant,
        "module": module,
        "cached_at": (at - timedelta(seconds=age)).isoformat(),
        "data": {"of": item} if data is None else data,
    }
    pools[1].set(key, json.dumps(envelope), ex=ttl)
    return key


def put_session(pools: Pools, tenant: str, session: str, fields: Mapping[str, str]) -> bytes:
    """Write a mobile session with the fields."""
    key = CONTRACT.key("mobile-session", tenant=tenant, session=session)
    pools[0].hset(key, mapping=dict(fields))
    pools[0].expire(key, 1800)
    return key


def put_connection(pools: Pools, tenant: str, connection: str, fields: Mapping[str, str]) -> bytes:
    """Register an open connection with the fields."""
    key = CONTRACT.key("websocket-connection", tenant=tenant, connection=connection)
    pools[11].hset(key, mapping=dict(fields))
    return key


def put_metrics(pools: Pools, tenant: str, **fields: str) -> bytes:
    """Write figures of the day."""
    key = CONTRACT.key("tenant-metrics", tenant=tenant)
    pools[3].hset(key, mapping=dict(fields))
    return key


def put_settings(pools: Pools, tenant: str, **fields: str) -> bytes:
    """Write settings."""
    key = CONTRACT.key("tenant-config", tenant=tenant)
    pools[7].hset(key, mapping=dict(fields))
    return key
