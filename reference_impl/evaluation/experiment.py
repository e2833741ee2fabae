# SPDX-License-Identifier: Apache-2.0
"""An evaluation: every arm on every workload and seed, and the control that hours matter."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from kryonix_cache.reference_impl.demand.series import HOURS_OF_DAY, SECONDS_OF_HOUR
from kryonix_cache.reference_impl.evaluation.arms import ARMS, WARM_UP_HOURS, single
from kryonix_cache.reference_impl.evaluation.errors import TooShortError
from kryonix_cache.reference_impl.evaluation.simulator import simulate
from kryonix_cache.reference_impl.evaluation.workload import shuffle_hours
from kryonix_cache.reference_impl.prediction.calibration import Trials

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from kryonix_cache.reference_impl.evaluation.arms import Plan, Setting
    from kryonix_cache.reference_impl.evaluation.replay import Replayed
    from kryonix_cache.reference_impl.evaluation.simulator import Outcome
    from kryonix_cache.reference_impl.evaluation.workload import Workload

NONE, OURS, ORACLE = "none", "ours", "oracle"
LEAST_HOURS = WARM_UP_HOURS + HOURS_OF_DAY


@dataclass(frozen=True, slots=True, eq=False)
class Played:
    """All arms on one workload of one seed.

    `models` are the days that each predictor was used; `trials` the stated probabilities of our
    preloads and how many came true; `control` the lead of a seasonal predictor over one of recent
    hours, with the hours as they are and shuffled, in percent of the cost without preload.
    """

    name: str
    seed: int | None
    synthetic: str
    notes: tuple[str, ...]
    outcomes: Mapping[str, Outcome]
    models: Mapping[str, int]
    trials: Trials
    control: tuple[float, float] | None = None
    plans: Mapping[str, Plan] = field(default_factory=dict, repr=False)


def play(workload: Workload, setting: Setting, *, seed: int | None, control: bool) -> Played:
    """Play every arm on a workload; the first week is learnt from and not judged.

    Raises:
        TooShortError: it leaves nothing to judge.

    """
    if workload.hours < LEAST_HOURS:
        raise TooShortError(workload.name, workload.hours, LEAST_HOURS)
    hours = range(WARM_UP_HOURS, workload.hours)
    plans = {name: arm(workload, setting) for name, arm in ARMS.items()}
    outcomes = {name: simulate(workload, plan, setting, hours) for name, plan in plans.items()}
    return Played(
        workload.name,
        seed,
        workload.synthetic,
        workload.notes,
        outcomes,
        dict(plans[OURS].models),
        _trials(workload, plans[OURS], setting),
        _control(workload, setting, seed or 0) if control else None,
        {NONE: plans[NONE], OURS: plans[OURS]},
    )


def play_all(
    subjects: Sequence[Callable[[int], Workload]],
    seeds: Sequence[int],
    setting: Setting,
    progress: Callable[[str], None],
) -> tuple[tuple[Played, ...], tuple[tuple[Workload, Mapping[str, Plan]], ...]]:
    """Play each subject with each seed; the first seed has the control.

    A subject makes the workload of a seed. Returns what was played, and the workloads of the first
    seed with their plans, for a replay.
    """
    played: list[Played] = []
    cases = []
    for subject in subjects:
        for seed in seeds:
            workload = subject(seed)
            progress(f"{workload.name}, seed {seed}")
            one = play(workload, setting, seed=seed, control=seed == seeds[0])
            played.append(one)
            if seed == seeds[0]:
                cases.append((workload, one.plans))
    return tuple(played), tuple(cases)


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """Everything that was measured."""

    setting: Setting
    seeds: tuple[int, ...]
    played: tuple[Played, ...]
    replayed: tuple[Replayed, ...] | None

    @property
    def agrees(self) -> bool:
        """Whether simulator and server agree, as far as they were compared."""
        return all(one.agrees for one in self.replayed or ())


def _trials(workload: Workload, plan: Plan, setting: Setting) -> Trials:
    """Hold the stated probabilities against what was asked for while a preload would live."""
    share = min(1.0, setting.lifetime_s / SECONDS_OF_HOUR)
    early = workload.at % 1.0 < share
    cells = workload.item[early] * workload.hours + workload.at[early].astype(np.int64)
    asked = np.bincount(cells, minlength=len(workload.items) * workload.hours) > 0
    asked = asked.reshape(-1, workload.hours)
    chances = plan.chances or ()
    true = [asked[items, hour] for hour, items in enumerate(plan.wanted)]
    stated = np.concatenate([np.zeros(0), *chances])
    came = np.concatenate([np.zeros(0), *true]).astype(np.float64)
    return Trials.count(stated, came, np.zeros(stated.size, dtype=np.int64))


def _control(workload: Workload, setting: Setting, seed: int) -> tuple[float, float]:
    return (_lead(workload, setting), _lead(shuffle_hours(workload, seed), setting))


def _lead(workload: Workload, setting: Setting) -> float:
    hours = range(WARM_UP_HOURS, workload.hours)
    none = simulate(workload, ARMS[NONE](workload, setting), setting, hours).cost
    profile, recency = (
        simulate(workload, single(model)(workload, setting), setting, hours).cost
        for model in ("profile", "recency")
    )
    return 100.0 * (recency - profile) / none if none else 0.0
