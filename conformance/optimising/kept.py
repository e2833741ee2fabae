# SPDX-License-Identifier: Apache-2.0
"""What an optimiser keeps for readers: whether it is real, whose it is, and how long it lives."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from kryonix_cache.conformance.judging.display import place as shown_place
from kryonix_cache.conformance.judging.display import shown_value
from kryonix_cache.conformance.optimising.families import PRELOADED, WRITTEN
from kryonix_cache.conformance.optimising.looks import ROUNDING_MS, passed_ms, seconds

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from kryonix_cache.conformance.datasets import Content, Place
    from kryonix_cache.conformance.optimising.looks import Look
    from kryonix_cache.conformance.optimising.scene import Scene
    from kryonix_cache.conformance.optimising.tenants import MadeTenant

NO_JSON = object()
"""Stands for a value that is no JSON, and is equal to nothing."""


def kept_of(
    scene: Scene, seen: Look, tenant: MadeTenant, *families: str
) -> Iterator[tuple[Place, dict[str, str], Content]]:
    """Yield place, parts and content of what is kept for a tenant in the families, in order."""
    for at in sorted(seen.keys):
        parsed = scene.contract.parse(*at)
        if parsed and parsed.tenant == tenant.id and parsed.family.name in (families or WRITTEN):
            yield at, dict(parsed.parts), seen.keys[at]


def data_of(content: Content) -> object:
    """Return the JSON that a key holds, or NO_JSON."""
    try:
        return json.loads(content.value) if isinstance(content.value, bytes) else NO_JSON
    except ValueError:
        return NO_JSON


def judge_kept(
    scene: Scene,
    before: Look,
    after: Look,
    at: Place,
    *,
    real: Sequence[object],
    wanted_s: float,
) -> None:
    """Add a finding unless a key holds one of the real values and lives `wanted_s` seconds."""
    scene.evidence.saw("items")
    where, content = shown_place(*at), after.keys.get(at)
    if content is None:
        scene.evidence.found(where, found="no key", wanted=f"a real value for {wanted_s:g} s")
        return
    judge_real(scene, at, content, real)
    low = wanted_s * 1000 - passed_ms(before, after)[1] - ROUNDING_MS
    if not low <= content.ttl <= wanted_s * 1000 + ROUNDING_MS:
        scene.evidence.found(
            f"{where}, time to live", found=seconds(content), wanted=f"{wanted_s:g} s"
        )


def judge_real(scene: Scene, at: Place, content: Content, real: Sequence[object]) -> None:
    """Add a finding unless a key holds one of the values that are real for it."""
    data = data_of(content)
    if data not in real:
        held = content.value if isinstance(content.value, bytes) else b""
        wanted = " or ".join(shown_value(json.dumps(each)) for each in real) or "no key at all"
        scene.evidence.found(
            shown_place(*at),
            found=f"the value {shown_value(held.decode(errors='backslashreplace'))}",
            wanted=f"what the loader gave or the tenant's own answer holds: {wanted}",
            erratum="E16",
        )


def judge_nothing_kept(scene: Scene, after: Look, tenant: MadeTenant, why: str) -> None:
    """Add a finding for each value that is kept for a tenant."""
    for at, _, content in kept_of(scene, after, tenant):
        held = content.value if isinstance(content.value, bytes) else b""
        scene.evidence.found(
            shown_place(*at),
            found=f"the value {shown_value(held.decode(errors='backslashreplace'))}",
            wanted=f"no key: {why}",
            erratum="E16",
        )


def preloaded(scene: Scene, after: Look, tenant: MadeTenant) -> dict[str, Place]:
    """Return what is preloaded for a tenant: the place of each item."""
    kept = kept_of(scene, after, tenant, PRELOADED)
    return {parts["item"]: at for at, parts, _ in kept}


def forget(scene: Scene, *tenants: MadeTenant) -> None:
    """Remove what is kept for tenants."""
    seen = scene.look()
    for tenant in tenants:
        for (database, key), _, _ in kept_of(scene, seen, tenant):
            scene.clients[database].unlink(key)
