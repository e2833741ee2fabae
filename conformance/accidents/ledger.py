# SPDX-License-Identifier: Apache-2.0
"""
The ledger: what each cell may hold around an accident.

Every value that the suite writes is a tag that was never written before and names its tenant and
its cell, so that the reply to another call is never taken for the right one.
"""

from __future__ import annotations

import itertools
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

HALF = "a half of a value"
"""How a value reads that was written in part."""

_NUMBERS = itertools.count(1)


class Ledger:
    """What was written last into each cell, and what has been in doubt since the start.

    A write that did not return may have happened, may still happen, or may have been left in the
    middle, so it stays possible next to whatever is written after it. Cells are named by their
    slugs; None stands for an empty one.
    """

    def __init__(self) -> None:
        self._known: dict[str, str | None] = {}
        self._doubts: dict[str, set[str | None]] = {}

    def fresh(self, slug: str) -> str:
        """Return a tag for the cell that was never given before."""
        return f"{slug}-{next(_NUMBERS)}"

    @contextmanager
    def writing(self, slug: str, tag: str | None) -> Iterator[None]:
        """Note what a write, or a removal (None), leaves: for sure if it returns."""
        try:
            yield
        except BaseException:
            self.doubt(slug, tag)
            raise
        self._known[slug] = tag

    def doubt(self, slug: str, tag: str | None) -> None:
        """Note what a write that did not return may leave: itself, a half of it, or nothing."""
        self._doubts.setdefault(slug, set()).update({tag, None, HALF})

    def possible(self, slug: str) -> frozenset[str | None]:
        """Return what a read may give."""
        return frozenset({self._known.get(slug), *self._doubts.get(slug, ())})

    def allows(self, slug: str, found: str | None) -> bool:
        """Say whether a read may give this."""
        return found in self.possible(slug)

    def wanted(self, slug: str) -> str:
        """Return what a read may give, for a finding."""
        return " or ".join(sorted(each or "nothing" for each in self.possible(slug)))
