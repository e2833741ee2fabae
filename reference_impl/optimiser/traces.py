# SPDX-License-Identifier: Apache-2.0
"""
Taking away what a run left of a tenant that was erased meanwhile.

Whoever erases a tenant asks for its keys once: what a run writes after that would stay behind. So a
run looks again when it has written, and takes away what is its own. What it tells from its trail is
exact also where the run of this tenant ended early.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kryonix_cache.reference_impl.connection import bulk
from kryonix_cache.reference_impl.optimiser import trail as trails
from kryonix_cache.reference_impl.optimiser.sightings import Sightings
from kryonix_cache.reference_impl.optimiser.trail import Trail
from kryonix_cache.reference_impl.scan import told
from kryonix_cache.reference_impl.tenant.families import ANSWERS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from kryonix_cache.reference_impl.connection import Clients, Command, GuardedConnection
    from kryonix_cache.reference_impl.contract import Contract
    from kryonix_cache.reference_impl.optimiser.facts import TenantFacts

_NEWEST = 100
"""Entries of a trail: a run makes far fewer."""


class Traces:
    """The values, trails and marks that one run left."""

    def __init__(self, contract: Contract, clients: Clients, *, run: str, at: datetime) -> None:
        self._contract, self._clients = contract, clients
        self._run, self._at = run, at

    def remove(self, facts: TenantFacts) -> None:
        """Remove the values that the run wrote, and what it noted of values that are gone.

        What it noted of an answer that is there stays: should the tenant be there after all, no
        value is extended twice, and each extension can be undone.

        Raises:
            ScanLostError: the server went away.

        """
        for database in self._contract.family(trails.FAMILY).databases:
            client = self._clients[database]
            with told(client, database), bulk(client) as connection:
                commands = self._removals(connection, facts, database)
                if commands:
                    connection.exchange(commands)

    def _removals(
        self, connection: GuardedConnection, facts: TenantFacts, database: int
    ) -> list[Command]:
        trail = Trail(self._contract, facts.tenant, database)
        (raws,) = connection.exchange([trail.newest(_NEWEST)])
        entries = [(raw, entry) for raw, entry in trail.entries(raws) if entry.run == self._run]
        written = [entry.change.key for _, entry in entries if entry.change.action == "written"]
        extended = [entry.change.key for _, entry in entries if entry.change.action == "extended"]
        answers = [*extended, *(hot.key for hot in facts.hottest)]
        there = _present(connection, answers) if self._is_of_answers(database) else set()
        commands: list[Command] = [(b"UNLINK", *written)] if written else []
        commands += [
            (b"LREM", trail.key, b"-1", raw)
            for raw, entry in entries
            if entry.change.key not in there
        ]
        if self._is_of_answers(database) and not there:
            commands.append(Sightings(self._contract, facts.tenant).forget(self._at))
        return commands

    def _is_of_answers(self, database: int) -> bool:
        return database in self._contract.family(ANSWERS).databases


def _present(connection: GuardedConnection, keys: Sequence[bytes]) -> set[bytes]:
    if not keys:
        return set()
    replies = connection.exchange([(b"EXISTS", key) for key in keys])
    return {key for key, reply in zip(keys, replies, strict=True) if reply}
