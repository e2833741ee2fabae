# SPDX-License-Identifier: Apache-2.0
"""
The loader behind its limits: it is other people's code, and may raise, hang, or return anything.

A call that takes too long cannot be ended, only left behind: its thread counts as hung, and does
not keep the process from ending.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from kryonix_cache.reference_impl.optimiser.values import packed

if TYPE_CHECKING:
    from collections.abc import Callable

    Loader: TypeAlias = Callable[[str, str], object | None]

HUNG_CALLS = 3
"""After so many the loader is not asked any more."""


@dataclass(slots=True)
class Loaded:
    """What the loader gave for one item: JSON of the allowed size, or why there is none."""

    value: bytes | None = None
    fault: str | None = None


class TimedLoader:
    """Asks a loader within the limits of one run; None stands for a run without one."""

    def __init__(self, loader: Loader | None, *, limit_s: float, largest_bytes: int) -> None:
        self._loader = loader
        self._limit_s = limit_s
        self._largest_bytes = largest_bytes
        self._hung: dict[str, str] = {}
        self._calls_hung = 0

    def load(self, tenant: str, item: str) -> Loaded:
        """Ask for an item of a tenant; never raises for what the loader does."""
        if self._loader is None:
            return Loaded()
        if self._calls_hung >= HUNG_CALLS:
            return Loaded(fault=f"the loader is not asked any more: it hung {HUNG_CALLS} times")
        if tenant in self._hung:
            return Loaded(fault=f"the loader is not asked again: it hung at {self._hung[tenant]!a}")
        return self._timed(self._loader, tenant, item)

    def _timed(self, loader: Loader, tenant: str, item: str) -> Loaded:
        answer: list[Loaded] = []
        call = threading.Thread(
            target=lambda: answer.append(self._ask(loader, tenant, item)),
            name=f"loader of {item}",
            daemon=True,
        )
        call.start()
        call.join(self._limit_s)
        if answer:
            return answer[0]
        self._hung[tenant] = item
        self._calls_hung += 1
        return Loaded(fault=f"the loader gave nothing within {self._limit_s:g} s")

    def _ask(self, loader: Loader, tenant: str, item: str) -> Loaded:
        try:
            data = loader(tenant, item)
        except BaseException as error:  # noqa: BLE001 (SystemExit of a loader ends nothing either)
            return Loaded(fault=f"the loader raised {type(error).__name__}")
        if data is None:
            return Loaded()
        # Within the limit as well: what was returned may take long to pack.
        try:
            return Loaded(packed(data, self._largest_bytes))
        except ValueError as error:
            return Loaded(fault=f"what the loader gave is of no use: {error}")
        except BaseException as error:  # noqa: BLE001 (packing runs code of what was returned)
            return Loaded(fault=f"what the loader gave is of no use: {type(error).__name__}")
