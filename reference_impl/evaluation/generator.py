# SPDX-License-Identifier: Apache-2.0
"""Made-up demand: hourly series with stated patterns, and keyed requests from any series.

Popularity and identity of the items are synthetic, whatever the series; `Population.describe` is
the sentence that says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from kryonix_cache.reference_impl.demand.series import HOURS_OF_DAY
from kryonix_cache.reference_impl.evaluation.series import Series
from kryonix_cache.reference_impl.evaluation.workload import MOST_REQUESTS, Workload, assemble

if TYPE_CHECKING:
    from numpy.typing import NDArray

_MONDAY = 482_256  # 2025-01-06 00:00 UTC


@dataclass(frozen=True, slots=True)
class Population:
    """The items of a tenant and how they are asked for.

    The item of rank r is as popular as 1 / r ** `exponent`. A share of the items has an hour of
    day of its own, around which it is asked for the more the higher `sharpness` is (the
    concentration of a von Mises distribution). Each day `swapped_daily` items give their place to
    new ones.
    """

    items: int = 1000
    exponent: float = 1.0
    profiled_share: float = 0.5
    sharpness: float = 2.0
    swapped_daily: int = 20

    def describe(self) -> str:
        """Say what is made up, for every place where a figure is shown."""
        return (
            f"keys and popularity are synthetic: {self.items} items, Zipf {self.exponent:g}, "
            f"{self.profiled_share:.0%} of them with an hour of day of their own, "
            f"{self.swapped_daily} swapped daily"
        )


def generate(series: Series, population: Population, seed: int) -> Workload:
    """Distribute the requests of a series over items; the same seed gives the same workload."""
    chance = np.random.default_rng([seed, *series.name.encode()])
    volume, notes = _whole(series, chance)
    shares = _shares(population, series, chance)
    names, places = _identities(population, -(-volume.size // HOURS_OF_DAY), chance)
    counts = np.stack(
        [
            chance.multinomial(number, shares[hour % HOURS_OF_DAY])
            for hour, number in enumerate(volume)
        ]
    )
    hour, place = np.nonzero(counts)
    number = counts[hour, place]
    item = np.repeat(places[hour // HOURS_OF_DAY, place], number)
    at = np.repeat(hour, number) + chance.random(item.size)
    # Rounding may carry the last moment of an hour into the next one.
    at = np.minimum(at, np.nextafter(np.repeat(hour, number) + 1.0, 0.0))
    rates = np.zeros((len(names), volume.size), dtype=np.float32)
    hours = np.arange(volume.size)
    rates[places[hours // HOURS_OF_DAY].T, hours[None, :]] = (
        shares[hours % HOURS_OF_DAY] * volume[:, None]
    ).T
    what = population.describe()
    return assemble(
        series.name,
        names,
        first_hour=series.first_hour,
        hours=volume.size,
        item=item,
        at=at,
        rates=rates,
        synthetic=f"the demand, too, is made up; {what}" if series.made_up else what,
        notes=notes,
    )


def _whole(
    series: Series, chance: np.random.Generator
) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    notes = []
    if series.missing:
        notes.append(f"{series.missing} hours are missing and count as hours without a request")
    total = float(series.requests.sum())
    if total <= MOST_REQUESTS:
        return np.rint(series.requests).astype(np.int64), tuple(notes)
    kept = MOST_REQUESTS / total
    notes.append(f"thinned to {kept:.2%} of its requests")
    return chance.poisson(series.requests * kept).astype(np.int64), tuple(notes)


def _shares(
    population: Population, series: Series, chance: np.random.Generator
) -> NDArray[np.float64]:
    """Return the shares of the places by hour of the series, which repeat each day."""
    popularity = np.arange(1, population.items + 1) ** -population.exponent
    peak = chance.uniform(0, HOURS_OF_DAY, population.items)
    profiled = chance.random(population.items) < population.profiled_share
    hour = (np.arange(HOURS_OF_DAY) + series.first_hour) % HOURS_OF_DAY
    angle = 2 * np.pi * (hour[:, None] - peak) / HOURS_OF_DAY
    shape = np.exp(population.sharpness * np.cos(angle)) / np.i0(population.sharpness)
    weights = popularity * np.where(profiled, shape, 1.0)
    result: NDArray[np.float64] = weights / weights.sum(axis=1, keepdims=True)
    return result


def _identities(
    population: Population, days: int, chance: np.random.Generator
) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """Return the items, and which of them holds each place on each day."""
    swapped = min(population.swapped_daily, population.items)
    places = np.empty((days, population.items), dtype=np.int64)
    places[0] = np.arange(population.items)
    for day in range(1, days):
        places[day] = places[day - 1]
        out = chance.choice(population.items, swapped, replace=False)
        places[day, out] = population.items + (day - 1) * swapped + np.arange(swapped)
    total = population.items + (days - 1) * swapped
    # An index that follows popularity would help whoever breaks ties by it.
    mixed = chance.permutation(total)
    return tuple(f"made-up:item.{index}" for index in range(total)), mixed[places]


def made_up_series(seed: int, days: int = 42) -> tuple[Series, ...]:
    """Return series with one pattern each, of Poisson counts; the same seed gives the same ones."""
    chance = np.random.default_rng([seed, days])
    hours = np.arange(days * HOURS_OF_DAY)
    day = 1.0 + 0.8 * np.cos(2 * np.pi * (hours % HOURS_OF_DAY - 15) / HOURS_OF_DAY)
    weekend = (hours // HOURS_OF_DAY) % 7 >= 5  # noqa: PLR2004 (the series start on a Monday)
    bursts = np.where(chance.random(hours.size) < 0.02, 15.0, 1.0)  # noqa: PLR2004 (one hour in 50)
    gone = np.zeros(hours.size, dtype=np.bool_)
    for start in chance.choice(hours.size - HOURS_OF_DAY, 5, replace=False):
        gone[start : start + HOURS_OF_DAY] = True
    rates = {
        "daily": 100 * day,
        "flat": np.full(hours.size, 60.0),
        "workdays": np.where(weekend, 8.0, 150.0) * day,
        "level-shift": np.where(hours < hours.size // 2, 40.0, 240.0) * day,
        "drift": 40 * day * np.exp(2.0 * hours / hours.size),
        "bursts": 50 * day * bursts,
        "gaps": np.where(gone, 0.0, 120 * day),
        "tiny": 1.5 * day,
        "huge": 2000 * day,
    }
    return tuple(
        Series(name, _MONDAY, chance.poisson(rate).astype(np.float64), made_up=True)
        for name, rate in rates.items()
    )
