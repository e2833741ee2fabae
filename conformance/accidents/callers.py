# SPDX-License-Identifier: Apache-2.0
"""Callers: make calls on cells, blocking or in an event loop, and have their replies judged."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from kryonix_cache.conformance.accidents.witness import PAUSE_SECONDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kryonix_cache.conformance.accidents.cells import AsyncCell, Cell
    from kryonix_cache.conformance.accidents.witness import Witness

ANSWER_SECONDS = 12.0
"""How long one call may take in an event loop before it counts as never answered."""

What = Literal["read", "write", "remove"]


@dataclass(frozen=True, slots=True)
class Call:
    """One call; `cell` is an index into the caller's cells."""

    cell: int
    what: What


class Caller:
    """Makes calls on a system that blocks."""

    def __init__(self, cells: Sequence[Cell], witness: Witness) -> None:
        self.cells = cells
        self.witness = witness

    def perform(self, call: Call) -> str | None:
        """Make the call once, whatever happens; return what a read gives."""
        cell = self.cells[call.cell % len(self.cells)]
        ledger = self.witness.ledger
        if call.what == "read":
            return cell.read()
        tag = ledger.fresh(cell.slug) if call.what == "write" else None
        with ledger.writing(cell.slug, tag):
            if tag is None:
                cell.remove()
            else:
                cell.write(tag)
        return None

    def told(self, call: Call) -> str:
        """Return how a finding shows the call."""
        return told(self.cells[call.cell % len(self.cells)], call)

    def glance(self, cell: Cell) -> bool:
        """Read while an accident goes on: an error is excused, a wrong reply is not.

        Returns whether there was an answer, right or wrong.
        """
        try:
            found = cell.read()
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 (SystemExit and pytest's outcomes too)
            if not self.witness.excuses(error):
                self.witness.raised(cell.reading, error)
            return False
        self.witness.glance(cell.slug, cell.reading, found)
        return found is not None

    def check(self, cells: Sequence[Cell] | None = None) -> None:
        """Read each cell, and judge what comes."""
        for cell in self.cells if cells is None else cells:
            patience = self.witness.patience()

            def read(cell: Cell = cell) -> bool:
                found = cell.read()
                missed = found is None and not self.witness.ledger.allows(cell.slug, None)
                # A cache may answer an error of its connection with a miss.
                if missed and not patience.over:  # noqa: B023 (called before the next round)
                    return False
                self.witness.judge(cell.slug, cell.reading, found)
                return True

            self.witness.settled(cell.reading, read)

    def renew(self, cells: Sequence[Cell] | None = None) -> None:
        """Write a fresh tag into each cell."""
        ledger = self.witness.ledger
        for cell in self.cells if cells is None else cells:
            tag = ledger.fresh(cell.slug)

            def write(cell: Cell = cell, tag: str = tag) -> bool:
                with ledger.writing(cell.slug, tag):
                    cell.write(tag)
                return True

            self.witness.settled(cell.writing, write)


class AsyncCaller:
    """Makes calls inside the running event loop."""

    def __init__(self, cells: Sequence[AsyncCell], witness: Witness) -> None:
        self.cells = cells
        self.witness = witness

    async def perform(self, call: Call) -> str | None:
        """Make the call once, whatever happens; return what a read gives."""
        cell = self.cells[call.cell % len(self.cells)]
        ledger = self.witness.ledger
        if call.what == "read":
            return await cell.read()
        tag = ledger.fresh(cell.slug) if call.what == "write" else None
        with ledger.writing(cell.slug, tag):
            await (cell.remove() if tag is None else cell.write(tag))
        return None

    def told(self, call: Call) -> str:
        """Return how a finding shows the call."""
        return told(self.cells[call.cell % len(self.cells)], call)

    async def glance(self, cell: AsyncCell) -> bool:
        """Read while an accident goes on: an error is excused, a wrong reply is not.

        Returns whether there was an answer, right or wrong.
        """
        try:
            found = await cell.read()
        except (asyncio.CancelledError, KeyboardInterrupt):
            raise
        except BaseException as error:  # noqa: BLE001 (SystemExit and pytest's outcomes too)
            if not self.witness.excuses(error):
                self.witness.raised(cell.reading, error)
            return False
        self.witness.glance(cell.slug, cell.reading, found)
        return found is not None

    async def check(self) -> None:
        """Read each cell, and judge what comes."""
        for cell in self.cells:
            await self._settled(cell, cell.reading, None)

    async def renew(self) -> None:
        """Write a fresh tag into each cell."""
        for cell in self.cells:
            await self._settled(cell, cell.writing, self.witness.ledger.fresh(cell.slug))

    async def _settled(self, cell: AsyncCell, where: str, tag: str | None) -> None:
        patience = self.witness.patience()
        while True:
            try:
                async with asyncio.timeout(ANSWER_SECONDS):
                    if await self._attempted(cell, tag, last=patience.over):
                        return
            except KeyboardInterrupt:
                raise
            except BaseException as error:  # noqa: BLE001 (SystemExit and pytest's outcomes too)
                if patience.over or not self.witness.excuses(error):
                    self.witness.raised(where, error)
                    return
            await asyncio.sleep(PAUSE_SECONDS)

    async def _attempted(self, cell: AsyncCell, tag: str | None, *, last: bool) -> bool:
        ledger = self.witness.ledger
        if tag is not None:
            with ledger.writing(cell.slug, tag):
                await cell.write(tag)
            return True
        found = await cell.read()
        # A cache may answer an error of its connection with a miss.
        if found is None and not ledger.allows(cell.slug, None) and not last:
            return False
        self.witness.judge(cell.slug, cell.reading, found)
        return True


def told(cell: Cell | AsyncCell, call: Call) -> str:
    """Return how a finding shows the call."""
    return {"read": cell.reading, "write": cell.writing, "remove": cell.removing}[call.what]
