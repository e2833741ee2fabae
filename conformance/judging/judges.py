# SPDX-License-Identifier: Apache-2.0
"""Which judge stands for which requirement about the server."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kryonix_cache.conformance.judging import configuration, security, server

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kryonix_cache.conformance.judging.configuration import ServerJudge
    from kryonix_cache.conformance.judging.judgement import Judgement
    from kryonix_cache.conformance.judging.server_facts import DeploymentFacts
    from kryonix_cache.reference_impl.contract import Contract, Profile


def server_judges(contract: Contract) -> Mapping[str, ServerJudge]:
    """Return the judge of each requirement that the facts of a server decide."""
    return configuration.judges_of(contract) | dict(server.JUDGES) | dict(security.JUDGES)


def judge_server(
    requirement: str, facts: DeploymentFacts, contract: Contract, profile: Profile
) -> Judgement:
    """Judge one requirement; KeyError where the facts of a server do not decide it."""
    return server_judges(contract)[requirement](facts, contract, profile)
