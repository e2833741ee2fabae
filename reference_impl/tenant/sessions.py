# SPDX-License-Identifier: Apache-2.0
"""Mobile sessions of one tenant."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kryonix_cache.reference_impl.tenant.area import Area, now, pairs, texts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kryonix_cache.reference_impl.tenant.exchanges import Program


class SessionsArea(Area):
    """Sessions by id; each lives as long as the contract says after its last activity."""

    def start(self, session: str, fields: Mapping[str, str]) -> Program[None]:
        """Write a session in place of an earlier one, in one transaction.

        The handle gives tenant and times; times in `fields` go before them.
        """
        key, moment = self.key(session=session), now()
        record = {"created_at": moment, "last_activity": moment, **fields, "tenant_id": self.tenant}
        yield from self.transact(
            (b"UNLINK", key),
            (b"HSET", key, *pairs(record)),
            (b"EXPIRE", key, b"%d" % self.lifetime()),
        )

    def read(self, session: str) -> Program[dict[str, str]]:
        """Return the fields of a session; empty if there is none."""
        return texts((yield from self.ask(b"HGETALL", self.key(session=session))))

    def touch(self, session: str) -> Program[bool]:
        """Note an activity, from which the session lives anew; False if it has ended."""
        key = self.key(session=session)
        return (
            yield from self.change_if_there(
                key,
                (b"HSET", key, b"last_activity", now().encode()),
                (b"EXPIRE", key, b"%d" % self.lifetime()),
            )
        )

    def end(self, session: str) -> Program[bool]:
        """Drop a session; say whether it was there."""
        return (yield from self.remove(session=session))

    def list(self) -> Program[list[str]]:
        """Return the ids of the tenant's sessions."""
        return [parts["session"] for parts in (yield from self.own_keys())]
