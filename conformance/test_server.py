# SPDX-License-Identifier: Apache-2.0
"""The server: its directives, its health and its security, judged from one collection of facts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kryonix_cache.conformance.judging.judges import judge_server

if TYPE_CHECKING:
    from kryonix_cache.conformance.evidence import Evidence
    from kryonix_cache.conformance.judging.server_facts import DeploymentFacts
    from kryonix_cache.conformance.session import RunSession


def test_server(
    server_requirement: str,
    server_facts: DeploymentFacts,
    run_session: RunSession,
    evidence: Evidence,
) -> None:
    """What the server says of itself is what the profile asks for."""
    plan = run_session.plan
    evidence.judge(judge_server(server_requirement, server_facts, plan.contract, plan.profile))
