# SPDX-License-Identifier: Apache-2.0
"""What seeding and its reversal did."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SeedReport:
    """Counts of keys. planned = written + kept + shared.

    `written` were missing, or carried another moment than the one asked for; `kept` were there
    and are ours, and got their full time to live again; `shared` belong to the whole system,
    were there before, and were left as they are.
    """

    planned: int
    written: int
    kept: int
    shared: int = 0

    def __add__(self, other: SeedReport) -> SeedReport:
        return SeedReport(
            self.planned + other.planned,
            self.written + other.written,
            self.kept + other.kept,
            self.shared + other.shared,
        )


@dataclass(frozen=True, slots=True)
class UnseedReport:
    """Counts of keys, and (database, key) of each that was changed since and therefore kept.

    planned = removed + missing + shared + needed + len(changed). `shared` belong to the whole
    system and were written by somebody else; `needed` belong to it as well, and stay because
    other tenants are there, or none of this plan was.
    """

    planned: int
    removed: int
    missing: int
    shared: int = 0
    needed: int = 0
    changed: tuple[tuple[int, bytes], ...] = ()

    def __add__(self, other: UnseedReport) -> UnseedReport:
        return UnseedReport(
            self.planned + other.planned,
            self.removed + other.removed,
            self.missing + other.missing,
            self.shared + other.shared,
            self.needed + other.needed,
            self.changed + other.changed,
        )


NOTHING_SEEDED = SeedReport(0, 0, 0)
NOTHING_UNSEEDED = UnseedReport(0, 0, 0)
