# SPDX-License-Identifier: Apache-2.0
"""The limits up to which values have a compact encoding, and how to write a value of a size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    import redis


@dataclass(frozen=True, slots=True)
class Limit:
    """One directive, the family that a value of its type is written to, and that value."""

    directive: str
    family: str
    part: Mapping[str, str]

    def write(self, pipeline: redis.client.Pipeline, key: bytes, size: int) -> None:
        """Write a value of `size` in the sense of the directive."""
        match self.directive:
            case "hash-max-listpack-entries":
                pipeline.hset(key, mapping={str(n): "v" for n in range(size)})
            case "hash-max-listpack-value":
                pipeline.hset(key, mapping={"field": "v" * size})
            case "set-max-intset-entries":
                pipeline.sadd(key, *range(size))
            case "zset-max-listpack-entries":
                pipeline.zadd(key, {str(n): n for n in range(size)})
            case _:
                raise ValueError(self.directive)


LIMITS = (
    Limit("hash-max-listpack-entries", "module-config", {"module": "entries"}),
    Limit("hash-max-listpack-value", "module-config", {"module": "value"}),
    Limit("set-max-intset-entries", "websocket-channels", {}),
    Limit("zset-max-listpack-entries", "perf-timeline", {}),
)
