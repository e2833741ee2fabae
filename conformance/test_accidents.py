# SPDX-License-Identifier: Apache-2.0
"""
Accidents on the way to the server: whatever happens to a call, nobody gets another's reply.

The server is one of the bench, and a proxy before it freezes, splits and cuts what passes.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, get_args

import pytest
from hypothesis import given

from kryonix_cache.conformance.accidents import hazards
from kryonix_cache.conformance.accidents.binding import CONNECTIONS, Crew
from kryonix_cache.conformance.accidents.blocking import blocking_accidents
from kryonix_cache.conformance.accidents.blows import (
    NIGHTLY,
    SETTINGS,
    Blow,
    Step,
    always,
    each_kind,
    stories,
)
from kryonix_cache.conformance.accidents.callers import Call, What
from kryonix_cache.conformance.accidents.cancellations import async_accidents, event_loop
from kryonix_cache.conformance.accidents.cells import ANSWERS, SESSIONS
from kryonix_cache.conformance.accidents.landings import demand
from kryonix_cache.conformance.accidents.pops import ENDINGS, PopAccidents
from kryonix_cache.conformance.accidents.scene import (
    CROWD_SECONDS,
    IMPATIENT_SECONDS,
    SERVER,
    Scene,
)
from kryonix_cache.conformance.outcomes import NotOffered
from kryonix_cache.fixtures.proxy.process import ProxyProcess
from kryonix_cache.reference_impl.tenant import families, serves

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kryonix_cache.conformance.evidence import Evidence
    from kryonix_cache.conformance.session import RunSession

BINDING = "isolation.database-binding"
CANCELLED = "isolation.cancelled-request"
HAZARDS = "isolation.client-hazards"

CALLS: tuple[What, ...] = get_args(What)
_INTERRUPTIONS = [
    blow
    for at_once in (True, False)
    for blow in (
        Blow("unarrived", at_once=at_once),
        Blow("held", at_once=at_once),
        Blow("connecting", at_once=at_once),
        Blow("part", 2, at_once=at_once),
    )
]
_CANCELLATIONS = [
    blow
    for at_once in (True, False)
    for blow in (
        Blow("unsent", at_once=at_once),
        Blow("turns", 2, at_once=at_once),
        Blow("turns", 5, at_once=at_once),
        Blow("connecting", at_once=at_once),
        Blow("unarrived", at_once=at_once),
        Blow("held", at_once=at_once),
        Blow("part", 1, at_once=at_once),
        Blow("part", 6, at_once=at_once),
        Blow("part", 40, at_once=at_once),
    )
]

_CUTS = [Blow("cut", amount, at_once=False) for amount in (0, 1, 4, 5, 7, 14, 23, 40, 60, 90)]
_SHORT_CUTS = _CUTS[:3]
"""Those that the four bytes of the reply to a removal can be cut by."""


@pytest.fixture(scope="module")
def proxy(run_session: RunSession) -> Iterator[ProxyProcess]:
    """Put a proxy before the bench's server."""
    with ProxyProcess(run_session.bench_server(SERVER).endpoint) as running:
        yield running


@pytest.fixture
def scene(run_session: RunSession, proxy: ProxyProcess, evidence: Evidence) -> Iterator[Scene]:
    """Set the scene of an accident."""
    server = run_session.bench_server(SERVER)
    evidence.ran_on = run_session.ran_on(server)
    with run_session.clients_of(server, SERVER) as raw:
        scene = Scene(run_session, server, proxy, raw, evidence)
        scene.clear()
        yield scene


@pytest.mark.requirement(CANCELLED)
@pytest.mark.parametrize("connections", [1, 3])
def test_a_cancelled_request_leaves_its_reply_to_nobody(scene: Scene, connections: int) -> None:
    """Whenever a call is cancelled, each later one gets the reply to itself.

    On one connection the next caller has the same one; on several another may be in step.
    """
    blows = _CANCELLATIONS if connections == 1 else _INTERRUPTIONS
    surely = each_kind(blows, *CALLS, families=[ANSWERS], whole=scene.nightly)
    with async_accidents(scene, max_connections=connections) as (accidents, runner):

        def hit(story: list[Step]) -> None:
            runner.run(accidents.play(story))
            scene.evidence.settle()

        @NIGHTLY if scene.nightly else SETTINGS
        @given(stories("unsent", "turns", "connecting", "unarrived", "held", "part"))
        @always(surely)
        def hold(story: list[Step]) -> None:
            hit(story)

        hold()
        accidents.landings.demand(surely, hit, accidents.told)


