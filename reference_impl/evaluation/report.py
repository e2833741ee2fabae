# SPDX-License-Identifier: Apache-2.0
"""What an evaluation says: per series and in sum, as rows, as JSON and in sentences."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import reduce
from operator import add
from typing import TYPE_CHECKING

import numpy as np

from kryonix_cache.reference_impl.evaluation.arms import ARMS
from kryonix_cache.reference_impl.evaluation.experiment import NONE, ORACLE
from kryonix_cache.reference_impl.evaluation.replay import MOST_APART
from kryonix_cache.reference_impl.prediction.choice import PRICE

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from kryonix_cache.reference_impl.evaluation.experiment import Evaluation, Played
    from kryonix_cache.reference_impl.evaluation.simulator import Outcome

# Student's 95 % quantile, one-sided, by the number of seeds; a single seed has no noise to tell.
_QUANTILES = {1: 0.0, 2: 6.31, 3: 2.92, 4: 2.35, 5: 2.13}
_MANY = 2.0

ALL = "all"


@dataclass(frozen=True, slots=True)
class Line:
    """One arm on one series, all seeds together; on `all`, all series together.

    `saved` are misses saved against no preload, in percent of the misses without; `noise` is its
    standard deviation over the seeds, None for one seed. `of_oracle` is the share of the oracle's
    saving, None where the oracle saves nothing. `worse` is whether misses, or misses and preloads
    at their price, rose beyond noise; on `all` it is the share of series where they did.
    """

    series: str
    arm: str
    hit_rate: float
    misses: int
    origin_loads: int
    preloads: int
    useful_percent: float | None
    saved_percent: float
    noise: float | None
    of_oracle_percent: float | None
    cost_percent: float
    worse: float


def lines(evaluation: Evaluation) -> list[Line]:
    """Return the lines of each series, then those of all series together."""
    names = list(dict.fromkeys(one.name for one in evaluation.played))
    groups = {name: [one for one in evaluation.played if one.name == name] for name in names}
    single = [
        _line(name, arm, [[one] for one in group]) for name, group in groups.items() for arm in ARMS
    ]
    by_seed = [
        [one for one in evaluation.played if one.seed == seed]
        for seed in dict.fromkeys(one.seed for one in evaluation.played)
    ]
    worse = {
        arm: float(np.mean([line.worse for line in single if line.arm == arm])) for arm in ARMS
    }
    together = [_line(ALL, arm, by_seed, worse[arm]) for arm in ARMS]
    return single + together


def _line(
    series: str, arm: str, samples: Sequence[Sequence[Played]], worse: float | None = None
) -> Line:
    """Make the line of one arm; a sample is what was played with one seed."""
    outcomes = [_sum(one.outcomes[arm] for one in sample) for sample in samples]
    bare = [_sum(one.outcomes[NONE] for one in sample) for sample in samples]
    whole, none = _sum(outcomes), _sum(bare)
    best = none.misses - _sum(one.outcomes[ORACLE] for sample in samples for one in sample).misses
    saved = [
        _percent(before.misses - after.misses, before.misses)
        for before, after in zip(bare, outcomes, strict=True)
    ]
    cost = [
        _percent(after.cost - before.cost, before.misses)
        for before, after in zip(bare, outcomes, strict=True)
    ]
    return Line(
        series,
        arm,
        whole.hit_rate,
        whole.misses,
        whole.origin_loads,
        whole.preloads,
        whole.useful_share,
        _percent(none.misses - whole.misses, none.misses),
        float(np.std(saved, ddof=1)) if len(saved) > 1 else None,
        100.0 * (none.misses - whole.misses) / best if best > 0 else None,
        _percent(whole.cost - none.cost, none.misses),
        float(_beyond_noise(cost) or _beyond_noise([-value for value in saved]))
        if worse is None
        else worse,
    )


def _beyond_noise(rises: Sequence[float]) -> bool:
    error = float(np.std(rises, ddof=1)) / len(rises) ** 0.5 if len(rises) > 1 else 0.0
    return float(np.mean(rises)) > _QUANTILES.get(len(rises), _MANY) * error + 1e-9


def rows(evaluation: Evaluation) -> list[dict[str, object]]:
    """Return the lines as rows of a table for people."""
    return [
        {
            "series": line.series,
            "arm": line.arm,
            "hit_rate": f"{line.hit_rate:.1f} %",
            "misses": f"{line.misses:,}",
            "origin_loads": f"{line.origin_loads:,}",
            "useful_preloads": _shown(line.useful_percent),
            "misses_saved": f"{line.saved_percent:.1f} %"
            + ("" if line.noise is None else f" ±{line.noise:.1f}"),
            "of_the_oracle": _shown(line.of_oracle_percent),
            "cost": f"{line.cost_percent:+.1f} %",
            "made_worse": f"{line.worse:.0%}" if line.series == ALL else bool(line.worse),
        }
        for line in lines(evaluation)
    ]


def replay_rows(evaluation: Evaluation) -> list[dict[str, object]]:
    """Return what simulator and server said, as rows of a table."""
    return [
        {
            "series": one.name,
            "arm": one.arm,
            "requests": one.requests,
            "simulated": f"{one.simulated.hit_rate:.2f} %",
            "server": f"{one.hit_rate:.2f} %",
            "apart": f"{one.apart:.2f}",
            "sent_late": f"{one.late:.1%}",
            "agrees": one.agrees,
        }
        for one in evaluation.replayed or ()
    ]


def sentences(evaluation: Evaluation) -> list[str]:
    """Say what was made up, how it was measured, and what came out."""
    setting = evaluation.setting
    said = [
        *_made_up(evaluation.played),
        (
            f"Each hour up to {setting.budget} items are preloaded that live for "
            f"{setting.lifetime_s:g} s; a history holds {setting.history_items} items. Cost is "
            f"misses, and preloads at {PRICE:g} of a miss."
        ),
        *_notes(evaluation.played),
        _confidence(evaluation.played),
        *_control(evaluation.played),
        *(_choices(one) for one in evaluation.played if one.seed == evaluation.played[0].seed),
        _agreement(evaluation),
    ]
    return [sentence for sentence in said if sentence]


def to_json(evaluation: Evaluation) -> dict[str, object]:
    """Return everything that was measured, as JSON has it."""
    return {
        "synthetic": _made_up(evaluation.played),
        "setting": asdict(evaluation.setting),
        "seeds": list(evaluation.seeds),
        "lines": [asdict(line) for line in lines(evaluation)],
        "models": [
            {"series": one.name, "seed": one.seed, "days": dict(one.models)}
            for one in evaluation.played
        ],
        "confidence": reliability(evaluation.played),
        "control": [
            {"series": one.name, "lead": one.control[0], "lead_shuffled": one.control[1]}
            for one in evaluation.played
            if one.control
        ],
        "replay": None
        if evaluation.replayed is None
        else [
            {
                "series": one.name,
                "arm": one.arm,
                "requests": one.requests,
                "simulated_hit_rate": one.simulated.hit_rate,
                "server_hit_rate": one.hit_rate,
                "sent_late": one.late,
                "agrees": one.agrees,
            }
            for one in evaluation.replayed
        ],
        "sentences": sentences(evaluation),
    }


def reliability(played: Sequence[Played]) -> list[dict[str, float]]:
    """Return for each bin of stated probability what was stated and what came true."""
    number, predicted, true = (
        sum(getattr(one.trials, part).sum(axis=0) for one in played)
        for part in ("number", "predicted", "true")
    )
    return [
        {
            "preloads": float(number[index]),
            "stated": float(predicted[index] / number[index]),
            "came_true": float(true[index] / number[index]),
        }
        for index in np.flatnonzero(number).tolist()
    ]


def _made_up(played: Sequence[Played]) -> list[str]:
    texts = dict.fromkeys(one.synthetic for one in played)
    said = [f"{text[0].upper()}{text[1:]}." for text in texts if text]
    if "" in texts:
        said.append("For an access log the oracle knows what was then asked for.")
    return said


def _notes(played: Sequence[Played]) -> list[str]:
    return list(dict.fromkeys(f"{one.name}: {note}." for one in played for note in one.notes))


def _confidence(played: Sequence[Played]) -> str:
    bins = reliability(played)
    number = sum(each["preloads"] for each in bins)
    if not number:
        return "Nothing was predicted."
    stated, true = (
        sum(each[part] * each["preloads"] for each in bins) / number
        for part in ("stated", "came_true")
    )
    return f"Confidence: {stated:.1%} was stated on average, {true:.1%} came true."


def _control(played: Sequence[Played]) -> list[str]:
    leads = [one.control for one in played if one.control]
    if not leads:
        return []
    lead, shuffled = np.mean(leads, axis=0)
    return [
        (
            f"Control: a profile of the hours of day leads one of recent hours by {lead:.1f} "
            f"points of cost, and by {shuffled:.1f} with the hours of each day shuffled."
        )
    ]


def _choices(played: Played) -> str:
    used = ", ".join(f"{model} on {days}" for model, days in played.models.items())
    return f"{played.name}: days of each predictor: {used}."


def _agreement(evaluation: Evaluation) -> str:
    if evaluation.replayed is None:
        return "The simulator was not checked against a real server."
    most = max((one.apart for one in evaluation.replayed), default=0.0)
    if evaluation.agrees:
        return f"Simulator and real server agree within {most:.2f} points of hit rate."
    return (
        f"Simulator and real server are {most:.1f} points of hit rate apart, more than "
        f"{MOST_APART:g}: the simulated figures are not to be trusted."
    )


def _sum(outcomes: Iterable[Outcome]) -> Outcome:
    return reduce(add, outcomes)


def _percent(part: float, whole: float) -> float:
    return 100.0 * part / whole if whole else 0.0


def _shown(percent: float | None) -> str | None:
    return None if percent is None else f"{percent:.1f} %"
