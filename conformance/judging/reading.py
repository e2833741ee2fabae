# SPDX-License-Identifier: Apache-2.0
"""Reading values in bulk, by type, in pipelines that are bounded by count and by bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias, cast

import redis

from kryonix_cache.reference_impl.bulk import KeyTemplate
from kryonix_cache.reference_impl.errors import ReadDeniedError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from kryonix_cache.conformance.judging.tally import KeyAt
    from kryonix_cache.reference_impl.bulk import Reply
    from kryonix_cache.reference_impl.connection import GuardedConnection

Value: TypeAlias = bytes | dict[bytes, bytes] | list[bytes]
"""A string, the fields of a hash, or the elements of a list, set or sorted set."""

_READS: Mapping[str, tuple[bytes | None, ...]] = {
    "string": (b"GET", None),
    "hash": (b"HGETALL", None),
    "list": (b"LRANGE", None, b"0", b"-1"),
    "set": (b"SMEMBERS", None),
    "zset": (b"ZRANGE", None, b"0", b"-1"),
}
_TEMPLATES = {kind: KeyTemplate(command) for kind, command in _READS.items()}

READ_KEYS = 50
"""Values asked in one go; a value has at most the contract's limit for big keys."""


def read_values(reader: GuardedConnection, keys: Sequence[KeyAt]) -> Iterator[tuple[KeyAt, Value]]:
    """Yield the value of each key that is still there with its family's type.

    Raises:
        ReadDeniedError: this user may not read values of one of the types.

    """
    for kind, template in _TEMPLATES.items():
        of_kind = [key for key in keys if key.family.type == kind]
        for start in range(0, len(of_kind), READ_KEYS):
            part = of_kind[start : start + READ_KEYS]
            reader.send_keys(template, [key.name for key in part])
            for key, reply in zip(part, reader.read_replies(len(part)), strict=True):
                value = _value(kind, reply)
                # Empty: the key vanished, or became another type, since it was scanned.
                if value is not None:
                    yield key, value


def _value(kind: str, reply: Reply) -> Value | None:
    if isinstance(reply, redis.ResponseError):
        if str(reply).startswith("NOPERM"):
            raise ReadDeniedError((_READS[kind][0] or b"").decode(), str(reply))
        return None
    if kind == "string":
        return cast("bytes | None", reply)
    elements = cast("list[bytes]", reply or [])
    if kind == "hash" and elements:
        return dict(zip(elements[0::2], elements[1::2], strict=True))
    return elements or None
