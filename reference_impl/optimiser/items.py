# SPDX-License-Identifier: Apache-2.0
"""What the mobile rule and the preload rule would keep for one tenant."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kryonix_cache.reference_impl.errors import KeyPartError
from kryonix_cache.reference_impl.optimiser.turn import problem_of
from kryonix_cache.reference_impl.tenant.families import ANSWERS, ESSENTIALS, PRELOADED, WARMED

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kryonix_cache.reference_impl.optimiser.analysis import Analysis
    from kryonix_cache.reference_impl.optimiser.report import Rule
    from kryonix_cache.reference_impl.optimiser.turn import Turn
    from kryonix_cache.reference_impl.problems import Problem


@dataclass(frozen=True, slots=True)
class Item:
    """Something to be kept under `key`; `answer` is the tenant's own answer that has it too.

    `warming` is the key under which readers of a preloaded answer look for it.
    """

    rule: Rule
    name: str
    key: bytes
    answer: bytes
    lifetime_s: int
    why: str
    warming: bytes | None = None


class Items:
    """The items of one tenant; `problems` are predicted ones that no key can hold."""

    def __init__(self, turn: Turn) -> None:
        self._turn = turn
        self.problems: list[Problem] = []

    def essentials(self, why: str) -> Iterator[Item]:
        """Yield the items of the mobile rule."""
        turn = self._turn
        for name, answer in turn.rule.essentials.items():
            key = turn.contract.key(ESSENTIALS, tenant=turn.tenant, item=name)
            live = self._answer(answer.module, answer.endpoint)
            yield Item("mobile", name, key, live, self._lifetime(ESSENTIALS), why)

    def predicted(self, analysis: Analysis) -> Iterator[Item]:
        """Yield the answers that the forecast names, the likeliest first; note what is none."""
        for each in analysis.forecast.items:
            try:
                yield self._preload(each.item, each.reason)
            except KeyPartError as error:
                where = self._turn.contract.family(PRELOADED).databases[0]
                self.problems.append(problem_of(where, each.item.encode(), str(error)))

    def _preload(self, predicted: str, why: str) -> Item:
        family, _, name = predicted.partition(":")
        if family != ANSWERS:
            raise KeyPartError(f"Items of the family {family!a} are not preloaded.")
        module, _, endpoint = name.partition(".")
        turn, parts = self._turn, {"module": module, "endpoint": endpoint}
        return Item(
            "preload",
            name,
            turn.contract.key(PRELOADED, tenant=turn.tenant, item=name),
            self._answer(module, endpoint),
            self._lifetime(PRELOADED),
            why,
            warming=turn.contract.key(WARMED, tenant=turn.tenant, **parts),
        )

    def _answer(self, module: str, endpoint: str) -> bytes:
        turn = self._turn
        return turn.contract.key(ANSWERS, tenant=turn.tenant, module=module, endpoint=endpoint)

    def _lifetime(self, family: str) -> int:
        limit = self._turn.contract.family(family).ttl.max_seconds
        return self._turn.rule.oldest_value_s if limit is None else limit
