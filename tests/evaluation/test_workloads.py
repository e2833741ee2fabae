# SPDX-License-Identifier: Apache-2.0
"""Series, made-up keys, access logs: what an evaluation replays."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np
import pytest

from kryonix_cache.reference_impl.demand.logs import Access
from kryonix_cache.reference_impl.evaluation.errors import LogTooLargeError, SeriesInvalidError
from kryonix_cache.reference_impl.evaluation.generator import (
    Population,
    generate,
    made_up_series,
)
from kryonix_cache.reference_impl.evaluation.series import Series, read_series
from kryonix_cache.reference_impl.evaluation.workload import (
    MOST_REQUESTS,
    from_accesses,
    shuffle_hours,
)
from tests.evaluation.workloads import made_up

if TYPE_CHECKING:
    from pathlib import Path

MOMENT = datetime(2025, 1, 6, tzinfo=UTC)


def series_of(requests: list[float]) -> Series:
    return Series("given", 482_256, np.array(requests))


def test_every_request_of_a_series_gets_one_key() -> None:
    series = series_of([3, 0, 1000, 20] * 12)
    load = generate(series, Population(), 1)
    assert np.diff(load.edges).tolist() == series.requests.tolist()
    assert load.demand.counts.sum(axis=0).tolist() == series.requests.tolist()
    assert (np.diff(load.at) >= 0).all()
    assert load.rates is not None
    np.testing.assert_allclose(load.rates.sum(axis=0), series.requests, rtol=1e-3)


def test_the_same_seed_gives_the_same_requests_and_another_one_others() -> None:
    series = series_of([50.0] * 72)
    first, again, other = (generate(series, Population(), seed) for seed in (1, 1, 2))
    assert first.at.tolist() == again.at.tolist()
    assert first.item.tolist() == again.item.tolist()
    assert first.item.tolist() != other.item.tolist()


def test_popularity_hours_and_swaps_are_as_stated() -> None:
    population = Population(items=100, exponent=1.0, profiled_share=1.0, swapped_daily=10)
    load = generate(series_of([2000.0] * 240), population, 3)
    read = np.sort(load.demand.counts[:, :24].sum(axis=1))[::-1]
    assert read[0] / read[9] == pytest.approx(10, rel=0.35)
    assert len(load.items) == 100 + 9 * 10
    assert load.rates is not None
    day = load.rates[:, :24]
    busiest = day[day.sum(axis=1) > 0]
    assert (busiest.max(axis=1) > 2 * busiest.mean(axis=1)).mean() > 0.9
    gone = (load.demand.counts[:, :24].sum(axis=1) > 0) & (
        load.demand.counts[:, 24:].sum(axis=1) == 0
    )
    assert 5 <= gone.sum() <= 10


def test_what_is_made_up_is_said() -> None:
    assert generate(series_of([5.0] * 48), Population(), 1).synthetic.startswith(
        "keys and popularity are synthetic"
    )
    assert "the demand, too, is made up" in made_up("daily").synthetic


def test_a_series_of_too_many_requests_is_thinned_and_says_so() -> None:
    load = generate(series_of([MOST_REQUESTS / 10] * 48), Population(items=10), 1)
    assert load.item.size == pytest.approx(MOST_REQUESTS, rel=0.01)
    assert load.notes == ("thinned to 20.83% of its requests",)


def test_made_up_series_follow_from_their_seed() -> None:
    first, again, other = made_up_series(1), made_up_series(1), made_up_series(2)
    for one, two, three in zip(first, again, other, strict=True):
        assert one.requests.tolist() == two.requests.tolist()
        assert one.requests.tolist() != three.requests.tolist()
        assert datetime.fromtimestamp(one.first_hour * 3600, UTC).strftime("%A") == "Monday"


def test_shuffling_keeps_each_day_and_loses_its_hours() -> None:
    load = made_up("daily")
    mixed = shuffle_hours(load, 1)
    days = load.hours // 24

    def by_day(counts: np.ndarray) -> list[list[float]]:
        sums: list[list[float]] = counts.reshape(counts.shape[0], days, 24).sum(axis=2).tolist()
        return sums

    assert by_day(mixed.demand.counts) == by_day(load.demand.counts)
    volume = np.diff(mixed.edges).reshape(days, 24).mean(axis=0)
    before = np.diff(load.edges).reshape(days, 24).mean(axis=0)
    assert volume.std() < before.std() / 2
    assert mixed.rates is not None
    np.testing.assert_allclose(mixed.rates.sum(axis=0), np.diff(mixed.edges), atol=0.6)


def test_a_series_is_read_in_any_order_and_gaps_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "given.csv"
    path.write_text(
        "hour,requests\n2025-01-06 03:00:00,7\n2025-01-06T00:00:00Z,5\n"
        "2025-01-06T03:00:00+02:00,6\n"
    )
    series = read_series(path)
    assert series.name == "given"
    assert series.first_hour == 482_256
    assert series.requests.tolist() == [5, 6, 0, 7]
    assert series.missing == 1
    assert "1 hours are missing" in generate(series, Population(), 1).notes[0]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "header"),
        ("hour,requests\n", "no hour"),
        ("when,number\n2025-01-06 00:00:00,1\n", "header"),
        ("hour,requests\nyesterday,1\n", "line 2"),
        ("hour,requests\n2025-01-06 00:30:00,1\n", "whole hour"),
        ("hour,requests\n2025-01-06 00:00:00,-1\n", "-1 requests"),
        ("hour,requests\n2025-01-06 00:00:00,nan\n", "nan requests"),
        ("hour,requests\n2025-01-06 00:00:00,1e300\n", "1e300 requests"),
        ("hour,requests\n2025-01-06 00:00:00\n", "line 2"),
        ("hour,requests\n2025-01-06 00:00:00,1\n2025-01-06 00:00:00,2\n", "twice"),
        ("hour,requests\n1925-01-06 00:00:00,1\n2025-01-06 00:00:00,2\n", "five years"),
        ("hour,requests\n\xff\x00,1\n", "line 2"),
    ],
)
def test_what_is_no_series_is_refused_with_the_reason(
    tmp_path: Path, text: str, reason: str
) -> None:
    path = tmp_path / "given.csv"
    path.write_text(text)
    with pytest.raises(SeriesInvalidError, match=reason):
        read_series(path)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SeriesInvalidError, match="cannot be read"):
        read_series(tmp_path / "absent.csv")
    (tmp_path / "bytes.csv").write_bytes(b"\xff\xfe\x00hour")
    with pytest.raises(SeriesInvalidError, match="no CSV"):
        read_series(tmp_path / "bytes.csv")


def test_an_access_log_is_taken_as_it_is() -> None:
    accesses = [
        Access("acme", "api-cache", "crm.users", MOMENT + timedelta(minutes=90), 3),
        Access("acme", "api-cache", "crm.leads", MOMENT + timedelta(minutes=10)),
    ]
    load = from_accesses("acme", accesses)
    assert load.items == ("api-cache:crm.users", "api-cache:crm.leads")
    assert (load.first_hour, load.hours) == (482_256, 2)
    assert load.demand.counts.tolist() == [[0, 3], [1, 0]]
    assert load.at.tolist() == pytest.approx([1 / 6, 1.5, 1.5, 1.5])
    assert load.rates is None
    assert load.synthetic == ""


def test_a_log_that_no_table_holds_is_refused() -> None:
    accesses = [
        Access("acme", "api-cache", f"m.e{index}", MOMENT + timedelta(hours=index))
        for index in range(8000)
    ]
    with pytest.raises(LogTooLargeError, match="give a log of fewer days"):
        from_accesses("acme", accesses)


def test_a_log_of_enormous_counts_is_thinned() -> None:
    accesses = [Access("acme", "api-cache", "m.e", MOMENT, 10**9)]
    load = from_accesses("acme", accesses)
    assert load.item.size == pytest.approx(MOST_REQUESTS, rel=0.01)
    assert load.notes
