# SPDX-License-Identifier: Apache-2.0
"""The errors of an evaluation: one class for each situation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kryonix_cache.reference_impl.errors import KryonixError

if TYPE_CHECKING:
    from pathlib import Path


class SeriesInvalidError(KryonixError):
    """A file is no hourly series."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(
            f"{path} is no hourly series: {reason}; give a CSV file with the header "
            "hour,requests and lines such as 2025-01-27 10:00:00,120."
        )


class TooShortError(KryonixError):
    """A series leaves nothing to judge after the days of learning."""

    def __init__(self, name: str, hours: int, wanted: int) -> None:
        super().__init__(
            f"{name} covers {hours} hours and {wanted} are needed, a week to learn from and "
            "a day to judge: give more of it."
        )


class LogTooLargeError(KryonixError):
    """An access log names more items and hours than a table of them can hold."""

    def __init__(self, name: str, items: int, hours: int) -> None:
        super().__init__(
            f"The reads of {name} name {items} items in {hours} hours, more than an evaluation "
            "holds: give a log of fewer days."
        )


class ReplayLostError(KryonixError):
    """The server of a replay failed."""

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"The server of the replay was lost ({reason}): try again, or give --no-replay."
        )


class PlotsMissingError(KryonixError):
    """The library that draws plots is not installed."""

    def __init__(self) -> None:
        super().__init__(
            "Plots need matplotlib, which is not installed: "
            "pip install 'kryonix-cache-conformance[plots]', or leave --out away."
        )
