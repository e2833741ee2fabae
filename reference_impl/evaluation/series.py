# SPDX-License-Identifier: Apache-2.0
"""Hourly series of requests: the demand that an evaluation distributes over items."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np

from kryonix_cache.reference_impl.demand.series import SECONDS_OF_HOUR
from kryonix_cache.reference_impl.evaluation.errors import SeriesInvalidError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

_COLUMNS = ("hour", "requests")
_MOST_HOURS = 5 * 366 * 24
_MOST_REQUESTS = 1e12


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """Requests of consecutive hours; `first_hour` in whole hours since 1970 (UTC).

    `made_up` says that the demand, too, comes from a generator. `missing` are the hours that the
    file left out: they count as hours without a request.
    """

    name: str
    first_hour: int
    requests: NDArray[np.float64]
    made_up: bool = False
    missing: int = 0


def read_series(path: Path) -> Series:
    """Read `hour,requests`; hours in ISO 8601, those without an offset in UTC, in any order.

    Raises:
        SeriesInvalidError: the file is not there, or a line of it is no such line.

    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = list(_rows(path, csv.DictReader(file)))
    except OSError as error:
        raise SeriesInvalidError(path, f"it cannot be read ({error.strerror})") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise SeriesInvalidError(path, f"it is no CSV ({error})") from None
    if not rows:
        raise SeriesInvalidError(path, "it holds no hour")
    first, last = min(rows)[0], max(rows)[0]
    if last - first >= _MOST_HOURS:
        raise SeriesInvalidError(path, f"it spans {last - first} hours, more than five years")
    if len({hour for hour, _ in rows}) < len(rows):
        raise SeriesInvalidError(path, "an hour stands there twice")
    requests = np.zeros(last - first + 1)
    for hour, number in rows:
        requests[hour - first] = number
    return Series(path.stem, first, requests, missing=requests.size - len(rows))


def _rows(path: Path, reader: csv.DictReader[str]) -> list[tuple[int, float]]:
    if not set(_COLUMNS) <= set(reader.fieldnames or ()):
        raise SeriesInvalidError(path, f"its header is {','.join(reader.fieldnames or ())!r}")
    return [_row(path, reader.line_num, row) for row in reader]


def _row(path: Path, line: int, row: dict[str, str]) -> tuple[int, float]:
    try:
        moment = datetime.fromisoformat(row["hour"])
        number = float(row["requests"])
    except (TypeError, ValueError):
        raise SeriesInvalidError(path, f"line {line} has no hour or no number") from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    seconds = moment.timestamp()
    if seconds % SECONDS_OF_HOUR:
        raise SeriesInvalidError(path, f"line {line} is no whole hour")
    if not 0 <= number <= _MOST_REQUESTS:
        raise SeriesInvalidError(path, f"line {line} has {row['requests']} requests")
    return int(seconds // SECONDS_OF_HOUR), number
