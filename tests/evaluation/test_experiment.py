# SPDX-License-Identifier: Apache-2.0
"""What preloading is worth on made-up demand, and that no arm has an unfair share."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from kryonix_cache.conformance.cli.evaluate import hourly_budget
from kryonix_cache.reference_impl.contract import default_contract
from kryonix_cache.reference_impl.demand.series import Demand
from kryonix_cache.reference_impl.evaluation.arms import ARMS, WARM_UP_HOURS, Setting, ours
from kryonix_cache.reference_impl.evaluation.errors import TooShortError
from kryonix_cache.reference_impl.evaluation.experiment import Evaluation, play, play_all
from kryonix_cache.reference_impl.evaluation.generator import (
    Population,
    generate,
    made_up_series,
)
from kryonix_cache.reference_impl.evaluation.report import ALL, Line, lines, sentences, to_json
from kryonix_cache.reference_impl.evaluation.series import Series, read_series
from kryonix_cache.reference_impl.prediction.choice import choose
from kryonix_cache.reference_impl.prediction.forecast import forecast
from kryonix_cache.reference_impl.prediction.history import look_back
from tests.evaluation.workloads import made_up

SETTING = Setting()
DEMAND = "KRYONIX_DEMAND"


def evaluation_of(series: list[Series], *, setting: Setting = SETTING) -> Evaluation:
    subjects = [partial(generate, one, Population()) for one in series]
    played, _ = play_all(subjects, (1, 2, 3), setting, lambda _: None)
    return Evaluation(setting, (1, 2, 3), played, None)


def by_arm(evaluation: Evaluation, series: str) -> dict[str, Line]:
    return {line.arm: line for line in lines(evaluation) if line.series == series}


def test_the_arm_of_ours_plans_what_a_forecast_names() -> None:
    """The evaluation judges the forecast of the product, hour by hour, and nothing else."""
    load = made_up("workdays", days=14)
    setting = Setting(budget=12)
    plan = ours(load, setting)
    compared = alike = 0
    for start in range(WARM_UP_HOURS, load.hours, 24):
        kept = np.flatnonzero(load.demand.counts[:, :start].sum(axis=1))
        kept = np.sort(
            kept[np.argsort(-load.demand.counts[kept, :start].sum(axis=1), kind="stable")][:128]
        )
        items = tuple(load.items[index] for index in kept)
        table = Demand(items, load.first_hour, load.demand.counts[kept])
        choice = choose(look_back(table, load.first_hour + start), lifetime_s=3600.0, budget=12)
        for hour in range(start, start + 24, 5):
            said = forecast(
                table, load.first_hour + hour, lifetime_s=3600.0, budget=12, choice=choice
            )
            planned = {load.items[index] for index in plan.wanted[hour].tolist()}
            assert len(said.items) == len(planned)
            compared += len(planned)
            alike += len(planned & {item.item for item in said.items})
    assert compared > 100
    # Items of the same rank may stand for each other at the end of the budget.
    assert alike > 0.97 * compared


@pytest.mark.parametrize("arm", [name for name in ARMS if name != "oracle"])
def test_no_arm_but_the_oracle_looks_ahead(arm: str) -> None:
    load = made_up("daily")
    cut = load.demand.counts.copy()
    cut[:, 15 * 24 :] = 0
    shorter = Demand(load.items, load.first_hour, cut)
    other = type(load)(
        load.name, load.items, load.first_hour, load.item, load.at, load.edges, shorter, None, ""
    )
    before, after = (ARMS[arm](one, SETTING) for one in (load, other))
    assert [items.tolist() for items in before.wanted[: 15 * 24]] == [
        items.tolist() for items in after.wanted[: 15 * 24]
    ]


@pytest.mark.parametrize("arm", ARMS)
def test_every_arm_keeps_to_the_budget(arm: str) -> None:
    plan = ARMS[arm](made_up("daily"), Setting(budget=3))
    assert max(items.size for items in plan.wanted) <= 3


def test_preloading_pays_on_made_up_demand_and_harms_nowhere() -> None:
    """Weekends, level shifts, drift, bursts, gaps, tiny and huge volumes."""
    series = [one for one in made_up_series(11) if one.name != "huge"]
    evaluation = evaluation_of(series)
    total = by_arm(evaluation, ALL)
    assert total["ours"].of_oracle_percent is not None
    assert total["ours"].of_oracle_percent > 80
    assert total["ours"].saved_percent > 3 * total["constants"].saved_percent
    assert total["ours"].cost_percent < min(
        total[arm].cost_percent for arm in ("none", "persistence", "seasonal naive", "constants")
    )
    assert total["ours"].worse == 0
    for one in series:
        assert not by_arm(evaluation, one.name)["ours"].worse, one.name


def test_the_control_with_shuffled_hours_loses_the_lead() -> None:
    """What a profile of hours gains comes from the hours."""
    steady = Population(items=200, profiled_share=0.9, sharpness=4.0, swapped_daily=2)
    load = made_up("daily", days=28, population=steady)
    control = play(load, SETTING, seed=1, control=True).control
    assert control is not None
    lead, shuffled = control
    assert lead > 3
    assert shuffled < 0


def test_stated_confidence_comes_true_on_made_up_demand() -> None:
    for name in ("daily", "workdays", "drift", "flat"):
        trials = play(made_up(name, days=28), SETTING, seed=1, control=False).trials
        number, stated, true = (
            part.sum() for part in (trials.number, trials.predicted, trials.true)
        )
        assert number > 100
        assert stated / number == pytest.approx(true / number, abs=0.05), name


def test_no_preload_is_chosen_where_nothing_repeats() -> None:
    """Rare requests of a thousand items, all alike: none is used on nearly every day."""
    even = Population(items=1000, exponent=0.0, profiled_share=0.0)
    load = generate(Series("even", 482_256, np.full(21 * 24, 40.0)), even, 1)
    played = play(load, SETTING, seed=1, control=False)
    assert played.models.get("none", 0) >= 13
    assert played.outcomes["ours"].preloads <= 0.01 * played.outcomes["none"].misses


def test_a_short_series_is_refused() -> None:
    load = generate(Series("short", 482_256, np.full(100, 5.0)), Population(), 1)
    with pytest.raises(TooShortError, match="short covers 100 hours and 192 are needed"):
        play(load, SETTING, seed=1, control=False)


def test_an_hour_without_any_request_breaks_nothing() -> None:
    load = generate(Series("silent", 482_256, np.zeros(240)), Population(), 1)
    evaluation = Evaluation(SETTING, (1,), (play(load, SETTING, seed=1, control=True),), None)
    assert by_arm(evaluation, ALL)["ours"].of_oracle_percent is None
    assert "Nothing was predicted." in sentences(evaluation)


def test_the_same_seed_gives_the_same_figures() -> None:
    load = generate(made_up_series(4, 14)[2], Population(), 4)
    first, again = (
        to_json(Evaluation(SETTING, (4,), (play(load, SETTING, seed=4, control=True),), None))
        for _ in range(2)
    )
    assert first == again


def test_an_arm_that_harms_is_said_to() -> None:
    """On rare demand the naive arms cost more than they save, and the report says so."""
    evaluation = evaluation_of([Series("rare", 482_256, np.full(14 * 24, 12.0))])
    arms = by_arm(evaluation, "rare")
    assert arms["seasonal naive"].worse
    assert not arms["ours"].worse
    assert by_arm(evaluation, ALL)["seasonal naive"].worse == 1


def test_the_default_budget_is_what_the_contract_allows_in_an_hour() -> None:
    rule = default_contract().optimiser
    assert rule is not None
    assert hourly_budget(rule) == Setting().budget == 40
    assert Setting().history_items == rule.history_items


@pytest.mark.skipif(not os.environ.get(DEMAND), reason=f"{DEMAND} names no folder of series")
@pytest.mark.parametrize("budget", [10, 40, 100])
def test_real_series_gain_four_fifths_of_what_an_oracle_gains(budget: int) -> None:
    """Demand is real, keys and their popularity are synthetic."""
    paths = sorted(Path(os.environ[DEMAND]).glob("*.csv"))
    assert paths
    evaluation = evaluation_of(
        [read_series(path) for path in paths], setting=Setting(budget=budget)
    )
    total = by_arm(evaluation, ALL)
    assert total["ours"].of_oracle_percent is not None
    assert total["ours"].of_oracle_percent > 80
    assert total["ours"].saved_percent > total["constants"].saved_percent
    assert total["ours"].worse == 0
