# SPDX-License-Identifier: Apache-2.0
"""
The footprint: what a run left on its target, proven by the journal and by a second look.

The journal counts what was sent. The second look compares names, types and the presence of an
expiry of all foreign keys before and after; values are not read, for that touches LRU clocks,
and what the guard let through cannot have changed them.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import redis

from kryonix_cache.conformance.errors import RunIdInUseError
from kryonix_cache.fixtures.commands import WRITES, rule_for
from kryonix_cache.reference_impl.errors import ReadDeniedError
from kryonix_cache.reference_impl.scan import count_keys, scan
from kryonix_cache.reports.lines import Footprint, RefusedCommand

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from kryonix_cache.fixtures.journal import Journal
    from kryonix_cache.reference_impl.connection import Clients

MOST_KEYS_LOOKED_AT = 2_000_000
"""Above this many keys the second look would cost a live server more than it proves."""


@dataclass(frozen=True, slots=True)
class Look:
    """What one pass over the target saw; `digest` is of the foreign keys, None if not taken.

    `writes` counts the write commands that the server has ever processed, and the keys that it
    expired or evicted: where that moved by more than the run's own share, two looks are not
    comparable. None where the server does not tell, or where nobody looked.
    """

    digest: int | None
    own_keys: int | None
    writes: int | None
    lost: int | None
    note: str = ""


def look(
    clients: Clients,
    databases: range,
    owns: Callable[[int, bytes], bool],
    *,
    max_impact: float = 1.0,
) -> Look:
    """Pass once over the target, reading names, types and expiries."""
    writes, lost = _activity(clients)
    try:
        keys = sum(count_keys(clients, databases).values())
        if keys > MOST_KEYS_LOOKED_AT:
            note = f"more than {MOST_KEYS_LOOKED_AT} keys: not looked at twice"
            return Look(None, None, writes, lost, note)
        digest, own = _digest(clients, databases, owns, max_impact)
    except ReadDeniedError as error:
        return Look(None, None, writes, lost, str(error))
    return Look(digest, own, writes, lost)


def not_looked(note: str) -> Look:
    """Return the look at a target that is lost."""
    return Look(None, None, None, None, note)


def differ(before: Look, after: Look) -> bool:
    """Say whether both looks saw the foreign keys, and not the same ones."""
    return None not in (before.digest, after.digest) and before.digest != after.digest


def _digest(
    clients: Clients,
    databases: range,
    owns: Callable[[int, bytes], bool],
    max_impact: float,
) -> tuple[int, int]:
    total, own = 0, 0
    for batch in scan(clients, databases, max_impact=max_impact, sizes=False):
        for name, kind, ttl, _ in batch.rows:
            if owns(batch.database, name):
                own += 1
                continue
            text = b"%d %b %d %b" % (batch.database, kind, ttl >= 0, name)
            # A sum does not depend on the order in which a scan returns keys.
            total += int.from_bytes(hashlib.blake2b(text, digest_size=16).digest())
    return total, own


def _activity(clients: Clients) -> tuple[int | None, int | None]:
    try:
        stats: Mapping[str, object] = clients[0].info("commandstats")
        counts: Mapping[str, object] = clients[0].info("stats")
    except redis.ResponseError:
        return None, None
    writes = 0
    for name, figures in stats.items():
        rule = rule_for((name.removeprefix("cmdstat_").encode(),))
        if rule is not None and rule.effect in WRITES and isinstance(figures, dict):
            writes += int(figures["calls"])
    lost = sum(int(str(counts.get(name, 0))) for name in ("expired_keys", "evicted_keys"))
    return writes, lost


def refuse_used_run(before: Look, run: str) -> None:
    """Raise RunIdInUseError where keys of this run are there before it began."""
    if before.own_keys:
        raise RunIdInUseError(run, before.own_keys)


def footprint_of(journal: Journal, before: Look, after: Look) -> Footprint:
    """Put journal and looks together into the record's line."""
    sent = journal.total()
    digest, note = _compared(before, after, own_writes=_writes_of(sent.by_name))
    left = sent.keys_left if after.own_keys is None else after.own_keys
    return Footprint(
        commands=sent.commands,
        foreign_keys_written=sent.foreign_keys_written,
        keys_created=sent.keys_written,
        keys_removed=sent.keys_written - left,
        keys_left=left,
        values_read=sent.values_read,
        refused=tuple(RefusedCommand(command=r.command, reason=r.reason) for r in sent.refusals),
        digest=digest,
        note=note,
    )


def harm_of(trace: Footprint) -> str:
    """Return what the run did to the target that it must never do; '' for a clean footprint."""
    if trace.foreign_keys_written:
        return f"the run wrote {trace.foreign_keys_written} foreign keys"
    if trace.keys_left:
        return f"the run left {trace.keys_left} keys of its own; they expire, or `runs clean`"
    if trace.digest == "differs":
        return "foreign keys of the target changed though no other client wrote"
    return ""


def _writes_of(by_name: Mapping[str, int]) -> int:
    total = 0
    for name, times in by_name.items():
        rule = rule_for(tuple(word.encode() for word in name.split()))
        total += times if rule is not None and rule.effect in WRITES else 0
    return total


def _compared(before: Look, after: Look, *, own_writes: int) -> tuple[str, str]:
    if before.digest is None or after.digest is None:
        return "not comparable", before.note or after.note
    if before.writes is None or after.writes is None:
        return "not comparable", "the server does not tell whether others wrote meanwhile"
    if after.writes - before.writes > own_writes:
        return "not comparable", "the server processed writes that this run did not send"
    if before.digest == after.digest:
        return "equal", "names, types and expiries; no client but this run wrote"
    if after.lost != before.lost:
        return "not comparable", "keys expired or were evicted meanwhile"
    return "differs", "foreign keys changed though no other client wrote"
