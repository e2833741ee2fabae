# SPDX-License-Identifier: Apache-2.0
"""Disposable servers for the tests of seeding."""

from __future__ import annotations

from tests.seeding.servers import pools, redis_pools, redis_server, server

__all__ = ["pools", "redis_pools", "redis_server", "server"]
