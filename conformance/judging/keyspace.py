# SPDX-License-Identifier: Apache-2.0
"""The audit of a keyspace: one scan that feeds every judge of the keys that are there."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kryonix_cache.conformance.judging.applicability import left_open
from kryonix_cache.conformance.judging.directive_values import size_words
from kryonix_cache.conformance.judging.fields import EMBEDDED, FIELDS, SECRETS, FieldJudge
from kryonix_cache.conformance.judging.judgement import (
    Judgement,
    inconclusive,
    judged,
    not_applicable,
)
from kryonix_cache.conformance.judging.lookups import Lookups
from kryonix_cache.conformance.judging.names import NameJudge
from kryonix_cache.conformance.judging.reading import read_values
from kryonix_cache.conformance.judging.references import REFERENCES, References
from kryonix_cache.conformance.judging.sampling import sample_of
from kryonix_cache.conformance.judging.tally import KeyAt, Tally
from kryonix_cache.reference_impl.scan import PIPELINE_KEYS, count_keys, reader, scan, told
from kryonix_cache.reports.lines import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from kryonix_cache.conformance.judging.sampling import Reading, Sample
    from kryonix_cache.reference_impl.connection import Clients, GuardedConnection
    from kryonix_cache.reference_impl.contract import Contract

    Progress = Callable[[int, int], None]

WITNESSES: Mapping[str, tuple[str, str]] = {
    "keyspace.known-families": ("keys", "keys"),
    "keyspace.database-purpose": ("keys", "keys"),
    "keyspace.type": ("keys", "keys"),
    "keyspace.ttl": ("keys", "keys"),
    FIELDS: ("fields", "fields"),
    "keyspace.tenant-id": ("tenants", "tenants"),
    EMBEDDED: ("embedded_tenants", "embedded_tenants"),
    REFERENCES: ("references", "references"),
    "keyspace.system-info": ("databases", "databases"),
    "keyspace.templates": ("keys", "templates"),
    "keyspace.shared-lists": ("keys", "keys"),
    "keyspace.big-keys": ("sized_keys", "keys"),
    SECRETS: ("fields", "secrets"),
}
"""What an audit judges, the observation behind each, and what is counted for it."""

OF_VALUES = frozenset({FIELDS, EMBEDDED, REFERENCES, SECRETS})
"""What can only be judged by reading values."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyspaceAudit:
    """What an audit found, and its own footprint.

    `keys` were judged, `vanished` went away between two commands, `values_read` were read,
    `unread` are too big to be read; `commands` counts what was sent for single keys.
    """

    judgements: Mapping[str, Judgement]
    keys: int
    vanished: int
    values_read: int
    unread: int
    commands: int


def audit_keyspace(
    clients: Clients,
    contract: Contract,
    *,
    reading: Reading = "sample",
    max_impact: float = 1.0,
    run: str | None = None,
    databases: Iterable[int] | None = None,
    progress: Progress | None = None,
) -> KeyspaceAudit:
    """Read every key once and judge it; nothing is written.

    `run` names the run whose own tenants may have expiring keys in every family; without it
    the tenants of all runs may. `databases` are those that the server has; the contract's if
    not given. `progress` is called with the keys done and the keys in all.

    Raises:
        ScanLostError: the server went away.
        ReadDeniedError: this user may not run one of the commands.
        DatabaseUnavailableError: the server does not have one of the databases.

    """
    if databases is None:
        databases = (each.number for each in contract.databases)
    numbers = sorted(databases)
    total = sum(count_keys(clients, numbers).values())
    audit = _Audit(clients, contract, sample_of(reading, total), run)
    for database in numbers:
        audit.read(database, max_impact, lambda done: progress(done, total) if progress else None)
    return audit.concluded()


class _Audit:
    def __init__(
        self, clients: Clients, contract: Contract, sample: Sample, run: str | None
    ) -> None:
        self._clients = clients
        self._contract = contract
        self._sample = sample
        self._left_open = left_open(contract)
        self._tally = Tally()
        self._lookups = Lookups(clients)
        self._references = References(contract, self._tally, self._lookups)
        self._fields = FieldJudge(contract, self._tally, self._references)
        prefix = contract.tenant.run_prefix + (f"{run}-" if run else "")
        self._names = NameJudge(contract, self._tally, sample, own_prefix=prefix)

    def read(self, database: int, max_impact: float, done: Callable[[int], object]) -> None:
        client = self._clients[database]
        values: list[KeyAt] = []
        with told(client, database), reader(client, untouched=True) as connection:
            for batch in scan(self._clients, [database], max_impact=max_impact):
                wanted, companied = self._names.judge(batch)
                values += wanted
                for at in companied:
                    self._references.note_companion(at)
                if max(len(values), self._references.waiting) >= PIPELINE_KEYS:
                    self._judge_values(connection, values)
                    values.clear()
                done(self._tally.seen["keys"])
            self._judge_values(connection, values)

    def _judge_values(self, connection: GuardedConnection, keys: Sequence[KeyAt]) -> None:
        there = 0
        for at, value in read_values(connection, keys):
            there += 1
            self._fields.judge(at, value)
        self._tally.seen["values"] += len(keys)
        self._tally.seen["vanished"] += len(keys) - there
        self._references.settle()

    def concluded(self) -> KeyspaceAudit:
        self._names.conclude()
        self._references.conclude()
        seen = self._tally.seen
        return KeyspaceAudit(
            judgements={requirement: self._judgement(requirement) for requirement in WITNESSES},
            keys=seen["keys"],
            vanished=seen["vanished"],
            values_read=seen["values"],
            unread=seen["big"],
            commands=3 * seen["keys"] + seen["values"] + self._lookups.commands,
        )

    def _judgement(self, requirement: str) -> Judgement:
        findings = self._tally.of(requirement)
        name, counted = WITNESSES[requirement]
        observations = {name: self._tally.seen[counted]}
        if not self._tally.seen["keys"]:
            return inconclusive(requirement, _EMPTY, observations)
        if requirement in self._left_open and not findings.total:
            return not_applicable(requirement, self._left_open[requirement])
        if requirement in OF_VALUES and self._sample.reading == "none" and not findings.total:
            return Judgement(requirement, Outcome.SKIPPED, _UNREAD, observations=observations)
        judgement = judged(requirement, findings.examples(), observations, total=findings.total)
        notes = [judgement.reason, *self._notes(requirement)]
        return dataclasses.replace(judgement, reason="; ".join(note for note in notes if note))

    def _notes(self, requirement: str) -> Sequence[str]:
        """Return what a reader must know to weigh a judgement of values."""
        if requirement not in OF_VALUES:
            return ()
        notes = []
        if not self._sample.is_whole:
            seen = self._tally.seen
            notes.append(f"a sample: {seen['values']} values of {seen['keys']} keys were read")
        if self._tally.seen["big"]:
            limit = size_words(self._contract.big_key_bytes)
            notes.append(f"{self._tally.seen['big']} values above {limit} were not read")
        return notes


_EMPTY = (
    "there is no key in any database, so there is nothing to judge; "
    "give a server that holds data, or write the sample with `kryonix-cache seed`"
)
_UNREAD = "values were not read (--fields none)"
