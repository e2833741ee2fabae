# SPDX-License-Identifier: Apache-2.0
"""What the judges of one audit share: findings and observations of each requirement."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kryonix_cache.conformance.judging.display import place
from kryonix_cache.conformance.judging.findings import Findings

if TYPE_CHECKING:
    from collections.abc import Callable

    from kryonix_cache.reference_impl.contract import Family
    from kryonix_cache.reports.lines import Finding


MEMBER = " member "
"""How a path into a set or sorted set begins; the member itself follows."""


@dataclass(frozen=True, slots=True)
class KeyAt:
    """A key under judgement; `tenant` is None for a key of the system."""

    database: int
    name: bytes
    family: Family
    tenant: str | None

    def place(self, path: str = "") -> str:
        """Return where a finding inside this key is."""
        return place(self.database, self.name, path)

    @property
    def kind(self) -> str:
        """The group of findings that the key's family makes."""
        return f"{self.database:02d} {self.family.name}"


@dataclass(slots=True)
class Tally:
    """Findings by requirement, and how much was looked at."""

    findings: dict[str, Findings] = field(default_factory=dict)
    seen: Counter[str] = field(default_factory=Counter)

    def of(self, requirement: str) -> Findings:
        """Return the findings of one requirement."""
        return self.findings.setdefault(requirement, Findings())

    def add(self, requirement: str, at: KeyAt, path: str, make: Callable[[str], Finding]) -> None:
        """Count a finding at a place inside a key; `make` gets the place in words."""
        # A member of a set stands in its path, and must not make a kind of its own.
        has_field = " field " in path and not path.startswith(MEMBER)
        field = path.rpartition(" field ")[2] if has_field else ""
        self.of(requirement).offer(
            f"{at.kind} {field}",
            b"%b %b" % (at.name, path.encode(errors="backslashreplace")),
            lambda: make(at.place(path)),
        )
