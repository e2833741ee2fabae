# SPDX-License-Identifier: Apache-2.0
"""What the pass notes of one tenant while it sees the tenant's keys; bounded in size."""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING

from kryonix_cache.reference_impl.optimiser.facts import HotKey, TenantFacts
from kryonix_cache.reference_impl.optimiser.report import Problem

if TYPE_CHECKING:
    from kryonix_cache.reference_impl.contract.model import OptimiserRule, TenantId
    from kryonix_cache.reference_impl.optimiser.analysis import Lifetime

MOST_PROBLEMS = 20
MOST_MODULES = 256
MOST_ANCHORS = 2
_SHORT_MS = 300_000
_MEDIUM_MS = 1_800_000
_MILLISECONDS = 1000


class Tally:
    """Counters of one tenant."""

    __slots__ = (
        "_active",
        "_anchors",
        "_answers",
        "_hottest",
        "_lasting",
        "_lifetimes",
        "_mobile_users",
        "_modules",
        "_platforms",
        "_problems",
        "_rule",
        "_sessions",
        "_tenant",
        "_unsaid",
        "_users",
        "keys",
    )  # fmt: skip

    def __init__(self, tenant: TenantId, rule: OptimiserRule) -> None:
        self._tenant = tenant
        self._rule = rule
        self.keys = 0
        self._anchors: list[tuple[int, bytes]] = []
        self._lasting: list[tuple[int, bytes]] = []
        self._hottest: list[tuple[float, bytes, int]] = []
        self._sessions = self._active = self._answers = 0
        self._platforms: dict[str, int] = {}
        self._modules: dict[str, int] = {}
        self._lifetimes: dict[Lifetime, int] = {"short": 0, "medium": 0, "long": 0}
        # Numbers in place of names: a user costs the same whatever the id is.
        self._users: set[int] = set()
        self._mobile_users: set[int] = set()
        self._problems: list[Problem] = []
        self._unsaid = 0

    def key(self, database: int, name: bytes, *, lasting: bool) -> None:
        """Count a key, and remember some that will still be there if the tenant is."""
        self.keys += 1
        kept = self._lasting if lasting else self._anchors
        if len(kept) == MOST_ANCHORS:
            # The first one and the last one: whoever erases a tenant starts at one of the ends.
            kept.pop()
        kept.append((database, name))

    def session(self, platform: str | None, *, active: bool) -> None:
        """Count a session."""
        self._sessions += 1
        self._active += active
        if platform is not None:
            self._platforms[platform] = self._platforms.get(platform, 0) + 1

    def user(self, user: str, *, mobile: bool) -> None:
        """Note the user of a session or connection."""
        number = hash(user)
        self._users.add(number)
        if mobile:
            self._mobile_users.add(number)

    def answer(self, key: bytes, module: str, lifetime_ms: int, heat: float | None) -> None:
        """Count a cached answer; one that lives short is a candidate of the rules."""
        self._answers += 1
        if module in self._modules or len(self._modules) < MOST_MODULES:
            self._modules[module] = self._modules.get(module, 0) + 1
        if lifetime_ms <= 0:
            return
        self._lifetimes[_lifetime(lifetime_ms)] += 1
        if heat is not None and lifetime_ms < self._rule.ttl_below_s * _MILLISECONDS:
            self._offer((heat, key, lifetime_ms))

    def _offer(self, candidate: tuple[float, bytes, int]) -> None:
        if len(self._hottest) < self._rule.hottest_keys:
            # SCAN may name a key twice.
            if all(candidate[1] != each[1] for each in self._hottest):
                heapq.heappush(self._hottest, candidate)
        elif candidate > self._hottest[0] and all(
            candidate[1] != each[1] for each in self._hottest
        ):
            heapq.heapreplace(self._hottest, candidate)

    def problem(self, problem: Problem) -> None:
        """Note a problem, the first ones in words and the rest as a number."""
        if len(self._problems) < MOST_PROBLEMS:
            self._problems.append(problem)
        else:
            self._unsaid += 1

    def facts(self) -> TenantFacts:
        """Return what was noted."""
        problems = list(self._problems)
        if self._unsaid:
            problems.append(Problem(f"tenant {self._tenant}", f"and {self._unsaid} problems more"))
        return TenantFacts(
            tenant=self._tenant,
            keys=self.keys,
            hottest=tuple(
                HotKey(key, lifetime, heat)
                for heat, key, lifetime in sorted(self._hottest, reverse=True)
            ),
            sessions=self._sessions,
            active_sessions=self._active,
            platforms=dict(sorted(self._platforms.items())),
            users=len(self._users),
            mobile_users=len(self._mobile_users),
            answers=self._answers,
            modules=dict(sorted(self._modules.items())),
            lifetimes=self._lifetimes,
            anchors=tuple(self._lasting or self._anchors),
            anchored=bool(self._lasting),
            problems=tuple(problems),
        )


def _lifetime(milliseconds: int) -> Lifetime:
    if milliseconds < _SHORT_MS:
        return "short"
    return "medium" if milliseconds < _MEDIUM_MS else "long"
