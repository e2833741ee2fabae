# SPDX-License-Identifier: Apache-2.0
"""
Isolation of tenants on the server: what a tenant's own user can do, and cannot do to others.

All of it is played on a disposable server of the bench, never on a live target.
"""

from __future__ import annotations

import math
import random
from typing import TYPE_CHECKING

import pytest

from kryonix_cache.conformance.attacks import identity, quadrants
from kryonix_cache.conformance.attacks.arena import ATTACKER, VICTIM, open_arena
from kryonix_cache.conformance.attacks.extras import nothing_else
from kryonix_cache.conformance.attacks.fuzz import fuzz
from kryonix_cache.conformance.attacks.judge import Judge
from kryonix_cache.conformance.attacks.push import (
    granted_channels,
    key_events,
    own_broadcasts,
    with_key_events,
)
from kryonix_cache.conformance.attacks.revocation import revocations
from kryonix_cache.conformance.attacks.stage import Stage
from kryonix_cache.conformance.attacks.sweep import sweep
from kryonix_cache.conformance.attacks.table import attack_table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from kryonix_cache.conformance.attacks.arena import Arena
    from kryonix_cache.conformance.evidence import Evidence
    from kryonix_cache.conformance.run import Depth
    from kryonix_cache.conformance.session import RunSession

CHANGED_CALLS: Mapping[Depth, int] = {"default": 2_000, "nightly": 100_000}
"""How many calls with words changed by chance are sent."""


@pytest.fixture
def arena(
    run_session: RunSession, request: pytest.FixtureRequest, evidence: Evidence
) -> Iterator[Arena]:
    """Give a server of the bench on which the system under test makes users for tenants."""
    requirement = request.node.get_closest_marker("requirement").args[0]
    with open_arena(run_session, requirement, evidence) as opened:
        yield opened


@pytest.mark.requirement("isolation.acl-keys")
def test_a_tenants_user_reaches_its_own_keys_and_no_others(
    arena: Arena, run_session: RunSession, evidence: Evidence
) -> None:
    """A tenant's user does with its keys what the contract says, and nothing with any other."""
    arena.admit(*arena.names)
    quadrants.own_access(arena)
    quadrants.session_access(arena)
    quadrants.foreign_access(arena)
    arena.populate((ATTACKER, VICTIM))
    tally = sweep(arena)
    request = run_session.plan.request
    chance = random.Random(request.seed)  # noqa: S311 (repeatable, no secret)
    evidence.saw("changed_calls", fuzz(arena, chance, CHANGED_CALLS[request.depth]))
    tried, through = quadrants.wrong_database(arena)
    arena.look_for_strangers("after the attacks")
    evidence.saw("attempts", tally.attempts)
    evidence.saw("commands_tried", len(tally.tried))
    evidence.note = f"{tally}; {_what_rules_cannot_say(arena, tried, through)}"
    evidence.settle()
    tally.settle(attack_table().untried_percent)


@pytest.mark.requirement("isolation.acl-enumeration")
def test_a_tenants_user_is_told_nothing_of_others(arena: Arena, evidence: Evidence) -> None:
    """What lists, counts or describes is refused, or tells nothing of another tenant."""
    _play(arena, evidence, "isolation.acl-enumeration")


@pytest.mark.requirement("isolation.acl-escape")
def test_no_way_round_leads_to_another_tenant(arena: Arena, evidence: Evidence) -> None:
    """Scripts, sorting, copying, moving, odd names and odd ids reach no key of another tenant."""
    _play(arena, evidence, "isolation.acl-escape", identity.hostile_ids)


@pytest.mark.requirement("isolation.acl-admin")
def test_a_tenants_user_does_not_run_the_server(arena: Arena, evidence: Evidence) -> None:
    """What configures, empties, stops or inspects the server is refused, and all else too."""
    _play(arena, evidence, "isolation.acl-admin", afterwards=[nothing_else])


@pytest.mark.requirement("isolation.acl-push")
def test_nothing_of_another_tenant_is_pushed(arena: Arena, evidence: Evidence) -> None:
    """A tenant hears its own broadcasts, and neither those of others nor what becomes of keys."""
    with with_key_events(arena):
        looks = [key_events, granted_channels]
        _play(arena, evidence, "isolation.acl-push", own_broadcasts, afterwards=looks)


@pytest.mark.requirement("isolation.acl-shared-code")
def test_code_that_all_share_is_out_of_reach(arena: Arena, evidence: Evidence) -> None:
    """Functions, scripts and what scripts share are neither shown nor changed."""
    _play(arena, evidence, "isolation.acl-shared-code")


@pytest.mark.requirement("isolation.identity")
def test_a_tenants_connection_is_its_own_users_and_stays_so(
    arena: Arena, evidence: Evidence
) -> None:
    """A tenant's connection has a user of its own, and no way of logging in leads further."""
    looks = (identity.own_user, identity.without_login, identity.doors)
    _play(arena, evidence, "isolation.identity", *looks)


@pytest.mark.requirement("isolation.revocation")
def test_access_that_is_taken_away_is_gone_in_time(arena: Arena, evidence: Evidence) -> None:
    """An open connection loses what is taken from its user, and the old password opens nothing."""
    seconds = revocations(arena)
    evidence.settle()
    slowest = max((each for each in seconds.values() if each is not None), default=0.0)
    evidence.note = f"gone within {math.ceil(slowest * 10) / 10:g} s: {', '.join(seconds)}"


def _play(
    arena: Arena,
    evidence: Evidence,
    requirement: str,
    *also: Callable[[Arena, Stage], None],
    afterwards: Sequence[Callable[[Arena, Stage], None]] = (),
) -> None:
    """Admit two tenants whose ids begin alike, and let one of them try everything.

    What finds much at once comes afterwards, for the report shows the first findings only.
    """
    arena.admit(ATTACKER, VICTIM)
    arena.populate((ATTACKER, VICTIM))
    arena.write(arena.population.system_keys())
    stage = Stage(arena)
    for look in also:
        look(arena, stage)
    judge = Judge(arena)
    judge.play(requirement)
    for look in afterwards:
        look(arena, stage)
    evidence.settle()
    judge.settle()


def _what_rules_cannot_say(arena: Arena, tried: int, through: int) -> str:
    """Say what the rules of this server's users cannot express, as far as it was tried."""
    sentences = [f"{through} of {tried} writes of own keys into other databases went through"]
    if not arena.binds_databases:
        sentences.append("this server has no rules by database")
    if not arena.parts_reading_from_writing:
        sentences.append("nor any that part reading from writing")
    sentences.append("no rule limits memory, processor time or connections of a tenant")
    return "; ".join(sentences)
