# SPDX-License-Identifier: Apache-2.0
"""Numbers that depend on nothing but their labels.

Not `random`: only its `random()` is promised to stay the same between versions of Python, and
a draw by label does not change when a field is added before it.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Sequence

T = TypeVar("T")


class Draw:
    """A source of choices for one place in the data, named by its labels."""

    __slots__ = ("_path",)

    def __init__(self, *labels: object) -> None:
        self._path = tuple(labels)

    def within(self, *labels: object) -> Draw:
        """Return the source of a place inside this one."""
        return Draw(*self._path, *labels)

    def number(self, low: int, high: int, *labels: object) -> int:
        """Return a whole number from `low` to `high`, both included."""
        path = "\n".join(map(str, (*self._path, *labels)))
        return low + int.from_bytes(sha256(path.encode()).digest()[:8]) % (high - low + 1)

    def choice(self, options: Sequence[T], *labels: object) -> T:
        """Return one of `options`."""
        return options[self.number(0, len(options) - 1, *labels)]

    def some(self, options: Sequence[T], count: int, *labels: object) -> list[T]:
        """Return `count` neighbours of `options`, beginning somewhere."""
        start = self.number(0, len(options) - 1, *labels)
        return [options[(start + index) % len(options)] for index in range(count)]
