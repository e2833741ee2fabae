# SPDX-License-Identifier: Apache-2.0
"""What a run of the optimiser reports: analyses, changes and problems of each tenant."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from kryonix_cache.reference_impl.optimiser.analysis import Analysis

Rule = Literal["ttl", "mobile", "api", "preload"]
Action = Literal["extended", "written"]


@dataclass(frozen=True, slots=True)
class Change:
    """One change of one key; in a dry run, one that would be made.

    Times are UTC moments of expiry; `expires_before` is None for a key that was not there.
    """

    rule: Rule
    action: Action
    database: int
    key: bytes
    expires_before: datetime | None
    expires_after: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that could not be read or done: where, and what was found and wanted."""

    where: str
    what: str


@dataclass(frozen=True, slots=True)
class TenantReport:
    """What happened to one tenant; without `analysis` it could not be analysed at all."""

    tenant: str
    analysis: Analysis | None
    changes: tuple[Change, ...]
    problems: tuple[Problem, ...]


@dataclass(frozen=True, slots=True)
class Report:
    """One run: its id, its moment (UTC), its tenants by id, and what concerns none of them."""

    run: str
    at: datetime
    dry_run: bool
    tenants: Mapping[str, TenantReport]
    problems: tuple[Problem, ...]
    keys: int
    """Keys that the pass over the databases saw."""
