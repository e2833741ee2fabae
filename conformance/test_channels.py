# SPDX-License-Identifier: Apache-2.0
"""Isolation of what tenants hand on: jobs in queues, open connections, and broadcasts."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kryonix_cache.conformance.model.broadcasting import Ear, Post, Studio
from kryonix_cache.conformance.model.machine import WHOLE, play_machine
from kryonix_cache.conformance.model.programs import CHANNELS, NUMBERS, TENANT_NAMES, extent
from kryonix_cache.conformance.model.stages import BENCH
from kryonix_cache.conformance.model.waiting import judge_wait
from kryonix_cache.conformance.outcomes import NotOffered

if TYPE_CHECKING:
    from kryonix_cache.conformance.evidence import Evidence
    from kryonix_cache.conformance.model.stages import Stages


@pytest.mark.requirement("isolation.queues")
def test_a_job_reaches_its_own_tenant_in_order(stages: Stages) -> None:
    """Pushes, pops, counts and lists of each tenant are those of queues that nobody else has.

    A pop that waits is ended by a job of its own tenant, and by no other.
    """
    with stages.on_bench("queues") as stage:
        play_machine(stage, WHOLE, stages.origin, extent(stages.depth, examples=10, steps=20))
        judge_wait(stage)


@pytest.mark.requirement("isolation.websockets")
def test_a_registry_holds_a_tenants_own_connections(stages: Stages) -> None:
    """Each tenant sees, pings and removes its own connections, and none comes back by a ping."""
    with stages.on_bench("websockets") as stage:
        play_machine(stage, WHOLE, stages.origin, extent(stages.depth, examples=10, steps=20))


_LISTENING = dict.fromkeys(TENANT_NAMES, CHANNELS)
_EVERYBODY_POSTS = [Post(name, channel, 0) for channel in CHANNELS for name in TENANT_NAMES]


@pytest.mark.requirement("isolation.pubsub")
def test_a_broadcast_reaches_its_own_subscribers_only(stages: Stages, evidence: Evidence) -> None:
    """Whoever listens receives what its own tenant sends there, once and in order, and no more.

    That nothing else comes is not waited for: after all else each tenant sends a marker of its
    own, and a foreign message would have to stand before it. On a server that nobody else uses
    every channel is listened to as well: what is sent there is on the sender's own channels.
    """
    posts = st.builds(
        Post,
        tenant=st.sampled_from(TENANT_NAMES),
        channel=st.sampled_from(CHANNELS),
        number=st.integers(0, NUMBERS),
    )
    chosen = st.lists(st.sampled_from(CHANNELS), min_size=1, unique=True).map(tuple)
    listening = st.fixed_dictionaries(dict.fromkeys(TENANT_NAMES, chosen))
    session = stages.session
    # Own channels may be used on a live target; elsewhere the bench lets a system do its worst.
    server = session.system_target if session.target.live else session.bench_server(BENCH)
    evidence.ran_on = session.ran_on(server)
    with (
        session.surroundings_of(server, "isolation.pubsub") as surroundings,
        session.clients_of(server, "isolation.pubsub") as raw,
    ):
        broadcasts = session.system_in(surroundings).broadcasts
        if broadcasts is None:
            raise NotOffered("the system offers no broadcasts")
        tenant_id = session.plan.tenants.id
        studio = Studio(
            broadcasts, tenant_id, session.plan.contract, evidence, alone=not server.live
        )

        @extent(stages.depth, examples=12)
        @given(
            listening=listening,
            program=st.lists(posts, min_size=1, max_size=12),
            at_once=st.booleans(),
            overheard=st.booleans(),
        )
        @example(
            listening=_LISTENING, program=[Post("ab", "news", 0)], at_once=False, overheard=False
        )
        @example(
            listening=_LISTENING, program=[Post("a", "news", 0)], at_once=False, overheard=False
        )
        @example(
            listening=_LISTENING, program=[Post("a", "news", 0)], at_once=False, overheard=True
        )
        @example(listening=_LISTENING, program=_EVERYBODY_POSTS, at_once=False, overheard=False)
        @example(listening=_LISTENING, program=_EVERYBODY_POSTS, at_once=True, overheard=True)
        def hold(
            listening: dict[str, tuple[str, ...]],
            program: list[Post],
            at_once: bool,  # noqa: FBT001 (drawn by Hypothesis)
            overheard: bool,  # noqa: FBT001 (drawn by Hypothesis)
        ) -> None:
            evidence.start_over()
            with ExitStack() as stack:
                ear = (
                    stack.enter_context(Ear.open(raw[0])) if overheard and not server.live else None
                )
                listeners = studio.listen(listening, stack)
                groups = [[p for p in program if p.tenant == name] for name in TENANT_NAMES]
                with ThreadPoolExecutor(len(TENANT_NAMES) if at_once else 1) as pool:
                    sent = list(pool.map(studio.send, groups if at_once else [program]))
                for listener in listeners:
                    studio.judge(listener, program)
                # An ear is one more who hears each post.
                if ear is None:
                    studio.count([each for group in sent for each in group], listening)
                else:
                    studio.judge_channels(ear.heard(), program)
            evidence.settle()

        hold()
