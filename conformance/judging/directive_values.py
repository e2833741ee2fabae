# SPDX-License-Identifier: Apache-2.0
"""Values of directives in one form, so that `16gb` and `17179869184` are the same."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from kryonix_cache.reference_impl.contract import Directive

NormalForm: TypeAlias = int | str | frozenset[tuple[int, int]]

_BYTES = re.compile(r"([0-9]+)(b|kb?|mb?|gb?)?")
# As the server reads them: `16g` is smaller than `16gb`.
_FACTORS = {
    "b": 1,
    "k": 1000,
    "kb": 1 << 10,
    "m": 1000**2,
    "mb": 1 << 20,
    "g": 1000**3,
    "gb": 1 << 30,
}
_OFF = {"maxmemory": "no limit", "timeout": "never", "tcp-keepalive": "off"}


def normal_form(unit: str, text: str) -> NormalForm:
    """Return the value in one form; the text itself, in lower case, where it fits no unit."""
    text = text.strip().lower()
    if unit == "bytes" and (match := _BYTES.fullmatch(text)):
        return int(match[1]) * _FACTORS[match[2] or "b"]
    if unit in {"count", "seconds"} and re.fullmatch(r"-?[0-9]+", text):
        return int(text)
    if unit == "snapshots":
        numbers = text.split()
        if len(numbers) % 2 == 0 and all(number.isdigit() for number in numbers):
            values = [int(number) for number in numbers]
            return frozenset(zip(values[0::2], values[1::2], strict=True))
    return text


def in_words(directive: Directive, text: str) -> str:
    """Return a value for a reader: `0 (no limit)`, `17179869184 (16 GiB)`, `300 s`."""
    value = normal_form(directive.unit, text)
    if value == 0 and directive.name in _OFF:
        return f"0 ({_OFF[directive.name]})"
    if value == frozenset():
        return "no snapshots"
    if directive.unit == "bytes" and isinstance(value, int):
        return f"{value} ({size_words(value)})" if value >= _FACTORS["kb"] else f"{value} bytes"
    if directive.unit == "seconds" and isinstance(value, int):
        return f"{value} s"
    return text


def size_words(size: int) -> str:
    """Return a number of bytes with the largest unit that keeps it above one."""
    amount = float(size)
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if amount < _FACTORS["kb"] or unit == "GiB":
            return f"{amount:.10g} {unit}" if amount == int(amount) else f"{amount:.1f} {unit}"
        amount /= _FACTORS["kb"]
    return f"{size} bytes"
