# SPDX-License-Identifier: Apache-2.0
"""The keys that are there, judged from one scan that all requirements share."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kryonix_cache.conformance.evidence import Evidence
    from kryonix_cache.conformance.judging.judgement import Judgement
    from kryonix_cache.conformance.session import RunSession


def test_keyspace(
    data_requirement: str,
    keyspace: Mapping[str, Judgement],
    run_session: RunSession,
    evidence: Evidence,
) -> None:
    """The keys, their types, expiries and values keep the contract."""
    evidence.ran_on = run_session.keyspace_server
    evidence.judge(keyspace[data_requirement])
