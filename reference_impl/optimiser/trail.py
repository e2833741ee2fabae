# SPDX-License-Identifier: Apache-2.0
"""
The trail: each change with its reason, in the database of the change and in one MULTI with it.

So no change is without a record, and none can be recorded that was not made. Times are those of the
run's clock; `server_expiry_ms` is the new expiry by the server's clock, which alone can be compared
with what the server says later.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

from kryonix_cache.reference_impl.errors import FormatError
from kryonix_cache.reference_impl.optimiser.report import Change

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from datetime import datetime

    from kryonix_cache.reference_impl.bulk import Reply
    from kryonix_cache.reference_impl.connection import Command
    from kryonix_cache.reference_impl.contract import Contract
    from kryonix_cache.reference_impl.contract.model import TenantId

FAMILY = "optimisation-trail"
LONGEST = 500
"""Entries that are kept for each tenant and database, the newest; a run makes 26 at most."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One change as the trail holds it.

    `value` is the digest of the bytes that the change left under the key.
    """

    run: str
    tenant: TenantId
    at: datetime
    change: Change
    value: str
    server_expiry_ms: int
    undone_at: datetime | None = None

    def undone(self, at: datetime) -> Entry:
        """Return the entry of the change that was taken back."""
        return replace(self, undone_at=at)

    def packed(self) -> bytes:
        """Return the entry as the list holds it."""
        change = self.change
        fields = {
            "run": self.run,
            "tenant_id": self.tenant,
            "at": written(self.at),
            "rule": change.rule,
            "key": change.key.decode(),
            "action": change.action,
            "value": self.value,
            "expires_before": change.expires_before and written(change.expires_before),
            "expires_after": written(change.expires_after),
            "server_expiry_ms": self.server_expiry_ms,
            "reason": change.reason,
            "undone_at": self.undone_at and written(self.undone_at),
        }
        return json.dumps({name: it for name, it in fields.items() if it is not None}).encode()


class Trail:
    """The trail of one tenant in one database, as commands."""

    def __init__(self, contract: Contract, tenant: TenantId, database: int) -> None:
        family = contract.family(FAMILY)
        assert database in family.databases
        self.key = contract.key(FAMILY, tenant=tenant)
        self._tenant, self._database = tenant, database
        self._family = family

    def append(self, entries: Iterable[Entry]) -> tuple[Command, ...]:
        """Return the commands that append entries, drop the oldest, and let the list live."""
        packed = [entry.packed() for entry in entries]
        if not packed:
            return ()
        kept: tuple[Command, ...] = (
            (b"RPUSH", self.key, *packed),
            (b"LTRIM", self.key, b"%d" % -LONGEST, b"-1"),
        )
        lifetime = self._family.ttl.max_seconds
        return kept if lifetime is None else (*kept, (b"EXPIRE", self.key, b"%d" % lifetime))

    def newest(self, count: int) -> Command:
        """Return the command that reads so many entries, the newest last."""
        return (b"LRANGE", self.key, b"%d" % -count, b"-1")

    def entries(self, reply: Reply) -> Iterator[tuple[bytes, Entry]]:
        """Yield what can be read of a reply to `newest`, with its bytes, the newest first."""
        for raw in reversed(cast("list[bytes]", reply if isinstance(reply, list) else [])):
            entry = self.read(raw)
            if entry is not None:
                yield raw, entry

    def replace(self, index: int, entry: Entry) -> Command:
        """Return the command that writes an entry anew."""
        return (b"LSET", self.key, b"%d" % index, entry.packed())

    def read(self, raw: bytes) -> Entry | None:
        """Read an entry; None for what is none of this tenant."""
        try:
            fields = json.loads(raw)
            entry = self._entry(fields) if isinstance(fields, dict) else None
        except (ValueError, TypeError, LookupError, RecursionError, FormatError):
            return None
        return entry if entry is not None and entry.tenant == self._tenant else None

    def _entry(self, fields: Mapping[str, Any]) -> Entry:
        action = fields["action"]
        if action not in self._family.all_fields["action"].values:
            raise ValueError(action)
        if action == "extended" and "expires_before" not in fields:
            raise ValueError("an extension of nothing")
        change = Change(
            rule=fields["rule"],
            action=action,
            database=self._database,
            key=str(fields["key"]).encode(),
            expires_before=self._moment(fields.get("expires_before")),
            expires_after=self._given(fields["expires_after"]),
            reason=str(fields["reason"]),
        )
        return Entry(
            run=str(fields["run"]),
            tenant=fields["tenant_id"],
            at=self._given(fields["at"]),
            change=change,
            value=str(fields["value"]),
            server_expiry_ms=int(fields["server_expiry_ms"]),
            undone_at=self._moment(fields.get("undone_at")),
        )

    def _moment(self, text: str | None) -> datetime | None:
        return None if text is None else self._given(text)

    def _given(self, text: str) -> datetime:
        return cast("datetime", self._family.all_fields["at"].format.parse(text))


def written(moment: datetime) -> str:
    """Return a moment as the records hold it."""
    return moment.isoformat(timespec="milliseconds")
