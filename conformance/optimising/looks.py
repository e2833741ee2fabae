# SPDX-License-Identifier: Apache-2.0
"""
Looks at everything that lies on a server, and what changed between two of them.

Time passes between a write, a run and a look. Each look knows when it began and ended, so that
what passed is known from both sides and no fixed patience has to be guessed.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kryonix_cache.conformance.datasets import Dataset, Place, read_dataset
from kryonix_cache.conformance.judging.display import place as shown_place

if TYPE_CHECKING:
    from collections.abc import Collection

    from kryonix_cache.conformance.datasets import Content
    from kryonix_cache.conformance.evidence import Evidence
    from kryonix_cache.reference_impl.connection import Clients
    from kryonix_cache.reference_impl.contract import Contract

ROUNDING_MS = 1_500
"""Whole seconds may be rounded either way."""

FOR_EVER = -1


@dataclass(frozen=True, slots=True)
class Look:
    """Every key of a server, and the monotonic seconds between which it was read."""

    keys: Dataset
    began: float
    ended: float


def look(clients: Clients, contract: Contract) -> Look:
    """Read everything."""
    began = time.monotonic()
    keys = read_dataset(clients, contract)
    return Look(keys, began, time.monotonic())


def passed_ms(before: Look, after: Look) -> tuple[float, float]:
    """Return the least and the most that may have passed between two readings of one key."""
    return (after.began - before.ended) * 1000, (after.ended - before.began) * 1000


def lengthened_ms(before: Look, after: Look, place: Place) -> float:
    """Return by how much a key lives longer, in milliseconds; 0 within what cannot be told."""
    old, new = before.keys[place].ttl, after.keys[place].ttl
    if FOR_EVER in {old, new}:
        return 0 if old == new else float("inf") if new == FOR_EVER else float("-inf")
    least, most = passed_ms(before, after)
    if new > old - least + ROUNDING_MS:
        return new - (old - least)
    if new < old - most - ROUNDING_MS:
        return new - (old - most)
    return 0


def judge_untouched(
    evidence: Evidence, before: Look, after: Look, places: Collection[Place], why: str
) -> None:
    """Add a finding for each of the places that has another value or time to live now."""
    for place in sorted(places):
        old, new = before.keys[place], after.keys.get(place)
        where = shown_place(*place)
        if new is None:
            if old.ttl == FOR_EVER or old.ttl > passed_ms(before, after)[1] + ROUNDING_MS:
                evidence.found(where, found="no key any more", wanted=f"the key as it was: {why}")
        elif old.digest() != new.digest():
            evidence.found(where, found="another value", wanted=f"the value as it was: {why}")
        elif lengthened_ms(before, after, place):
            evidence.found(
                f"{where}, time to live",
                found=seconds(new),
                wanted=f"{seconds(old)} less what has passed since: {why}",
            )


def judge_lifetime(
    evidence: Evidence, before: Look, after: Look, place: Place, *, wanted_s: float, why: str
) -> None:
    """Add a finding unless a key has `wanted_s` seconds to live, counted when the run acted.

    What was computed from an older time to live shrank with it before it was computed, so half
    as much again of what has passed may be missing.
    """
    where, new = f"{shown_place(*place)}, time to live", after.keys.get(place)
    wanted = f"{wanted_s:g} s: {why}"
    if new is None:
        evidence.found(where, found="no key", wanted=wanted)
        return
    old = before.keys.get(place)
    if old is not None and old.digest() != new.digest():
        evidence.found(shown_place(*place), found="another value", wanted="the value as it was")
    most = passed_ms(before, after)[1]
    low = wanted_s * 1000 - 1.5 * most - ROUNDING_MS
    if not low <= new.ttl <= wanted_s * 1000 + ROUNDING_MS:
        evidence.found(where, found=seconds(new), wanted=wanted)


def seconds(content: Content) -> str:
    """Say how long a key lives."""
    return "for ever" if content.ttl == FOR_EVER else f"{content.ttl / 1000:.1f} s"
