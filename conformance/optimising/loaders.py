# SPDX-License-Identifier: Apache-2.0
"""Loaders that a run is given: one that tells, and those that fail in a way of their own."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class TellingLoader:
    """Gives every item of every tenant, each time another value, and remembers what it gave."""

    def __init__(self) -> None:
        self.given: dict[tuple[str, str], list[object]] = {}
        self._lock = threading.Lock()
        self._times = 0

    def __call__(self, tenant: str, item: str) -> object:
        """Return a value that was never given before."""
        with self._lock:
            self._times += 1
            value = {"tenant": tenant, "item": item, "load": self._times, "text": "ação"}
            self.given.setdefault((tenant, item), []).append(value)
        return value

    def gave(self, tenant: str, *items: str) -> list[object]:
        """Return what was given of one thing, by each of the names that it may be asked by."""
        with self._lock:
            return [value for item in items for value in self.given.get((tenant, item), [])]


class BlockingLoader:
    """Holds whoever asks until it is let go."""

    def __init__(self) -> None:
        self.asked = threading.Event()
        self.let_go = threading.Event()

    def __call__(self, tenant: str, item: str) -> object:
        """Return a value as soon as that is allowed."""
        self.asked.set()
        self.let_go.wait()
        return {"tenant": tenant, "item": item}


class LoaderError(Exception):
    """What a loader raises that cannot reach its source."""


def _raises(tenant: str, item: str) -> object:
    raise LoaderError(f"{item} of {tenant} cannot be had")


def _nothing(_tenant: str, _item: str) -> object:
    return None


def _no_json(_tenant: str, _item: str) -> object:
    return {"when": object()}


def _no_number(_tenant: str, _item: str) -> object:
    return {"value": float("nan")}


def failing(largest_bytes: int) -> dict[str, Callable[[str, str], object]]:
    """Return loaders by the way in which they have nothing that may be written."""
    return {
        "raises": _raises,
        "returns None": _nothing,
        "returns what is no JSON": _no_json,
        "returns NaN": _no_number,
        "returns megabytes": lambda _tenant, _item: {"blob": "x" * (largest_bytes * 32)},
    }
