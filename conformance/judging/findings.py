# SPDX-License-Identifier: Apache-2.0
"""Collecting findings without keeping them all."""

from __future__ import annotations

import heapq
from binascii import crc32
from itertools import chain, zip_longest
from typing import TYPE_CHECKING

from kryonix_cache.reports.lines import EVIDENCE_LIMIT

if TYPE_CHECKING:
    from collections.abc import Callable

    from kryonix_cache.reports.lines import Finding


class Findings:
    """Counts every finding and keeps a few examples of each kind.

    The examples are those whose identities have the smallest checksums: whatever the order in
    which a server returns its keys, the same ones are kept, and they lie all over the keyspace.
    """

    def __init__(self, limit: int = EVIDENCE_LIMIT) -> None:
        self.total = 0
        self._limit = limit
        # Heaps of (negated checksum, identity, finding): the largest checksum comes off first.
        self._kinds: dict[str, list[tuple[int, bytes, Finding]]] = {}

    def offer(self, kind: str, identity: bytes, make: Callable[[], Finding]) -> None:
        """Count a finding; make it only if it is among the examples to keep."""
        self.total += 1
        heap = self._kinds.setdefault(kind, [])
        rank = -crc32(identity)
        if len(heap) < self._limit:
            heapq.heappush(heap, (rank, b"%d:%b" % (self.total, identity), make()))
        elif rank > heap[0][0]:
            heapq.heapreplace(heap, (rank, b"%d:%b" % (self.total, identity), make()))

    def examples(self) -> tuple[Finding, ...]:
        """Return the examples, each kind in turn, sorted by their places."""
        kinds = [
            [finding for _, _, finding in sorted(heap, key=lambda kept: -kept[0])]
            for _, heap in sorted(self._kinds.items())
        ]
        in_turn = chain.from_iterable(zip_longest(*kinds))
        chosen = [finding for finding in in_turn if finding is not None][: self._limit]
        return tuple(sorted(chosen, key=lambda finding: (_database(finding), finding.where)))


def _database(finding: Finding) -> int:
    words = finding.where.split(maxsplit=2)
    return int(words[1].rstrip(":")) if words[:1] == ["db"] else -1
