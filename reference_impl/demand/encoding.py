# SPDX-License-Identifier: Apache-2.0
"""
The history as it is stored: a JSON object whose items are packed rows of hourly counts.

A row is whole numbers of one, two or four bytes each, the smallest that hold them, behind a byte
that says how many; compressed by zlib and written in base64, because the value is JSON. Hours
without reads, which most are, cost next to nothing.
"""

from __future__ import annotations

import base64
import binascii
import json
import zlib
from typing import TYPE_CHECKING, cast

import numpy as np

from kryonix_cache.reference_impl.contract.formats import FORMATS
from kryonix_cache.reference_impl.demand import items
from kryonix_cache.reference_impl.demand.errors import UnreadableHistoryError
from kryonix_cache.reference_impl.errors import FormatError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from numpy.typing import NDArray

    from kryonix_cache.reference_impl.demand.series import Demand

_WIDTHS: Mapping[int, np.dtype[np.unsignedinteger]] = {
    size: np.dtype(f"<u{size}") for size in (1, 2, 4)
}
_LARGEST = 2**32 - 1
# Far above what is ever written, far below what would fill the memory.
_MOST_HOURS = 24 * 400
_MOST_ITEMS = 4096
_MOST_BYTES = 16 << 20


def encode(tenant: str, demand: Demand, folded_until: datetime) -> bytes:
    """Return the history of a tenant as it is stored; counts are rounded to whole numbers."""
    document = {
        "tenant_id": tenant,
        "first_hour": items.moment_of(demand.first_hour).isoformat(),
        "folded_until": folded_until.isoformat(),
        "items": {
            item: _pack(counts) for item, counts in zip(demand.items, demand.counts, strict=True)
        },
    }
    return json.dumps(document, separators=(",", ":")).encode()


def decode(
    text: bytes, tenant: str, names: Callable[[str], bool]
) -> tuple[int, dict[str, NDArray[np.float64]]]:
    """Return the first hour of a stored history, and the counts from there on by item.

    `names` says what is the name of an item. Raises UnreadableHistoryError.
    """
    document = _object(text)
    if document.get("tenant_id") != tenant:
        raise UnreadableHistoryError("it names another tenant")
    first_hour = items.hour_of(_time(document, "first_hour"))
    _time(document, "folded_until")
    packed = document.get("items")
    if not isinstance(packed, dict) or len(packed) > _MOST_ITEMS:
        raise UnreadableHistoryError(f"its items are no object of at most {_MOST_ITEMS} members")
    rows: dict[str, NDArray[np.float64]] = {}
    taken = 0
    for item, row in packed.items():
        rows[_named(item, names)] = unpacked = _unpack(row)
        taken += unpacked.nbytes
        if taken > _MOST_BYTES:
            raise UnreadableHistoryError(f"its counts take more than {_MOST_BYTES} bytes")
    return first_hour, rows


def _object(text: bytes) -> dict[str, object]:
    try:
        return cast("dict[str, object]", FORMATS["json-object"].parse(text.decode()))
    except (FormatError, UnicodeDecodeError):
        raise UnreadableHistoryError("it is no JSON object") from None


def _time(document: Mapping[str, object], field: str) -> datetime:
    try:
        return cast("datetime", FORMATS["time"].parse(str(document.get(field))))
    except FormatError as error:
        raise UnreadableHistoryError(f"its {field} is not {error.wanted}") from None


def _named(item: str, names: Callable[[str], bool]) -> str:
    if not names(item):
        raise UnreadableHistoryError("one of its items has no name of the contract")
    return item


def _pack(counts: NDArray[np.float64]) -> str:
    whole = np.clip(np.rint(counts), 0, _LARGEST).astype(np.int64)
    largest = int(whole.max(initial=0))
    size = next(size for size in _WIDTHS if largest < 1 << 8 * size)
    raw = bytes([size]) + whole.astype(_WIDTHS[size]).tobytes()
    return base64.b64encode(zlib.compress(raw, 9)).decode()


def _unpack(row: object) -> NDArray[np.float64]:
    largest = 1 + 4 * _MOST_HOURS
    machine = zlib.decompressobj()
    try:
        packed = base64.b64decode(cast("str", row), validate=True)
        # No more than may be: a row of a few bytes may hold a memory full of zeros.
        raw = machine.decompress(packed, largest)
        counts = np.frombuffer(raw[1:], _WIDTHS[raw[0]]).astype(np.float64)
    except (TypeError, ValueError, KeyError, IndexError, zlib.error, binascii.Error):
        raise UnreadableHistoryError("one of its items holds no counts") from None
    if not machine.eof:
        raise UnreadableHistoryError(f"one of its items holds over {_MOST_HOURS} hours")
    return counts