@pytest.mark.requirement(CANCELLED)
def test_calls_that_wait_for_a_connection_can_be_cancelled(scene: Scene) -> None:
    """Who is cancelled while others wait for the connection takes nothing from them."""
    for connections in (1, 3):
        with async_accidents(scene, max_connections=connections) as (accidents, runner):
            for holder_too in (False, True):
                runner.run(accidents.wait_for_the_pool(holder_too=holder_too))
                scene.evidence.settle()
            runner.run(accidents.several_at_once())
            scene.evidence.settle()


@pytest.mark.requirement(CANCELLED)
def test_a_timed_out_request_leaves_its_reply_to_nobody(scene: Scene) -> None:
    """The same holds for asyncio's time limits and for the time-out of the client itself."""
    for ways, timeout in (
        (("asyncio.timeout", "asyncio.wait_for"), 1.0),
        (("its own time-out",), IMPATIENT_SECONDS),
    ):
        with async_accidents(scene, timeout=timeout) as (accidents, runner):
            for way in ways:
                for call in (Call(0, "read"), Call(1, "write")):
                    for at_once in (True, False):
                        demand(
                            scene,
                            lambda c=call, w=way, o=at_once: runner.run(  # type: ignore[misc]
                                accidents.time_out(c, way=w, at_once=o)
                            ),
                            f"{accidents.caller.told(call)} ran into {way}",
                        )


@pytest.mark.requirement(CANCELLED)
def test_an_interrupted_request_leaves_its_reply_to_nobody(scene: Scene) -> None:
    """An exception out of a signal handler ends a blocking call as a cancellation does."""
    surely = each_kind(_INTERRUPTIONS, *CALLS, families=[ANSWERS, SESSIONS], whole=scene.nightly)
    with blocking_accidents(scene) as accidents:

        def hit(story: list[Step]) -> None:
            accidents.play(story)
            scene.evidence.settle()

        @NIGHTLY if scene.nightly else SETTINGS
        @given(stories("connecting", "unarrived", "held", "part"))
        @always(surely)
        def hold(story: list[Step]) -> None:
            hit(story)

        hold()
        accidents.landings.demand(surely, hit, accidents.told)


@pytest.mark.requirement(CANCELLED)
def test_a_blocking_request_that_timed_out_leaves_its_reply_to_nobody(scene: Scene) -> None:
    """The time-out of the client ends a blocking call as a cancellation does."""
    with blocking_accidents(scene, timeout=IMPATIENT_SECONDS) as accidents:
        # The lost reply is met for sure where others ask before it comes; a session's other
        # calls are for the night.
        for call in (Call(0, "read"), Call(1, "write"), Call(4, "read"), Call(5, "write")):
            for at_once in (True, False):
                if scene.nightly or at_once or call.cell in ANSWERS:
                    accident = partial(accidents.time_out, call, at_once=at_once)
                    demand(scene, accident, f"{accidents.caller.told(call)} timed out")


@pytest.mark.requirement(HAZARDS)
def test_a_reconnect_leads_back_to_the_same_database(scene: Scene) -> None:
    """After the server closed all connections each call finds its own tenant and database."""
    for connections in (1, 3):
        with blocking_accidents(scene, max_connections=connections) as accidents:
            hazards.reconnect(accidents, times=6)
            scene.evidence.settle()


