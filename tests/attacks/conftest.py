# SPDX-License-Identifier: Apache-2.0
"""Real servers, and an arena on one of them, for the tests of the attacks."""

from __future__ import annotations

from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING

import pytest

from kryonix_cache.conformance.attacks.arena import Arena, open_arena
from kryonix_cache.conformance.evidence import Evidence
from kryonix_cache.conformance.run import RunRequest, plan_run
from kryonix_cache.conformance.session import RunSession
from kryonix_cache.fixtures.faults.catalogue import PLAIN
from kryonix_cache.fixtures.targets.server import ServerProcess
from kryonix_cache.reference_impl.connection import connect, lease
from tests.targets.servers import redis_binary
from tests.versions.conftest import NAMED, PACKAGED, program_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from kryonix_cache.reference_impl.connection import GuardedConnection

__all__ = ["redis_binary"]

# The package has an environment of its own; elsewhere each of its tests would be a skip.
_PACKAGED = [PACKAGED] if find_spec(PACKAGED) else []


@pytest.fixture(scope="session", params=["installed", "embedded", *_PACKAGED, *NAMED])
def program(request: pytest.FixtureRequest) -> Path:
    return program_of(request.param)


@pytest.fixture
def connection(program: Path) -> Iterator[GuardedConnection]:
    with ServerProcess(program) as server:
        client = connect(server.endpoint)
        with lease(client) as leased:
            yield leased
        client.close()


@contextmanager
def session_of(
    out: Path, system: str = PLAIN, contract: Path | None = None
) -> Iterator[RunSession]:
    """Open a run on the embedded server without running its tests."""
    request = RunRequest(
        target="embedded",
        contract=contract,
        out=out,
        profile="staging",
        system=system,
        select=("isolation.acl-keys",),
    )
    session = RunSession(plan_run(request))
    session.open()
    try:
        yield session
    finally:
        session.close()


@pytest.fixture
def session(tmp_path: Path) -> Iterator[RunSession]:
    with session_of(tmp_path) as opened:
        yield opened


@pytest.fixture
def arena(session: RunSession) -> Iterator[Arena]:
    with open_arena(session, "isolation.acl-keys", Evidence()) as opened:
        yield opened
