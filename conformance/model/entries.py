# SPDX-License-Identifier: Apache-2.0
"""Entries: the things that a tenant may hold, and where each lies on the server."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias, cast

from kryonix_cache.conformance.model.moments import timeless
from kryonix_cache.conformance.model.programs import (
    CONNECTIONS,
    ITEMS,
    MODULES,
    QUEUES,
    SESSIONS,
)
from kryonix_cache.reference_impl.tenant import families, serves

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kryonix_cache.reference_impl.contract import Contract
    from kryonix_cache.reference_impl.contract.model import Family

Kind = Literal["answer", "session", "queue", "record", "connection"]
Arguments: TypeAlias = tuple[tuple[object, ...], Mapping[str, object]]
"""Positional and named arguments of a call."""

_PARTS_OF_RECORDS: Mapping[str, tuple[str, ...]] = {"module": MODULES}
_NUMBERED = {"text", "integer"}


@dataclass(frozen=True, slots=True)
class Entry:
    """A cached answer, a session, a queue, a record or a connection, of whichever tenant."""

    kind: Kind
    family: str
    parts: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        what = self.family if self.kind == "record" else self.kind
        return " ".join([what, *(["/".join(self.names)] if self.parts else [])])

    @property
    def names(self) -> tuple[str, ...]:
        """The parts of its key besides the tenant."""
        return tuple(value for _, value in self.parts)

    @property
    def arguments(self) -> Arguments:
        """How a method of a handle is told which entry is meant."""
        return ((self.family,), dict(self.parts)) if self.kind == "record" else (self.names, {})

    def key(self, contract: Contract, tenant: str) -> bytes:
        """Return the key under which the contract wants it."""
        return contract.key(self.family, tenant=tenant, **dict(self.parts))


def entries_of(contract: Contract, kind: Kind) -> tuple[Entry, ...]:
    """Return the entries of a kind that the programs use."""
    match kind:
        case "answer":
            return tuple(
                Entry(kind, families.ANSWERS, (("module", module), ("endpoint", endpoint)))
                for module, endpoint in ITEMS
            )
        case "session":
            return tuple(Entry(kind, families.SESSIONS, (("session", s),)) for s in SESSIONS)
        case "queue":
            return tuple(Entry(kind, families.QUEUES, (("queue", q),)) for q in QUEUES)
        case "connection":
            return tuple(
                Entry(kind, families.CONNECTIONS, (("connection", c),)) for c in CONNECTIONS
            )
        case "record":
            return tuple(_records(contract))


def _records(contract: Contract) -> Iterator[Entry]:
    for family in contract.tenant_families:
        others = [part for part in family.parts if part != "tenant"]
        if (
            family.type == "hash"
            and family.access == "write"
            # When a record that expires lives anew is nothing that the adapter is asked for.
            and family.ttl.max_seconds is None
            and family.name != families.CONNECTIONS
            and set(others) <= set(_PARTS_OF_RECORDS)
            and numbered_fields(family)
        ):
            if not others:
                yield Entry("record", family.name)
            for part in others[:1]:
                for name in _PARTS_OF_RECORDS[part]:
                    yield Entry("record", family.name, ((part, name),))


def numbered_fields(family: Family) -> tuple[tuple[str, str], ...]:
    """Return name and format of the fields of a hash that can tell a writer by a number."""
    found = ((name, each.format.name) for name, each in family.fields.items())
    return tuple((name, form) for name, form in found if form in _NUMBERED)


def offered_kinds(contract: Contract, capability: str) -> tuple[Kind, ...]:
    """Return the kinds of entries that a capability keeps under this contract."""
    match capability:
        case "tenant_store":
            return ("answer", "session")
        case "async_tenant_store":
            return ("answer",)
        case "queues":
            return ("queue",) if serves(contract, families.QUEUES) else ()
        case "websockets":
            return ("connection",) if serves(contract, families.CONNECTIONS) else ()
        case "records":
            return ("record",) if any(True for _ in _records(contract)) else ()
        case _:
            return ()


def value_of(entry: Entry, reply: object) -> object | None:
    """Return what a raw reply of the server says that the entry holds; None if it is not there.

    What is not as the contract wants it is returned as it is, and agrees with nothing.
    """
    try:
        match entry.kind:
            case "answer":
                return None if reply is None else json.loads(cast("bytes", reply))["data"]
            case "queue":
                jobs = cast("list[bytes]", reply)
                return [json.loads(job) for job in jobs] or None
            case _:
                fields = cast("Mapping[bytes, bytes]", reply)
                return {name.decode(): text.decode() for name, text in fields.items()} or None
    except (ValueError, TypeError, KeyError, AttributeError):
        return reply


def projected(found: object, wanted: object) -> object:
    """Return `found` without the fields that a handle added: what `wanted` does not speak of.

    Where nothing is wanted all that was found is shown, with moments as a word.
    """
    if isinstance(wanted, Mapping) and isinstance(found, Mapping):
        return {name: found.get(name) for name in wanted} if wanted else timeless(found)
    if isinstance(wanted, list) and isinstance(found, list) and len(found) == len(wanted):
        return [projected(each, other) for each, other in zip(found, wanted, strict=True)]
    return found
