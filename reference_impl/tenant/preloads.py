# SPDX-License-Identifier: Apache-2.0
"""
What was preloaded for cached answers of one tenant.

A preloaded value stays where it is and ends when it ends: a copy among the answers would need an
age, and would live on when the preloading is undone (E14).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, cast

from kryonix_cache.reference_impl.contract.model import Answer
from kryonix_cache.reference_impl.errors import (
    ForeignValueError,
    KeyPartError,
    ValueUnreadableError,
)
from kryonix_cache.reference_impl.tenant import families
from kryonix_cache.reference_impl.tenant.documents import read_json
from kryonix_cache.reference_impl.tenant.exchanges import Batch, accepted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from kryonix_cache.reference_impl.bulk import Reply
    from kryonix_cache.reference_impl.contract import Contract
    from kryonix_cache.reference_impl.contract.model import Family, TenantId
    from kryonix_cache.reference_impl.tenant.exchanges import Plan, Program


class Found(NamedTuple):
    """Preloaded data, which may be None."""

    data: object


class _Place(NamedTuple):
    family: Family
    key: bytes


class Preloads:
    """Where data is preloaded for an answer: as a warmed answer, or as an item of its name.

    A contract without these families has no such place.
    """

    def __init__(self, contract: Contract, tenant: TenantId) -> None:
        self._contract = contract
        self._tenant = tenant
        names = (families.WARMED, families.PRELOADED)
        self._families = [
            contract.family(name) for name in names if families.serves(contract, name)
        ]

    def find(self, module: str, endpoint: str) -> Plan[Found | None]:
        """Return what was preloaded for an answer, if it still has time to live.

        Raises ValueUnreadableError for what is no JSON, and ForeignValueError for what names
        another tenant.
        """
        for database, places in self._places(module, endpoint):
            replies = cast("list[Reply]", (yield _read(database, places)))
            for place, text, lifetime in zip(places, replies[::2], replies[1::2], strict=True):
                # A preloaded value that never ends would hide every newer one.
                if text is not None and cast("int", lifetime) > 0:
                    found = self._open(place, text)
                    if found is not None:
                        return found
        return None

    def drop(self, module: str, endpoint: str) -> Plan[None]:
        """Drop what was preloaded for an answer, so that it does not come after a newer one."""
        for database, places in self._places(module, endpoint):
            yield _drop(database, places)

    def _places(self, module: str, endpoint: str) -> Iterator[tuple[int, Sequence[_Place]]]:
        by_database: dict[int, list[_Place]] = {}
        for family in self._families:
            try:
                key = self._key(family, module, endpoint)
            except KeyPartError:
                # The two parts may be longer together than an item's name: then nobody wrote it.
                continue
            by_database.setdefault(family.databases[0], []).append(_Place(family, key))
        yield from by_database.items()

    def _key(self, family: Family, module: str, endpoint: str) -> bytes:
        if family.name == families.WARMED:
            parts = {"module": module, "endpoint": endpoint}
        else:
            parts = {"item": Answer(module, endpoint).item}
        return self._contract.key(family.name, tenant=self._tenant, **parts)

    def _open(self, place: _Place, text: Reply) -> Found | None:
        value = read_json(place.key, text)
        named = value.get("tenant_id", self._tenant) if isinstance(value, dict) else self._tenant
        if named != self._tenant:
            raise ForeignValueError(place.key.decode())
        if place.family.name != families.WARMED:
            return Found(value)
        if not isinstance(value, dict) or "tenant_id" not in value:
            raise ValueUnreadableError(place.key.decode())
        # A record without data says only that the answer was warmed.
        return Found(value["data"]) if "data" in value else None


def _read(database: int, places: Sequence[_Place]) -> Program[list[Reply]]:
    commands = [(word, place.key) for place in places for word in (b"GET", b"PTTL")]
    replies = yield Batch(database, commands)
    return [accepted(reply) for reply in replies]


def _drop(database: int, places: Sequence[_Place]) -> Program[None]:
    (reply,) = yield Batch(database, [(b"UNLINK", *(place.key for place in places))])
    accepted(reply)
