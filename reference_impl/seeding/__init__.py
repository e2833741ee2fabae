# SPDX-License-Identifier: Apache-2.0
"""Seeding: the specification's sample, synthetic tenants, and taking both back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kryonix_cache.reference_impl.seeding.key import SeedKey as SeedKey
from kryonix_cache.reference_impl.seeding.key import SeedPlan as SeedPlan
from kryonix_cache.reference_impl.seeding.sample import SamplePlan as SamplePlan
from kryonix_cache.reference_impl.seeding.seeder import Connections as Connections
from kryonix_cache.reference_impl.seeding.seeder import Seeder as Seeder
from kryonix_cache.reference_impl.seeding.synthetic import SyntheticPlan as SyntheticPlan
from kryonix_cache.reference_impl.seeding.synthetic import (
    synthetic_tenant_ids as synthetic_tenant_ids,
)

if TYPE_CHECKING:
    from datetime import datetime

    from kryonix_cache.reference_impl.seeding.report import SeedReport as SeedReport
    from kryonix_cache.reference_impl.seeding.report import UnseedReport as UnseedReport


def seed_sample(connections: Connections, at: datetime | None = None) -> SeedReport:
    """Write the specification's sample; see `Seeder.seed` for what is raised."""
    return Seeder(connections).seed(SamplePlan(at))


def unseed_sample(connections: Connections) -> UnseedReport:
    """Remove the specification's sample; see `Seeder.unseed` for what is raised."""
    return Seeder(connections).unseed(SamplePlan())
