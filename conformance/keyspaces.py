# SPDX-License-Identifier: Apache-2.0
"""
Which keys a run judges: those of a live target, or synthetic tenants on the bench.

A server that the suite started is empty, so its keyspace has nothing to judge; the reference's
synthetic tenants, which are clean by the contract, stand in on a server of the bench.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from kryonix_cache.conformance.judging.keyspace import audit_keyspace
from kryonix_cache.reference_impl.scan import impact_of
from kryonix_cache.reference_impl.seeding import Seeder, SyntheticPlan, synthetic_tenant_ids

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kryonix_cache.conformance.judging.judgement import Judgement
    from kryonix_cache.conformance.run import RunPlan
    from kryonix_cache.conformance.session import RunSession
    from kryonix_cache.reference_impl.connection import Clients

BENCH_TENANTS = 20
PURPOSE = "keyspace"
STAND_INS = "synthetic tenants of the reference, on the bench"
"""What a reader must know of a judgement that is not about keys of the target."""


def judged_keyspace(session: RunSession) -> Mapping[str, Judgement]:
    """Judge the keyspace of the run in one scan that all its requirements share."""
    plan = session.plan
    if session.target.live:
        with session.observing(PURPOSE) as clients:
            audit = audit_keyspace(
                clients,
                plan.contract,
                reading=plan.request.fields,
                max_impact=impact_of(plan.request.max_impact),
                run=plan.request.run,
                databases=session.databases,
            )
            return audit.judgements
    server = session.bench_server(PURPOSE)
    with session.clients_of(server, PURPOSE) as clients:
        number = plan.request.seed
        tenants = synthetic_tenant_ids(plan.contract, BENCH_TENANTS, number)
        Seeder(clients).seed(SyntheticPlan(plan.contract, tenants, number))
        judgements = judged_data(clients, plan)
    return {name: _on_the_bench(judgement) for name, judgement in judgements.items()}


def judged_data(clients: Clients, plan: RunPlan) -> Mapping[str, Judgement]:
    """Judge all that lies on a server of the bench, every value included."""
    return audit_keyspace(clients, plan.contract, reading="all").judgements


def _on_the_bench(judgement: Judgement) -> Judgement:
    reason = f"{judgement.reason}; {STAND_INS}" if judgement.reason else STAND_INS
    return replace(judgement, reason=reason)
