# SPDX-License-Identifier: Apache-2.0
"""Wires a pytest run of this folder: options, recorder, and the fixtures of the tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from kryonix_cache.conformance import options
from kryonix_cache.conformance.conditions import unmet_condition
from kryonix_cache.conformance.judging.server_facts import DeploymentFacts, collect
from kryonix_cache.conformance.keyspaces import judged_keyspace
from kryonix_cache.conformance.model.stages import Stages
from kryonix_cache.conformance.optimising.scene import Scene, scene_of
from kryonix_cache.conformance.outcomes import NotApplicable
from kryonix_cache.conformance.recording import EVIDENCE, SESSION, Recorder
from kryonix_cache.conformance.run import plan_run
from kryonix_cache.conformance.session import RunSession
from kryonix_cache.conformance.stopping import Stopping
from kryonix_cache.fixtures.powers import Power, PowerGuard
from kryonix_cache.reference_impl.errors import KryonixError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from kryonix_cache.conformance.evidence import Evidence
    from kryonix_cache.conformance.judging.judgement import Judgement
    from kryonix_cache.reference_impl.connection import Pools
    from kryonix_cache.reference_impl.contract import Contract


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of a conformance run."""
    options.add_options(parser)


def pytest_configure(config: pytest.Config) -> None:
    """Plan the run; whatever is wrong with the command line ends it with exit 4."""
    if config.option.help:
        return
    try:
        session = RunSession(plan_run(options.request_of(config)))
    except KryonixError as error:
        raise pytest.UsageError(str(error)) from None
    config.stash[SESSION] = session
    stopping = Stopping()
    config.pluginmanager.register(stopping, "kryonix-stopping")
    stopping.heed()
    config.pluginmanager.register(Recorder(session, stopping), "kryonix-recorder")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make one test for each requirement that the judges of server and data decide."""
    plan = metafunc.config.stash[SESSION].plan
    decided = {
        "server_requirement": tuple(
            each.id
            for each in plan.registry.requirements.values()
            if each.subject == "server" and each.power == "observe"
        ),
        "data_requirement": tuple(
            each.id for each in plan.registry.requirements.values() if each.subject == "data"
        ),
    }
    for name in decided.keys() & set(metafunc.fixturenames):
        metafunc.parametrize(
            name,
            [
                pytest.param(each, id=each, marks=pytest.mark.requirement(each))
                for each in decided[name]
            ],
        )


@pytest.fixture(scope="session")
def run_session(pytestconfig: pytest.Config) -> RunSession:
    """Return the run."""
    return pytestconfig.stash[SESSION]


@pytest.fixture(autouse=True)
def condition(request: pytest.FixtureRequest, run_session: RunSession) -> None:
    """Stop a test whose requirement does not apply to the contract."""
    plan = run_session.plan
    reason = unmet_condition(plan.registry[_requirement(request)], plan.contract)
    if reason:
        raise NotApplicable(reason)


@pytest.fixture(scope="session")
def contract(run_session: RunSession) -> Contract:
    """Return the contract that the run judges by."""
    return run_session.plan.contract


@pytest.fixture
def evidence(request: pytest.FixtureRequest) -> Evidence:
    """Return what the test puts its witnesses and findings into."""
    item: pytest.Item = request.node
    return item.stash[EVIDENCE]


@pytest.fixture(scope="session")
def server_facts(run_session: RunSession) -> DeploymentFacts:
    """Ask the target once about itself, by reading."""
    guard = PowerGuard(Power.OBSERVE, run_session.journal)
    with run_session.observing("server") as clients:
        return collect(
            clients[run_session.target.endpoint.database],
            run_session.target.endpoint,
            config_file=run_session.plan.request.config_file,
            replica_allowed=run_session.plan.request.replica_allowed,
            policy=guard,
        )


@pytest.fixture(scope="session")
def keyspace(run_session: RunSession) -> Mapping[str, Judgement]:
    """Judge live data on the target, or synthetic tenants on the bench, in one scan."""
    return judged_keyspace(run_session)


@pytest.fixture
def own_clients(run_session: RunSession, request: pytest.FixtureRequest) -> Iterator[Pools]:
    """Give clients that may write keys of this run's tenants on the target."""
    with run_session.clients_of(run_session.target, _requirement(request)) as pools:
        yield pools


@pytest.fixture
def stages(run_session: RunSession, request: pytest.FixtureRequest, evidence: Evidence) -> Stages:
    """Return what sets the stages of the isolation tests."""
    return Stages(run_session, _requirement(request), evidence)


@pytest.fixture
def scene(
    run_session: RunSession, request: pytest.FixtureRequest, evidence: Evidence
) -> Iterator[Scene]:
    """Give the scene on which an optimiser is judged."""
    with scene_of(run_session, _requirement(request), evidence) as scene:
        yield scene


def _requirement(request: pytest.FixtureRequest) -> str:
    return str(request.node.get_closest_marker("requirement").args[0])
