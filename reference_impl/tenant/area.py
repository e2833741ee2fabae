# SPDX-License-Identifier: Apache-2.0
"""An area: what one tenant can do with its keys of one family, as programs."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, cast

import redis

from kryonix_cache.reference_impl.contract.keys import glob_of
from kryonix_cache.reference_impl.errors import (
    FamilyClosedError,
    ListingRefusedError,
    ValueTooLongLivedError,
)
from kryonix_cache.reference_impl.tenant import exchanges
from kryonix_cache.reference_impl.tenant.exchanges import ask

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kryonix_cache.reference_impl.bulk import Reply
    from kryonix_cache.reference_impl.contract import Contract
    from kryonix_cache.reference_impl.contract.model import TenantId
    from kryonix_cache.reference_impl.demand.recorder import AccessRecorder
    from kryonix_cache.reference_impl.forbidden import Command
    from kryonix_cache.reference_impl.tenant.exchanges import Program

_SCAN_COUNT = b"1000"


class Area:
    """The keys of one tenant in one family.

    Every key is built by the contract from the tenant, so no argument of any method can name a
    key of somebody else. A method raises KeyPartError for a part that no key can hold, before
    anything is sent.
    """

    def __init__(self, contract: Contract, tenant: TenantId, family: str) -> None:
        """Raise UnknownFamilyError if the contract does not have the family."""
        self.tenant = tenant
        self.family = contract.family(family)
        self.database = self.family.databases[0]
        self.recorder: AccessRecorder | None = None
        self._contract = contract

    def key(self, /, **parts: str) -> bytes:
        """Return the tenant's key with these parts."""
        return self._contract.key(self.family.name, tenant=self.tenant, **parts)

    def lifetime(self, ttl: int | None = None) -> int:
        """Return the seconds that a key lives: `ttl`, or the most that the contract allows.

        Raises ValueTooLongLivedError above that, below one, and for a family that never expires.
        """
        limit = self.family.ttl.max_seconds
        if limit is None:
            raise ValueTooLongLivedError(f"The family {self.family.name!r} never expires.")
        if ttl is None:
            return limit
        if not 0 < ttl <= limit:
            raise ValueTooLongLivedError(
                f"A key of family {self.family.name!r} lives 1 to {limit} seconds, not {ttl}."
            )
        return ttl

    def refuse_unless(self, *access: str) -> None:
        """Raise FamilyClosedError unless the contract gives the tenant such access."""
        if self.family.access not in access:
            raise FamilyClosedError(self.family.name, self.family.access)

    def ask(self, *command: bytes, wait: float = 0) -> Program[Reply]:
        """Send one command to the family's database."""
        return ask(self.database, *command, wait=wait)

    def transact(self, *commands: Command) -> Program[list[Reply] | None]:
        """Send a transaction to the family's database."""
        return exchanges.transact(self.database, *commands)

    def change_if_there(self, key: bytes, *commands: Command) -> Program[bool]:
        """Change a key of the family's database unless it is gone."""
        return exchanges.change_if_there(self.database, key, *commands)

    def remove(self, /, **parts: str) -> Program[bool]:
        """Drop a key; say whether it was there."""
        return (yield from self.ask(b"UNLINK", self.key(**parts))) == 1

    def own_keys(self) -> Program[list[Mapping[str, str]]]:
        """Return the parts of each of the tenant's keys, by a scan of the database, sorted.

        Raises ListingRefusedError where the server does not let this user scan.
        """
        # The glob only thins out the traffic; the parsed tenant decides, because a star reaches
        # over separators. SCAN may repeat a key.
        pattern = glob_of(self.family.pattern, self.tenant).encode()
        found: dict[bytes, Mapping[str, str]] = {}
        cursor = b"0"
        while True:
            command = (b"SCAN", cursor, b"MATCH", pattern, b"COUNT", _SCAN_COUNT)
            try:
                reply = yield from self.ask(*command)
            except redis.exceptions.NoPermissionError:
                raise ListingRefusedError(self.tenant, self.family.name) from None
            cursor, keys = cast("tuple[bytes, list[bytes]]", reply)
            for key in keys:
                parsed = self._contract.parse(self.database, key)
                if parsed and parsed.tenant == self.tenant and parsed.family is self.family:
                    found[key] = parsed.parts
            if cursor == b"0":
                return [found[key] for key in sorted(found)]


def texts(reply: Reply) -> dict[str, str]:
    """Return the fields of a hash from HGETALL's reply."""
    flat = iter(cast("list[bytes]", reply))
    return {name.decode(): value.decode() for name, value in zip(flat, flat, strict=True)}


def pairs(fields: Mapping[str, str]) -> list[bytes]:
    """Return the fields of a hash as HSET takes them."""
    return [word.encode() for field in fields.items() for word in field]


def now() -> str:
    """Return the present time as the contract's fields hold it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")
