# SPDX-License-Identifier: Apache-2.0
"""Small workloads of made-up demand."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

from kryonix_cache.reference_impl.evaluation.generator import (
    Population,
    generate,
    made_up_series,
)

if TYPE_CHECKING:
    from kryonix_cache.reference_impl.evaluation.workload import Workload

SMALL = Population(items=200)


@cache
def made_up(
    name: str, *, days: int = 21, seed: int = 1, population: Population = SMALL
) -> Workload:
    series = next(one for one in made_up_series(seed, days) if one.name == name)
    return generate(replace(series, requests=series.requests * 0.5), population, seed)