@pytest.mark.requirement(HAZARDS)
def test_a_connection_that_breaks_in_a_reply_leaves_none_of_it(scene: Scene) -> None:
    """Wherever a connection breaks in the replies of a call, the next ones get their own."""
    with blocking_accidents(scene) as accidents:

        @NIGHTLY if scene.nightly else SETTINGS
        @given(stories("cut"))
        @always(each_kind(_CUTS, "read", families=[ANSWERS + SESSIONS], whole=True))
        @always(each_kind(_SHORT_CUTS, "remove", families=[ANSWERS + SESSIONS], whole=True))
        @always(each_kind(_CUTS, "write", families=[ANSWERS + SESSIONS[:1]], whole=True))
        def hold(story: list[Step]) -> None:
            accidents.play(story)
            scene.evidence.settle()

        hold()


@pytest.mark.requirement(HAZARDS)
def test_an_exhausted_pool_gives_nobody_a_connection_in_use(scene: Scene) -> None:
    """More callers than connections: each gets its own reply, or an error."""
    for timeout in (CROWD_SECONDS, IMPATIENT_SECONDS):
        with blocking_accidents(scene, timeout=timeout, max_connections=2) as accidents:
            callers = 16 if accidents.in_process else 24
            crowd = partial(
                hazards.crowd, accidents, callers, until_errors=timeout == IMPATIENT_SECONDS
            )
            for _ in range(2):
                demand(scene, crowd, f"{callers} callers asked at once")


@pytest.mark.requirement(HAZARDS)
def test_parent_and_child_share_no_connection(scene: Scene) -> None:
    """After a fork both go on with the same handles at the same time."""
    for connections in (1, 3):
        with blocking_accidents(scene, max_connections=connections) as accidents:
            demand(scene, partial(hazards.fork, accidents), "the process forked")


@pytest.mark.requirement(HAZARDS)
def test_a_call_that_fails_spoils_no_later_one(scene: Scene) -> None:
    """An error in the middle of a call leaves no transaction open and no reply unread."""
    with blocking_accidents(scene) as accidents:
        hazards.spoil(accidents)
        scene.evidence.settle()


@pytest.mark.requirement(HAZARDS)
def test_a_memory_of_the_client_keeps_tenants_and_databases_apart(scene: Scene) -> None:
    """Two tenants use the same names for answers and sessions; each reads what it wrote."""
    with blocking_accidents(scene) as accidents:
        hazards.remember(accidents)
        scene.evidence.settle()


@pytest.mark.requirement(HAZARDS)
def test_an_interrupted_pop_gives_its_job_to_nobody_else(scene: Scene, evidence: Evidence) -> None:
    """Whoever pops next gets a job of its own tenant, and a broken push is not made twice."""
    with scene.system(timeout=IMPATIENT_SECONDS, max_connections=2) as system:
        if system.queues is None or not serves(scene.run.contract, families.QUEUES):
            evidence.note = "the system offers no queues, so no pop was interrupted"
            return
        accidents = PopAccidents(scene, system)
        for ending in ENDINGS:
            told = f"a pop was {ending}"
            if ending != "timed out":
                demand(scene, partial(accidents.interrupt_waiting, ending), told)
            for at_once in (True, False):
                demand(scene, partial(accidents.lose_job, ending, at_once=at_once), told)
        for after in (0, 1, 3):
            accidents.break_push(after)
            evidence.settle()


@pytest.mark.requirement(BINDING)
def test_no_operation_lands_in_another_database(scene: Scene) -> None:
    """Each key lies in its own database and in no other, on a server that can be looked at whole.

    Threads share the handles, and tasks those for asyncio; families of several databases are
    mixed, and the connections are cut meanwhile.
    """
    cuts = 200 if scene.nightly else 6
    with scene.surroundings(max_connections=CONNECTIONS) as surroundings:
        system = scene.built(surroundings)
        if system.tenant_store is None:
            raise NotOffered("the system offers no tenant store")
        crew = Crew(scene, system, system.tenant_store)
        crew.play(cuts)
        scene.evidence.settle()
        if system.async_tenant_store is None:
            scene.evidence.note = "the system offers no tenant store for asyncio, so no tasks ran"
            return
        with event_loop(surroundings) as runner:
            runner.run(crew.play_with_tasks(cuts, system.async_tenant_store))
            scene.evidence.settle()
