# SPDX-License-Identifier: Apache-2.0
"""Tenants whose answers are hot in an order that neither names nor writing tell."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

from kryonix_cache.conformance.optimising.families import SDK_CONFIG
from kryonix_cache.conformance.optimising.looks import judge_lifetime, judge_untouched
from kryonix_cache.conformance.optimising.server_time import heat

if TYPE_CHECKING:
    from kryonix_cache.conformance.datasets import Place
    from kryonix_cache.conformance.optimising.scene import Scene
    from kryonix_cache.conformance.optimising.tenants import MadeTenant

_MORE = 12
_POLICIES = {False: ("allkeys-lru", "OBJECT IDLETIME"), True: ("allkeys-lfu", "OBJECT FREQ")}


def judge_heat(scene: Scene, *, by_frequency: bool) -> None:
    """Judge which of a tenant's answers are extended under one eviction policy."""
    policy, figure = _POLICIES[by_frequency]
    rule = scene.rule
    tenant = scene.tenant("lfu" if by_frequency else "lru")
    bystander = scene.tenant("lfu-2" if by_frequency else "lru-2")
    tenant.metrics(cache_hit_rate="50")
    bystander.metrics(cache_hit_rate="50")
    short = {
        tenant.answer("crm", f"e{number:02}", ttl=1000 + 20 * number, age=60): 1000 + 20 * number
        for number in range(rule.hottest_keys + _MORE)
    }
    order = list(short)
    draw = Random(scene.session.plan.request.seed)  # noqa: S311 (it makes data, and no secret)
    draw.shuffle(order)
    tenant.session("ana", "desktop")
    # Each tenant has its own hottest, however cold they are beside another's.
    cold = scene.tenant("lfu-3" if by_frequency else "lru-3")
    cold.metrics(cache_hit_rate="50")
    colder = [cold.answer("crm", f"e{number}", ttl=1000) for number in range(3)]
    others = [*_others(tenant, rule.ttl_below_s), bystander.answer("crm", "e00", ttl=1000)]
    with scene.policy(policy):
        before = scene.look()
        # The hottest of all are those that may not be extended.
        heat(scene.clients, others + order + colder, by_frequency=by_frequency)
        scene.run(tenant, cold)
        after = scene.look()
    for at in colder:
        why = f"{rule.ttl_factor:g} times 1000 s, for its tenant has no hotter ones"
        wanted = rule.ttl_factor * 1000
        judge_lifetime(scene.evidence, before, after, at, wanted_s=wanted, why=why)
    chosen, left = order[: rule.hottest_keys], order[rule.hottest_keys :]
    scene.evidence.saw("answers", len(order))
    for rank, at in enumerate(chosen, 1):
        if at in after.keys and after.keys[at].ttl > before.keys[at].ttl:
            scene.evidence.saw("extended")
        why = f"{rule.ttl_factor:g} times {short[at]} s, for it is number {rank} by {figure}"
        judge_lifetime(
            scene.evidence, before, after, at, wanted_s=rule.ttl_factor * short[at], why=why
        )
    for rank, at in enumerate(left, rule.hottest_keys + 1):
        why = f"it is number {rank} by {figure}, and {rule.hottest_keys} are extended"
        judge_untouched(scene.evidence, before, after, [at], why)
    rest = before.keys.keys() - short.keys() - set(colder)
    judge_untouched(scene.evidence, before, after, rest, "it is none of the tenant's short answers")


def _others(tenant: MadeTenant, below_s: int) -> list[Place]:
    """Write what is no answer that lives shortly."""
    return [
        tenant.answer("crm", "for-ever", ttl=None),
        tenant.answer("crm", "long", ttl=below_s + 300),
        tenant.string(SDK_CONFIG, "{}", ttl=below_s // 4),
    ]


def judge_ages(scene: Scene) -> None:
    """Judge how long answers live that are too old to live half as long again."""
    rule, tenant = scene.rule, scene.tenant("ages")
    tenant.metrics(cache_hit_rate=f"{rule.hit_rate_below_percent - 0.1:g}%")
    oldest, below = rule.oldest_value_s, rule.ttl_below_s
    wanted = {
        tenant.answer("crm", "just-short", ttl=below - 60): rule.ttl_factor * (below - 60),
        tenant.answer("crm", "unknown-age", ttl=1000, age=None): rule.ttl_factor * 1000,
        tenant.answer("crm", "capped", ttl=3000, age=oldest - 4000): 4000.0,
        tenant.answer("crm", "nearly", ttl=600, age=oldest - 700): 700.0,
    }
    unchanged = [
        tenant.answer("crm", "too-old-to-extend", ttl=900, age=oldest - 800),
        tenant.answer("crm", "over-age", ttl=500, age=oldest + 100),
        tenant.answer("crm", "just-long", ttl=below + 60),
    ]
    before = scene.look()
    scene.run(tenant)
    after = scene.look()
    for at, seconds in wanted.items():
        scene.evidence.saw("answers")
        why = f"the smaller of {rule.ttl_factor:g} times its own and {oldest} s less its age"
        judge_lifetime(scene.evidence, before, after, at, wanted_s=seconds, why=why)
    judge_untouched(scene.evidence, before, after, unchanged, "it would not live longer")


def judge_thresholds(scene: Scene) -> None:
    """Judge that answers of tenants whose hit rate is good, or unknown, are left alone."""
    tenants = {name: scene.tenant(name) for name in ("at", "above", "unmeasured", "unreadable")}
    tenants["at"].metrics(cache_hit_rate=f"{scene.rule.hit_rate_below_percent:g}")
    tenants["above"].metrics()
    tenants["unreadable"].metrics(cache_hit_rate="low")
    for tenant in tenants.values():
        tenant.answer("crm", "list", ttl=1000)
    before = scene.look()
    scene.run()
    after = scene.look()
    for name, tenant in tenants.items():
        scene.evidence.saw("answers")
        places = [tenant.answer_place("crm", "list")]
        why = f"the tenant's hit rate is {'unknown' if name.startswith('un') else 'good'}"
        judge_untouched(scene.evidence, before, after, places, why)
