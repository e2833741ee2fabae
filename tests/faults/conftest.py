# SPDX-License-Identifier: Apache-2.0
"""Real servers for the tests of this folder."""

from tests.targets.servers import redis_binary, valkey_binary

__all__ = ["redis_binary", "valkey_binary"]
