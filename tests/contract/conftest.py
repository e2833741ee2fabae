# SPDX-License-Identifier: Apache-2.0
"""Real servers for the tests of this folder."""

from tests.targets.servers import binary, redis_binary, valkey_binary

__all__ = ["binary", "redis_binary", "valkey_binary"]
