# SPDX-License-Identifier: Apache-2.0
"""Seeding: the specification's sample, synthetic tenants, and taking both back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kryonix_cache.reference_impl.seeding.key import SeedKey, SeedPlan
from kryonix_cache.reference_impl.seeding.report import SeedReport, UnseedReport
from kryonix_cache.reference_impl.seeding.sample import SamplePlan
from kryonix_cache.reference_impl.seeding.seeder import Progress, Seeder
from kryonix_cache.reference_impl.seeding.synthetic import (
    MOMENT,
    SyntheticPlan,
    synthetic_tenant_ids,
)

if TYPE_CHECKING:
    from datetime import datetime

    from kryonix_cache.reference_impl.connection import Clients

__all__ = [
    "MOMENT",
    "Progress",
    "SamplePlan",
    "SeedKey",
    "SeedPlan",
    "SeedReport",
    "Seeder",
    "SyntheticPlan",
    "UnseedReport",
    "seed_sample",
    "synthetic_tenant_ids",
    "unseed_sample",
]


def seed_sample(connections: Clients, at: datetime | None = None) -> SeedReport:
    """Write the specification's sample; see `Seeder.seed` for what is raised."""
    return Seeder(connections).seed(SamplePlan(at))


def unseed_sample(connections: Clients) -> UnseedReport:
    """Remove the specification's sample; see `Seeder.unseed` for what is raised."""
    return Seeder(connections).unseed(SamplePlan())
