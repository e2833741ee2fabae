# SPDX-License-Identifier: Apache-2.0
"""A real server for the tests of this folder."""

from tests.targets.servers import redis_binary

__all__ = ["redis_binary"]
