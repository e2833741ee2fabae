# SPDX-License-Identifier: Apache-2.0
"""Optimisers, judged by what they find out: which tenants there are, and what is known of each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from kryonix_cache.conformance.optimising.figures import known_tenants
from kryonix_cache.conformance.optimising.forms import (
    bookkeeping_keys,
    foreign_keys,
    tenants_by_form,
)
from kryonix_cache.conformance.optimising.scope import Scope

if TYPE_CHECKING:
    from kryonix_cache.conformance.evidence import Evidence
    from kryonix_cache.conformance.optimising.scene import Scene


@pytest.mark.requirement("optimiser.discovery")
def test_every_tenant_with_a_key_is_found_and_nobody_else(scene: Scene, evidence: Evidence) -> None:
    """A key of any family and database makes a tenant; what only looks like one makes none."""
    wanted = tenants_by_form(scene)
    traps = {**foreign_keys(scene), **bookkeeping_keys(scene)}
    evidence.saw("keys", len(wanted) + len(traps))
    found = set(scene.run().analyses)
    evidence.saw("tenants", len(found))
    for tenant in sorted(set(wanted) - found):
        evidence.found(
            f"tenant {tenant}, which has {wanted[tenant]}",
            found="not among the tenants",
            wanted="an analysis of it",
        )
    for tenant in sorted(found - set(wanted)):
        seen = [what for what, names in traps.items() if tenant in names]
        evidence.found(
            f"tenant {tenant!a}",
            found="an analysis of it",
            wanted=f"none: {'; '.join(seen) or 'no key names it'}",
            erratum="E10",
        )
    evidence.settle()


@pytest.mark.requirement("optimiser.analysis")
def test_figures_are_right_for_known_data_and_unknown_without(
    scene: Scene, evidence: Evidence
) -> None:
    """Users are counted once, units are read, and what nobody measured is no zero."""
    known = known_tenants(scene)
    done = scene.run()
    for tenant, figures in known:
        analysis = scene.analysis(done, tenant)
        evidence.saw("tenants")
        for name, wanted in figures.items():
            evidence.saw("figures")
            found = getattr(analysis, name)
            if not wanted.fits(found):
                evidence.found(
                    f"tenant {tenant.id}, {name}",
                    found=found,
                    wanted=wanted.text,
                    erratum=wanted.erratum,
                )
    evidence.settle()


@pytest.mark.requirement("optimiser.tenant-scope")
def test_a_run_for_one_tenant_touches_and_learns_of_no_other(
    scene: Scene, evidence: Evidence
) -> None:
    """The server itself tells what it was sent; the tenants' ids begin alike."""
    scope = Scope(scene)
    scope.judge_run()
    scope.judge_learning()
    scope.judge_nobody()
    evidence.settle()
