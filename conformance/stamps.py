# SPDX-License-Identifier: Apache-2.0
"""The header of a run record: what is judged, by what, against what."""

from __future__ import annotations

import platform
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TYPE_CHECKING

from kryonix_cache.conformance import DISTRIBUTION
from kryonix_cache.reports.lines import (
    BenchStamp,
    ContractStamp,
    Header,
    Platform,
    Suite,
    TargetStamp,
)

if TYPE_CHECKING:
    from kryonix_cache.conformance.run import RunPlan
    from kryonix_cache.fixtures.targets.bench import Bench
    from kryonix_cache.fixtures.targets.target import Target


def now() -> str:
    """Return the present time, UTC, as records hold it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def header_of(
    plan: RunPlan, target: Target, bench: Bench, *, command: str, databases: int
) -> Header:
    """Return the header of a run."""
    return Header(
        suite=Suite(name=DISTRIBUTION, version=version(DISTRIBUTION)),
        run=plan.request.run,
        command=command,
        started=now(),
        profile=plan.profile.name,
        gate=plan.gate,
        seed=plan.request.seed,
        depth=plan.request.depth,
        accept=plan.request.accept,
        selection=plan.selection,
        contract=ContractStamp(
            name=plan.contract.name, version=plan.contract.version, sha256=plan.contract.sha256
        ),
        registry=plan.registry.stamp(plan.profile, plan.scope, plan.gate),
        checklist=plan.registry.checklist,
        target=TargetStamp(
            kind=target.kind,
            address=target.address,
            live=target.live,
            product=target.product,
            version=target.version,
            databases=databases,
            capabilities=tuple(sorted(target.capabilities)),
        ),
        bench=_bench(bench),
        system=plan.request.system,
        platform=Platform(python=platform.python_version(), machine=platform.machine()),
        waivers=plan.waivers,
    )


def _bench(bench: Bench) -> BenchStamp | None:
    started = bench.started
    if not started:
        return None
    first = started[0]
    return BenchStamp(kind=first.kind, product=first.product, version=first.version)
