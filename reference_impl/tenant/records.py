# SPDX-License-Identifier: Apache-2.0
"""Records of one tenant: the hashes of a family, as configuration, branding or figures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kryonix_cache.reference_impl.tenant.area import Area, pairs, texts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kryonix_cache.reference_impl.tenant.exchanges import Program


class RecordsArea(Area):
    """One hash for each combination of the parts that the key takes besides the tenant.

    What the contract lets a tenant only read can only be read (FamilyClosedError).
    """

    def write(self, /, fields: Mapping[str, str], **parts: str) -> Program[None]:
        """Set fields of a record; other fields stay. A record that expires lives anew."""
        self.refuse_unless("write")
        key = self.key(**parts)
        if not fields:
            return
        write = (b"HSET", key, *pairs(fields))
        if self.family.ttl.max_seconds is None:
            yield from self.ask(*write)
        else:
            yield from self.transact(write, (b"EXPIRE", key, b"%d" % self.lifetime()))

    def read(self, /, **parts: str) -> Program[dict[str, str]]:
        """Return the fields of a record; empty if there is none."""
        self.refuse_unless("write", "read")
        return texts((yield from self.ask(b"HGETALL", self.key(**parts))))

    def delete(self, /, **parts: str) -> Program[bool]:
        """Drop a record; say whether it was there."""
        self.refuse_unless("write")
        return (yield from self.remove(**parts))

    def list(self) -> Program[list[Mapping[str, str]]]:
        """Return the parts of each record's key, by a scan of the database."""
        self.refuse_unless("write", "read")
        found = yield from self.own_keys()
        return [{name: text for name, text in key.items() if name != "tenant"} for key in found]
