# SPDX-License-Identifier: Apache-2.0
"""The mobile rule, judged at, below and above its threshold, with and without a loader."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kryonix_cache.conformance.optimising.families import ESSENTIALS
from kryonix_cache.conformance.optimising.kept import judge_kept, judge_nothing_kept
from kryonix_cache.conformance.optimising.loaders import TellingLoader

if TYPE_CHECKING:
    from kryonix_cache.conformance.optimising.scene import Scene

_USERS = {
    "quarters": (3, 1),
    "just-above": (5, 2),
    "at-the-share": (7, 3),
    "below": (1, 1),
}
"""Mobile and other users; the contract's share is 70 of 100."""


def judge_loaded(scene: Scene) -> None:
    """Judge whose items are kept, and that each is what the loader gave of it."""
    tenants = {name: scene.tenant(name) for name in _USERS}
    for name, (mobile, others) in _USERS.items():
        tenants[name].users(mobile, others)
    for name in ("claims", "sessions"):
        tenants[name] = scene.tenant(name)
        tenants[name].metrics(mobile_users="45", total_users="50")
    # Many sessions make no many users.
    for _ in range(8):
        tenants["sessions"].session("ana", "mobile")
    tenants["sessions"].users(mobile=0, others=3)
    shares = {name: mobile / (mobile + others) * 100 for name, (mobile, others) in _USERS.items()}
    above = {
        name for name, share in shares.items() if share > scene.rule.mobile_share_above_percent
    }
    loader = TellingLoader()
    before = scene.look()
    scene.run(loader=loader)
    after = scene.look()
    for name, tenant in tenants.items():
        if name not in above:
            why = "so many of its users are not mobile, whatever its sessions and metrics say"
            judge_nothing_kept(scene, after, tenant, why)
            continue
        for item, answer in scene.rule.essentials.items():
            place = tenant.place(ESSENTIALS, item=item)
            real = loader.gave(tenant.id, item, answer.item)
            judge_kept(scene, before, after, place, real=real, wanted_s=scene.lifetime(ESSENTIALS))


def judge_copied(scene: Scene) -> None:
    """Judge that copies are the tenant's own data, and never get older than values may."""
    tenant, stale, oldest = scene.tenant("own"), scene.tenant("stale"), scene.rule.oldest_value_s
    for each in (tenant, stale):
        each.users(mobile=2, others=0)
    (first, second, third), longest = scene.rule.essentials.items(), scene.lifetime(ESSENTIALS)
    tenant.answer(first[1].module, first[1].endpoint, ttl=900, age=100, data={"own": [1]})
    tenant.answer(second[1].module, second[1].endpoint, ttl=900, age=oldest - 600, data="old")
    stale.answer(first[1].module, first[1].endpoint, ttl=900, age=oldest + 60)
    before = scene.look()
    done = scene.run(tenant, stale)
    after = scene.look()
    for item, data, wanted in ((first[0], {"own": [1]}, longest), (second[0], "old", 600)):
        place = tenant.place(ESSENTIALS, item=item)
        judge_kept(scene, before, after, place, real=[data], wanted_s=min(wanted, longest))
    judge_nothing_kept(scene, after, stale, f"no value may be older than {oldest} s (E14)")
    if tenant.place(ESSENTIALS, item=third[0]) in after.keys or not scene.problems(done, tenant):
        scene.evidence.found(
            f"tenant {tenant.id}, item {third[0]}",
            found="a key, or no problem that speaks of it",
            wanted="no key and a problem: there is neither a loader nor an answer of its own",
            erratum="E16",
        )
