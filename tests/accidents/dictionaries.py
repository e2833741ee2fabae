# SPDX-License-Identifier: Apache-2.0
"""Cells in a dictionary, to play what a system may answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kryonix_cache.conformance.accidents.cells import AsyncCell, Cell

if TYPE_CHECKING:
    from collections.abc import Callable


class Answers(dict[str, str]):
    """What each cell holds; `errors` are raised, one for each call, before anything is answered."""

    def __init__(self) -> None:
        super().__init__()
        self.errors: list[BaseException] = []
        self.calls = 0

    def called(self) -> None:
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)


def cell(answers: Answers, slug: str, read: Callable[[], str | None] | None = None) -> Cell:
    """Return a cell of the dictionary; `read` answers instead of it."""

    def usual() -> str | None:
        answers.called()
        return answers.get(slug)

    def write(tag: str) -> None:
        answers.called()
        answers[slug] = tag

    def remove() -> None:
        answers.called()
        answers.pop(slug, None)

    return Cell(
        slug.partition("-")[0],
        slug,
        "made-up",
        (1, slug.encode()),
        f"read({slug})",
        f"write({slug})",
        f"remove({slug})",
        read or usual,
        write,
        remove,
    )


def async_cell(answers: Answers, slug: str) -> AsyncCell:
    """Return the same for an event loop."""
    blocking = cell(answers, slug)

    async def read() -> str | None:
        return blocking.read()

    async def write(tag: str) -> None:
        blocking.write(tag)

    async def remove() -> None:
        blocking.remove()

    return AsyncCell(
        blocking.tenant,
        slug,
        blocking.family,
        blocking.place,
        blocking.reading,
        blocking.writing,
        blocking.removing,
        read,
        write,
        remove,
    )
