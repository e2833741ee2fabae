# SPDX-License-Identifier: Apache-2.0
"""Decoys: values under the names of a tenant's keys, in databases where they do not belong."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING

from kryonix_cache.conformance.accidents.cells import MODULE, fields_with
from kryonix_cache.reference_impl.tenant import families

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from kryonix_cache.conformance.accidents.cells import Cell
    from kryonix_cache.conformance.datasets import Place
    from kryonix_cache.conformance.run import RunTenants
    from kryonix_cache.reference_impl.connection import Clients

_DATABASES = (0, 1, 2, 15)


class Decoys:
    """What lies in the wrong databases, and whether it still does."""

    def __init__(self, raw: Clients, run: RunTenants, cells: Sequence[Cell]) -> None:
        self._raw = raw
        self._run = run
        self._payloads: dict[Place, bytes | None] = {}
        for cell in cells:
            home, key = cell.place
            for database in _DATABASES:
                if database != home:
                    self._plant(database, key, cell)

    def changed(self) -> Iterator[tuple[str, str, str]]:
        """Yield where a decoy is another one now, what is there, and what was."""
        for (database, key), payload in self._payloads.items():
            if self._raw[database].dump(key) != payload:
                yield f"{key.decode()} in database {database}", "a change", "no change"

    def remove(self) -> None:
        """Remove them all."""
        for database, key in self._payloads:
            self._raw[database].delete(key)

    def _plant(self, database: int, key: bytes, cell: Cell) -> None:
        client, tag = self._raw[database], f"what-lies-in-database-{database}"
        client.delete(key)
        if cell.family == families.ANSWERS:
            stored = {
                "tenant_id": self._run.id(cell.tenant),
                "module": MODULE,
                "data": {"tag": tag},
            }
            client.set(key, json.dumps(stored))
        else:
            for field, text in fields_with(tag).items():
                client.hset(key, field, text)
        self._payloads[database, key] = client.dump(key)


@contextmanager
def planted(raw: Clients, run: RunTenants, cells: Sequence[Cell]) -> Iterator[Decoys]:
    """Put decoys beside cells of answers and sessions for a while."""
    decoys = Decoys(raw, run, cells)
    try:
        yield decoys
    finally:
        decoys.remove()
