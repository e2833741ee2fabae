# SPDX-License-Identifier: Apache-2.0
"""The simulated cache does what a cache with times to live does, request by request."""

from __future__ import annotations

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from kryonix_cache.conformance.model.programs import SETTINGS
from kryonix_cache.reference_impl.evaluation.arms import Plan, Setting
from kryonix_cache.reference_impl.evaluation.simulator import Outcome, simulate
from kryonix_cache.reference_impl.evaluation.workload import Workload, assemble

HOURS = 5
REQUESTS = st.lists(
    st.tuples(st.integers(0, 3), st.floats(0, HOURS, exclude_max=True, width=16)), max_size=60
)
WANTED = st.lists(
    st.permutations(range(4)).flatmap(
        lambda order: st.integers(0, 4).map(lambda number: order[:number])
    ),
    min_size=HOURS,
    max_size=HOURS,
)


def workload(requests: list[tuple[int, float]]) -> Workload:
    return assemble(
        "small",
        ("a", "b", "c", "d"),
        first_hour=0,
        hours=HOURS,
        item=np.array([row[0] for row in requests], dtype=np.int64),
        at=np.array([row[1] for row in requests], dtype=np.float64),
    )


def plan(wanted: list[list[int]]) -> Plan:
    return Plan(tuple(np.array(items, dtype=np.int64) for items in wanted))


def step_by_step(load: Workload, wanted: list[list[int]], ttl: float, budget: int) -> Outcome:
    """Do the same with one dict and no arithmetic on arrays."""
    expiry: dict[int, float] = {}
    unasked: dict[int, float] = {}
    misses = preloads = useful = 0
    rows = list(zip(load.item.tolist(), load.at.tolist(), strict=True))
    for hour in range(HOURS):
        for item in wanted[hour][:budget]:
            if expiry.get(item, -1e9) - hour < ttl / 2:
                expiry[item] = unasked[item] = hour + ttl
                preloads += 1
        for item, at in [row for row in rows if hour <= row[1] < hour + 1]:
            if at < unasked.pop(item, -1e9):
                useful += 1
            if at >= expiry.get(item, -1e9):
                misses += 1
                expiry[item] = at + ttl
    return Outcome(len(rows), misses, preloads, useful)


@SETTINGS
@given(REQUESTS, WANTED, st.sampled_from([0.125, 0.5, 1.0, 2.0, 4.0]), st.integers(0, 4))
def test_the_simulator_agrees_with_a_cache_played_step_by_step(
    requests: list[tuple[int, float]], wanted: list[list[int]], ttl: float, budget: int
) -> None:
    load = workload(requests)
    setting = Setting(lifetime_s=ttl * 3600, budget=budget)
    assert simulate(load, plan(wanted), setting, range(HOURS)) == step_by_step(
        load, wanted, ttl, budget
    )


def test_a_preload_that_ends_as_the_hour_ends_is_not_taken_for_warm_nor_cold_twice() -> None:
    """With two hours to live an item is preloaded every other hour: half of it left is warm."""
    load = workload([])
    outcome = simulate(load, plan([[0]] * HOURS), Setting(lifetime_s=7200, budget=1), range(HOURS))
    assert outcome.preloads == 3


def test_figures_follow_from_the_counts() -> None:
    outcome = Outcome(requests=200, misses=50, preloads=20, useful=15)
    assert outcome.hit_rate == pytest.approx(75)
    assert outcome.origin_loads == 70
    assert outcome.useful_share == pytest.approx(75)
    assert outcome.cost == pytest.approx(56)
    assert Outcome(0, 0, 0, 0).hit_rate == 0
    assert Outcome(0, 0, 0, 0).useful_share is None
    assert (outcome + outcome).misses == 100
