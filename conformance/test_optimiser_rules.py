# SPDX-License-Identifier: Apache-2.0
"""Optimisers, judged by what their rules change: when they fire, on what, and how far."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from kryonix_cache.conformance.judging.display import place as shown_place
from kryonix_cache.conformance.optimising import heated, mobile, preloads, unreal
from kryonix_cache.conformance.optimising.afternoon import Afternoon
from kryonix_cache.conformance.optimising.families import ANSWERS
from kryonix_cache.conformance.optimising.looks import judge_lifetime, judge_untouched

if TYPE_CHECKING:
    from kryonix_cache.conformance.evidence import Evidence
    from kryonix_cache.conformance.optimising.scene import Scene


@pytest.mark.requirement("optimiser.ttl-rule")
def test_the_hottest_short_answers_live_half_as_long_again(
    scene: Scene, evidence: Evidence
) -> None:
    """They are the hottest by the server's own figures, under each kind of policy."""
    heated.judge_thresholds(scene)
    heated.judge_ages(scene)
    for by_frequency in (False, True):
        heated.judge_heat(scene, by_frequency=by_frequency)
    evidence.settle()


@pytest.mark.requirement("optimiser.ttl-bounded")
def test_no_answer_gets_too_old_in_an_afternoon_of_runs(scene: Scene, evidence: Evidence) -> None:
    """Runs follow each other at the contract's interval, while answers end and are rewritten."""
    afternoon = Afternoon(scene)
    afternoon.play()
    evidence.settle()


@pytest.mark.requirement("optimiser.mobile-rule")
def test_what_mobile_users_ask_for_first_is_kept(scene: Scene, evidence: Evidence) -> None:
    """Above the share the three items are kept, from the loader or from the tenant's own."""
    mobile.judge_loaded(scene)
    mobile.judge_copied(scene)
    evidence.settle()


@pytest.mark.requirement("optimiser.api-rule")
def test_hot_answers_of_busy_tenants_live_until_they_are_old(
    scene: Scene, evidence: Evidence
) -> None:
    """Above the number of calls the hot answers are extended; nothing else is, and no other."""
    rule = scene.rule
    first, second, third = rule.hot
    above, at, unknown, both = (scene.tenant(name) for name in ("above", "at", "unknown", "both"))
    above.metrics(api_calls_today=f"{rule.api_calls_above + 1}")
    at.metrics(api_calls_today=f"{rule.api_calls_above}")
    unknown.metrics(api_calls_today=f"{rule.api_calls_above * 2}/day")
    both.metrics(api_calls_today=f"{rule.api_calls_above * 9}", cache_hit_rate="50")
    oldest = rule.oldest_value_s
    wanted = {
        above.answer(first.module, first.endpoint, ttl=1000, age=200): oldest - 200,
        above.answer(second.module, second.endpoint, ttl=5000, age=1000): oldest - 1000,
        both.answer(first.module, first.endpoint, ttl=1000, age=300): oldest - 300,
        both.answer("crm", "other", ttl=1000): 1000 * rule.ttl_factor,
    }
    above.answer("crm", "other", ttl=1000)
    both.answer(second.module, second.endpoint, ttl=900, age=oldest - 800)
    both.answer(third.module, third.endpoint, ttl=None)
    for tenant in (at, unknown):
        for answer in rule.hot:
            tenant.answer(answer.module, answer.endpoint, ttl=1000)
    before = scene.look()
    scene.run()
    after = scene.look()
    for place, lifetime in wanted.items():
        evidence.saw("answers")
        if place in after.keys and after.keys[place].ttl > before.keys[place].ttl:
            evidence.saw("extended")
        judge_lifetime(
            evidence, before, after, place, wanted_s=lifetime, why=f"until it is {oldest} s old"
        )
    rest = before.keys.keys() - wanted.keys()
    judge_untouched(evidence, before, after, rest, "the rule is not about it, or did not fire")
    for place in sorted(after.keys.keys() - before.keys.keys()):
        parsed = scene.contract.parse(*place)
        if parsed and parsed.family.name == ANSWERS:
            evidence.found(shown_place(*place), found="an answer", wanted="none: nobody wrote it")
    evidence.settle()


@pytest.mark.requirement("optimiser.preload-rule")
def test_what_is_always_asked_for_at_an_hour_is_preloaded_for_it(
    scene: Scene, evidence: Evidence
) -> None:
    """Another hour has other items; a tenant without habits has none."""
    preloads.judge_hours(scene)
    preloads.judge_copied(scene)
    evidence.settle()


@pytest.mark.requirement("optimiser.real-data")
def test_nothing_is_written_that_nobody_knows(scene: Scene, evidence: Evidence) -> None:
    """Without a source, and with loaders that fail in all ways, no value is written."""
    unreal.judge_sources(scene)
    unreal.judge_failing_loaders(scene)
    unreal.judge_hanging_loader(scene, patience=timedelta(seconds=10))
    evidence.settle()
