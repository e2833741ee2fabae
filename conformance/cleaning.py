# SPDX-License-Identifier: Apache-2.0
"""
Cleaning up behind killed runs: their keys and ACL users, and nothing else.

What a run writes names the run and always expires, so a killed one leaves nothing for ever;
this removes it at once. A run that is still connected is left alone, and so is a key that
looks like a run's but never expires: no run writes such a key.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

import redis

from kryonix_cache.conformance.errors import LivingRunsUnknownError
from kryonix_cache.conformance.run import RUN_ID
from kryonix_cache.conformance.session import CLIENT_PREFIX
from kryonix_cache.fixtures.journal import Journal
from kryonix_cache.fixtures.powers import Power, PowerGuard
from kryonix_cache.reference_impl.connection import Command, CommandPolicy, Endpoint, Pools
from kryonix_cache.reference_impl.scan import scan

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from kryonix_cache.reference_impl.contract import Contract

_BATCH = 500


@dataclass(frozen=True, slots=True)
class Leftovers:
    """What killed runs left: keys and ACL users by run id, and what was not touched.

    `alive` are the runs that are still connected, None where it was not asked which.
    """

    keys: Mapping[str, tuple[tuple[int, bytes], ...]]
    users: Mapping[str, tuple[str, ...]]
    alive: frozenset[str] | None
    never_expiring: int

    @property
    def runs(self) -> tuple[str, ...]:
        """Every run that left something, the living ones too."""
        return tuple(sorted({*self.keys, *self.users}))


@dataclass
class CleaningPolicy(CommandPolicy):
    """Lets through what reads, and removals of what belongs to a run."""

    contract: Contract
    guard: PowerGuard = field(init=False)

    def __post_init__(self) -> None:
        self.guard = PowerGuard(Power.OWN, Journal(), owns=self._owns)

    def check(self, args: Command, database: int) -> None:
        """Judge one command; ACL DELUSER passes for the users of runs only."""
        words = [word.upper() for word in args[:2]]
        if words == [b"ACL", b"DELUSER"] and all(
            run_of(self.contract, name.decode(errors="replace")) for name in args[2:]
        ):
            return
        self.guard.check(args, database)

    def check_batch(self, commands: Iterable[Command], database: int) -> None:
        """Judge a pipeline, each command alone: it only removes."""
        for command in commands:
            self.check(command, database)

    def _owns(self, database: int, key: bytes) -> bool:
        parsed = self.contract.parse(database, key)
        return bool(parsed and parsed.tenant and run_of(self.contract, parsed.tenant))


def run_of(contract: Contract, name: str) -> str | None:
    """Return the id of the run that a tenant or an ACL user belongs to, if it is a run's.

    A user is called as its tenant is, or as the contract calls the tenant's own user.
    """
    prefix = re.escape(contract.tenant.run_prefix)
    for tenant in (name, contract.access and contract.access.tenant_of(name)):
        match = re.match(rf"{prefix}({RUN_ID})-.", tenant or "")
        if match and tenant and contract.tenant.is_valid(tenant):
            return match[1]
    return None


def find_leftovers(
    clients: Pools, contract: Contract, *, max_impact: float = 1.0, living: bool = True
) -> Leftovers:
    """Pass once over the server, reading only; `living` also asks which runs are connected.

    Raises:
        LivingRunsUnknownError: CLIENT LIST is denied, and `living` was asked for.

    """
    alive = _connected_runs(clients) if living else None
    keys: dict[str, list[tuple[int, bytes]]] = {}
    never_expiring: Counter[str] = Counter()
    numbers = [database.number for database in contract.databases]
    for batch in scan(clients, numbers, max_impact=max_impact, sizes=False):
        for name, _, ttl, _ in batch.rows:
            parsed = contract.parse(batch.database, name)
            run = run_of(contract, parsed.tenant) if parsed and parsed.tenant else None
            if run is None:
                continue
            if ttl < 0:
                never_expiring[run] += 1
            else:
                keys.setdefault(run, []).append((batch.database, name))
    users: dict[str, list[str]] = {}
    for user in _users(clients):
        if run := run_of(contract, user):
            users.setdefault(run, []).append(user)
    return Leftovers(
        keys={run: tuple(found) for run, found in keys.items()},
        users={run: tuple(found) for run, found in users.items()},
        # A run may begin during the pass, so it is asked twice.
        alive=None if alive is None else alive | _connected_runs(clients),
        never_expiring=never_expiring.total(),
    )


def remove_leftovers(clients: Pools, leftovers: Leftovers, runs: Iterable[str]) -> tuple[int, int]:
    """Remove what the given runs left; return how many keys and users went."""
    keys, users = 0, 0
    for run in runs:
        by_database: dict[int, list[bytes]] = {}
        for database, key in leftovers.keys.get(run, ()):
            by_database.setdefault(database, []).append(key)
        for database, names in by_database.items():
            for start in range(0, len(names), _BATCH):
                keys += clients[database].delete(*names[start : start + _BATCH])
        for user in leftovers.users.get(run, ()):
            users += clients[0].acl_deluser(user)
    return keys, users


def open_cleaner(endpoint: Endpoint, contract: Contract) -> Pools:
    """Return clients that can read, and remove what belongs to runs."""
    return Pools(endpoint, policy=CleaningPolicy(contract), name=f"{CLIENT_PREFIX}:clean")


def _users(clients: Pools) -> Iterator[str]:
    try:
        lines = cast("list[str]", clients[0].acl_list())
    except redis.ResponseError:
        # Without the right to list users this account could not have made any either.
        return
    for line in lines:
        words = line.split()
        if len(words) > 1:
            yield words[1]


def _connected_runs(clients: Pools) -> frozenset[str]:
    try:
        connections = clients[0].client_list()
    except redis.ResponseError as error:
        raise LivingRunsUnknownError(str(error)) from None
    names = (connection.get("name", "") for connection in connections)
    matches = (re.match(rf"{CLIENT_PREFIX}:({RUN_ID}):", name) for name in names)
    return frozenset(match[1] for match in matches if match)
