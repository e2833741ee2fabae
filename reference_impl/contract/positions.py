# SPDX-License-Identifier: Apache-2.0
"""
Where a value stands in a TOML text.

The standard library's parser keeps no positions, and a second parser of TOML could disagree
with it. So the parser itself is asked: a value stands in the statement that ends with the
first line up to which the text is valid and holds the value.
"""

from __future__ import annotations

import tomllib
from bisect import bisect_left
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence


def line_of(text: str, path: Sequence[str | int]) -> int:
    """
    Return the line (from 1) of the statement that brings the deepest existing step of `path`.

    `text` is a valid TOML document; a statement is a table header or a key with its value. A
    path without any existing step stands on line 1.
    """
    lines = [line + "\n" for line in text.split("\n")]
    whole = tomllib.loads(text)
    while path and not _holds(whole, path):
        path = path[:-1]
    if not path:
        return 1

    # Values are only ever added, so the lines that bring the path can be found by bisection.
    def is_there(end: int) -> bool:
        return _holds(_value(lines, _valid_end(lines, end)), path)

    last = bisect_left(range(len(lines)), x=True, key=is_there)
    return _valid_end(lines, last - 1) + 1


def _valid_end(lines: Sequence[str], end: int) -> int:
    """Return the last count of lines, at most `end`, that is a valid text."""
    while _value(lines, end) is None:
        end -= 1
    return end


def _value(lines: Sequence[str], end: int) -> object:
    try:
        return tomllib.loads("".join(lines[:end]))
    except tomllib.TOMLDecodeError:
        return None


def _holds(value: Any, path: Sequence[str | int]) -> bool:
    try:
        for step in path:
            value = value[step]
    except (KeyError, IndexError, TypeError):
        return False
    return True
