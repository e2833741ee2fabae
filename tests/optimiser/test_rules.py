# SPDX-License-Identifier: Apache-2.0
"""The rules as properties: never shorter, never too old, once for each written value (E14)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kryonix_cache.reference_impl.optimiser.rules import (
    FOR_EVER,
    GONE,
    LEAST_GAIN,
    Standing,
    extension,
    firing,
    gains,
    is_due,
    is_fresh,
    is_warm,
    opportunities,
)
from tests.optimiser.deeds import RULE, analysis

if TYPE_CHECKING:
    from kryonix_cache.reference_impl.optimiser.report import Rule

OLDEST_MS = 7_200_000
WEEK_OF_RUNS = 7 * 24 * 4
INTERVAL_MS = 900_000

rules: st.SearchStrategy[Rule] = st.sampled_from(["ttl", "api"])
standings = st.builds(
    Standing,
    ttl_ms=st.integers(-2, 8_000_000),
    age_ms=st.integers(0, 8_000_000),
    extended=st.booleans(),
)


@given(rules, standings, st.none() | st.integers(1, 8000))
def test_an_extension_is_longer_and_within_every_bound(
    by: Rule, standing: Standing, most_s: int | None
) -> None:
    lifetime = extension(RULE, by, standing, most_s=most_s, why="why")
    if lifetime is None:
        return

    assert not standing.extended
    assert standing.ttl_ms > 0
    assert lifetime.ttl_ms >= standing.ttl_ms + LEAST_GAIN
    assert standing.age_ms + lifetime.ttl_ms <= OLDEST_MS
    assert most_s is None or lifetime.ttl_ms <= most_s * 1000
    if by == "ttl":
        assert standing.ttl_ms < 3_600_000
        assert 2 * lifetime.ttl_ms <= 3 * standing.ttl_ms


@given(standings.filter(lambda it: it.ttl_ms > 0 and not it.extended))
def test_what_can_live_longer_within_the_bounds_does(standing: Standing) -> None:
    """The other half: a rule that never acts breaks no bound."""
    by_api = extension(RULE, "api", standing, most_s=7200, why="why")
    by_ttl = extension(RULE, "ttl", standing, most_s=7200, why="why")
    left = OLDEST_MS - standing.age_ms
    half_more = standing.ttl_ms * 3 // 2

    assert (by_api and by_api.ttl_ms) == (left if left >= standing.ttl_ms + 1000 else None)
    wanted = min(left, half_more)
    possible = standing.ttl_ms < 3_600_000 and wanted >= standing.ttl_ms + 1000
    assert (by_ttl and by_ttl.ttl_ms) == (wanted if possible else None)


@pytest.mark.parametrize("ttl_ms", [FOR_EVER, GONE, 0])
@pytest.mark.parametrize("by", ["ttl", "api"])
def test_what_never_expires_or_is_gone_is_left_alone(by: Rule, ttl_ms: int) -> None:
    assert extension(RULE, by, Standing(ttl_ms, 0, extended=False), most_s=7200, why="") is None


def test_an_odd_factor_lifts_nothing_above_it() -> None:
    """As a float 1.1 is above 1.1, and 1000000 times it above 1100000."""
    rule = replace(RULE, ttl_factor=1.1)
    found = extension(rule, "ttl", Standing(1_000_000, 0, extended=False), most_s=None, why="")

    assert found is not None
    assert found.ttl_ms == 1_100_000


def test_a_reason_names_what_it_rests_on() -> None:
    standing = Standing(600_000, 60_500, extended=False)
    found = extension(RULE, "ttl", standing, most_s=7200, why="the hit rate is low")

    assert found is not None
    assert found.reason == (
        "the hit rate is low: one of the 20 hottest answers lives 900 s instead of 600 s; "
        "it is 60.5 s old and gets at most 7200 s old"
    )


@dataclass
class Life:
    """One written value in a world without a server; `seen_ms` is when a run first saw it."""

    written_ms: int
    ends_ms: int
    dated: bool
    seen_ms: int | None = None
    extended: bool = False
    by_us: bool = False


def meet(life: Life, by: Rule, now_ms: int) -> None:
    """Let a run meet a value, as the actions do."""
    if life.seen_ms is None:
        life.seen_ms = now_ms
    since = life.written_ms if life.dated else life.seen_ms
    standing = Standing(life.ends_ms - now_ms, now_ms - since, life.extended)
    found = extension(RULE, by, standing, most_s=7200, why="")
    if found is not None:
        assert now_ms + found.ttl_ms > life.ends_ms
        life.ends_ms, life.extended, life.by_us = now_ms + found.ttl_ms, True, True


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 7_200_000), st.booleans()), min_size=1, max_size=6),
    st.lists(rules, min_size=1, max_size=5),
    st.integers(0, INTERVAL_MS),
)
def test_in_a_week_of_runs_no_extended_value_gets_older_than_the_bound(
    lifetimes: list[tuple[int, bool]], pattern: list[Rule], phase: int
) -> None:
    """A value that tells its age is bounded by it; another by its first sight, as E14 has it."""
    lives = [Life(phase, phase + ttl, dated) for ttl, dated in lifetimes]
    for run in range(WEEK_OF_RUNS):
        now = phase + run * INTERVAL_MS
        for index, life in enumerate(lives):
            if life.ends_ms <= now:
                since = life.written_ms if life.dated else life.seen_ms
                if life.by_us and since is not None:
                    assert life.ends_ms - since <= OLDEST_MS
                ttl, dated = lifetimes[index]
                lives[index] = Life(now, now + ttl, dated)
            else:
                meet(life, pattern[(run + index) % len(pattern)], now)


def test_what_is_unknown_makes_no_rule_fire() -> None:
    assert opportunities(RULE, analysis()) == ()


@pytest.mark.parametrize(
    ("figures", "fires"),
    [
        ({"hit_rate": 85.0}, ()),
        ({"hit_rate": 84.99}, ("ttl",)),
        ({"hit_rate": 0.0}, ("ttl",)),
        ({"calls": 5000}, ()),
        ({"calls": 5001}, ("api",)),
        ({"mobile": 70.0}, ()),
        ({"mobile": 70.01}, ("mobile",)),
        ({"items": ["crm.leads"]}, ("preload",)),
        (
            {"hit_rate": 1.0, "calls": 9000, "mobile": 90.0, "items": ["crm.leads"]},
            ("api", "ttl", "mobile", "preload"),
        ),
    ],
)
def test_each_rule_fires_beyond_its_threshold_only(
    figures: dict[str, object], fires: tuple[Rule, ...]
) -> None:
    assert tuple(firing(RULE, analysis(**figures))) == fires


@given(st.integers(-2, 10_000_000).filter(lambda it: it != 0), st.integers(1, 10_000_000))
def test_a_new_value_never_ends_before_the_one_it_replaces(present_ms: int, ttl_ms: int) -> None:
    assert gains(present_ms, ttl_ms) == (
        present_ms != FOR_EVER and ttl_ms >= 1000 + (0 if present_ms == GONE else present_ms)
    )


def test_an_item_is_fresh_beyond_the_interval_and_warm_from_half_of_its_preload_on() -> None:
    assert [is_due(RULE, ms) for ms in (GONE, 450_000, 450_001, FOR_EVER)] == [
        True,
        True,
        False,
        False,
    ]
    assert [is_fresh(RULE, ms) for ms in (GONE, 900_000, 900_001, FOR_EVER)] == [
        False,
        False,
        True,
        True,
    ]
    assert [is_warm(3600, ms) for ms in (GONE, 1_799_999, 1_800_000, FOR_EVER)] == [
        False,
        False,
        True,
        True,
    ]
