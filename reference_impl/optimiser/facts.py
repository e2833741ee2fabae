# SPDX-License-Identifier: Apache-2.0
"""What the one pass over the keyspace tells of each tenant; of bounded size for each."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kryonix_cache.reference_impl.contract.model import TenantId
    from kryonix_cache.reference_impl.optimiser.analysis import Lifetime
    from kryonix_cache.reference_impl.problems import Problem


@dataclass(frozen=True, slots=True)
class HotKey:
    """A cached answer that will expire soon.

    `ttl_ms` is its time to live as the pass saw it. `heat` compares keys of one run: the more,
    the hotter; the access frequency under an LFU policy, else minus the idle seconds.
    """

    key: bytes
    ttl_ms: int
    heat: float


@dataclass(frozen=True, slots=True)
class TenantFacts:
    """One tenant's keys in all databases; `keys` leaves out those that are bookkeeping.

    `hottest` are cached answers that live shorter than the contract's `ttl_below_s`, at most
    `hottest_keys` of them, the hottest first. `users` and `mobile_users` are distinct users of
    sessions and connections. `modules` and `lifetimes` count cached answers; a persistent one has
    no lifetime. `anchors` are some of the keys as (database, key), and none that runs write: those
    say nothing of whether the tenant is there. Where it is `anchored` they last as long as the
    tenant; else they are any keys, and may expire.
    """

    tenant: TenantId
    keys: int
    hottest: tuple[HotKey, ...] = ()
    sessions: int = 0
    active_sessions: int = 0
    platforms: Mapping[str, int] = field(default_factory=dict)
    users: int = 0
    mobile_users: int = 0
    answers: int = 0
    modules: Mapping[str, int] = field(default_factory=dict)
    lifetimes: Mapping[Lifetime, int] = field(default_factory=dict)
    anchors: tuple[tuple[int, bytes], ...] = ()
    anchored: bool = False
    problems: tuple[Problem, ...] = ()
