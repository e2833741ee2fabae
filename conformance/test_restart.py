# SPDX-License-Identifier: Apache-2.0
"""Whether the configuration survives a restart (E06), shown by restarting a server of the bench.

A live target is never restarted: there the configuration file is compared, if it is given.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import pytest

from kryonix_cache.conformance.outcomes import NotApplicable

if TYPE_CHECKING:
    from kryonix_cache.conformance.evidence import Evidence
    from kryonix_cache.conformance.session import RunSession
    from kryonix_cache.fixtures.targets.target import Target

_SERVER = "restart"


@pytest.mark.requirement("config.persisted")
def test_a_restart_changes_no_directive(run_session: RunSession, evidence: Evidence) -> None:
    """Every directive of the contract has the same value before and after a restart."""
    if run_session.target.live:
        raise NotApplicable("a live target is not restarted")
    server = run_session.bench_server(_SERVER)
    if server.server is None:
        raise NotApplicable("the bench's server cannot be restarted")
    evidence.ran_on = "bench"
    before = _directives(run_session, server)
    server.server.restart()
    after = _directives(run_session, server)
    for directive in run_session.plan.profile.directives:
        for name in directive.names:
            if name not in before:
                continue
            evidence.saw("directives")
            if after.get(name) != before[name]:
                evidence.found(
                    f"directive {name} after a restart",
                    found=after.get(name, "unknown"),
                    wanted=before[name],
                    erratum="E06",
                    remedy="write it into the configuration file, or send CONFIG REWRITE",
                )
    evidence.settle()


def _directives(session: RunSession, server: Target) -> dict[str, str]:
    with session.clients_of(server, "config.persisted") as clients:
        return cast("dict[str, str]", clients[0].config_get("*"))
