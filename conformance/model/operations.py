# SPDX-License-Identifier: Apache-2.0
"""
Operations as data: each method of the adapter's handles, with what it does and must answer.

One description serves the state machine, the test of non-interference and the snippet that a
finding comes with. The model of a tenant is one plain dict from entries to what they hold.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeAlias, cast

from kryonix_cache.conformance.model.entries import (
    Arguments,
    Entry,
    entries_of,
    numbered_fields,
    offered_kinds,
    projected,
)
from kryonix_cache.conformance.model.programs import CHANNELS, TENANT_NAMES, TTLS, session_fields
from kryonix_cache.reference_impl.tenant import families, serves

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from kryonix_cache.reference_impl.contract import Contract

Aspect = Literal["read", "list", "write", "delete"]


class _Unjudged:
    """Stands for a reply that says nothing."""

    def __repr__(self) -> str:
        return "anything"


UNJUDGED = _Unjudged()


@dataclass(slots=True)
class Held:
    """What an entry holds, and the seconds until it expires; None for never."""

    value: Any
    left: int | None = None


Model: TypeAlias = dict[Entry, Held]
"""What one tenant must see."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call of one tenant's handle: an operation, which entry it is about, and a number.

    The number tells values apart and chooses among times to live. `instead` stands in the place
    of one of the entry's names, given by its position.
    """

    tenant: str
    operation: Operation
    index: int = 0
    number: int = 0
    instead: tuple[int, str] | None = None

    def __str__(self) -> str:
        part = _SHORT[self.operation.capability]
        return self.source(f"{self.tenant}.{part}" if part else self.tenant)

    def __repr__(self) -> str:
        return str(self)

    @property
    def entry(self) -> Entry | None:
        """The entry that the call is about; None for one about all of them."""
        return self.operation.entry_of(self)

    @property
    def arguments(self) -> Arguments:
        """The arguments of the method."""
        args, kwargs = self.operation.arguments(self)
        if self.instead is None:
            return args, kwargs
        position, text = self.instead
        if self.entry is not None and self.entry.kind == "record":
            return args, {**kwargs, self.entry.parts[position][0]: text}
        return (*args[:position], text, *args[position + 1 :]), kwargs

    def source(self, handle: str) -> str:
        """Return the call as Python, on the handle of this name."""
        args, kwargs = self.arguments
        words = [repr(each) for each in args]
        words += [f"{name}={value!r}" for name, value in kwargs.items()]
        return f"{handle}.{self.operation.method}({', '.join(words)})"

    def make(self, handle: object) -> Any:
        """Make the call on the handle; a coroutine comes back from one for asyncio."""
        args, kwargs = self.arguments
        return getattr(handle, self.operation.method)(*args, **kwargs)


_SHORT = {
    "tenant_store": "",
    "async_tenant_store": "async",
    "queues": "queues",
    "records": "records",
    "websockets": "websockets",
    "broadcasts": "broadcasts",
}


@dataclass(frozen=True, slots=True)
class Operation(ABC):
    """One method of one capability's handle; `entries` are those that it can be called for."""

    capability: str
    method: str
    entries: tuple[Entry, ...]

    aspect: ClassVar[Aspect]

    def entry_of(self, call: Call) -> Entry | None:
        """Return the entry that a call is about."""
        return self.entries[call.index % len(self.entries)]

    def arguments(self, call: Call) -> Arguments:
        """Return the arguments of a call."""
        return cast("Entry", call.entry).arguments

    @abstractmethod
    def effect(self, call: Call, model: Model) -> object:
        """Play the call on the tenant's model; return the reply that the handle must give."""

    def shown(self, reply: Any, wanted: object) -> object:
        """Return of a reply what can be held against the wanted one; raise for nonsense."""
        del wanted
        return reply


@dataclass(frozen=True, slots=True)
class Write(Operation):
    """Writes an entry: in place of what was there, or, where it `merges`, field by field.

    `lifetimes` are the seconds among which a call chooses and which it hands over by `ttl`;
    `lifetime` are those that the contract gives.
    """

    lifetimes: tuple[int, ...] = ()
    lifetime: int | None = None
    merges: bool = False
    fields: Mapping[str, tuple[tuple[str, str], ...]] = field(default_factory=dict, hash=False)

    aspect: ClassVar[Aspect] = "write"

    def arguments(self, call: Call) -> Arguments:
        """Return where, what, and for how long."""
        args, kwargs = cast("Entry", call.entry).arguments
        times = {"ttl": self._seconds(call)} if self.lifetimes else {}
        return (*args, self._payload(call)), {**times, **kwargs}

    def effect(self, call: Call, model: Model) -> object:
        """Hold the value anew."""
        entry = cast("Entry", call.entry)
        value = self._payload(call)
        if self.merges and entry in model:
            value = {**model[entry].value, **value}
        model[entry] = Held(value, self._seconds(call) if self.lifetimes else self.lifetime)
        return UNJUDGED

    def _seconds(self, call: Call) -> int:
        return self.lifetimes[call.number % len(self.lifetimes)]

    def _payload(self, call: Call) -> dict[str, Any]:
        entry = cast("Entry", call.entry)
        if entry.kind == "answer":
            return {"of": call.tenant, "n": call.number}
        if entry.kind == "record":
            fields = self.fields[entry.family]
            name, form = fields[call.number % min(2, len(fields))]
            return {name: _text(form, call)}
        return dict(session_fields(f"{call.tenant}_{call.number}"))


def _text(form: str, call: Call) -> str:
    """Return a text of the field's format that names its writer."""
    writer = TENANT_NAMES.index(call.tenant) + 1
    return f"{writer}{call.number:03}" if form == "integer" else f"{call.tenant} {call.number}"


@dataclass(frozen=True, slots=True)
class Read(Operation):
    """Reads an entry; `nothing` is what the handle answers where there is none."""

    nothing: object = None

    aspect: ClassVar[Aspect] = "read"

    def effect(self, call: Call, model: Model) -> object:
        """Return what the entry holds."""
        held = model.get(cast("Entry", call.entry))
        return self.nothing if held is None else held.value

    def shown(self, reply: Any, wanted: object) -> object:
        """Leave out the fields that the handle added, but for an answer, which has none."""
        if self.nothing is None:
            return reply
        return projected(dict(reply), wanted)


@dataclass(frozen=True, slots=True)
class Drop(Operation):
    """Removes an entry, and says whether it was there."""

    aspect: ClassVar[Aspect] = "delete"

    def effect(self, call: Call, model: Model) -> object:
        """Forget the entry."""
        return model.pop(cast("Entry", call.entry), None) is not None


@dataclass(frozen=True, slots=True)
class Names(Operation):
    """Lists what the tenant holds."""

    aspect: ClassVar[Aspect] = "list"

    def entry_of(self, call: Call) -> Entry | None:
        """Return none: a list is about all entries."""
        del call
        return None

    def arguments(self, call: Call) -> Arguments:
        """Return nothing."""
        del call
        return (), {}

    def effect(self, call: Call, model: Model) -> object:
        """Return the names of the entries of this kind, in order."""
        del call
        names = [each.names for each in self.entries if each in model]
        return sorted(n if len(n) > 1 else n[0] for n in names)

    def shown(self, reply: Any, wanted: object) -> object:
        """Put the names into order: a handle need not."""
        del wanted
        return sorted(tuple(n) if isinstance(n, list) else n for n in reply)


@dataclass(frozen=True, slots=True)
class Push(Operation):
    """Appends a job to a queue, and says how many wait."""

    aspect: ClassVar[Aspect] = "write"

    def arguments(self, call: Call) -> Arguments:
        """Return the queue and the job."""
        args, kwargs = cast("Entry", call.entry).arguments
        return (*args, self._job(call)), kwargs

    def effect(self, call: Call, model: Model) -> object:
        """Append the job."""
        held = model.setdefault(cast("Entry", call.entry), Held([]))
        held.value.append(self._job(call))
        return len(held.value)

    def _job(self, call: Call) -> dict[str, object]:
        return {"of": call.tenant, "n": call.number}


@dataclass(frozen=True, slots=True)
class Pop(Operation):
    """Takes the oldest job of a queue, and may wait for one: `waits` seconds where given."""

    waits: float | None = None

    aspect: ClassVar[Aspect] = "read"

    def arguments(self, call: Call) -> Arguments:
        """Return the queue and the wait; without one, one time in eight a short one."""
        args, _ = cast("Entry", call.entry).arguments
        if self.waits is not None:
            return args, {"wait": self.waits}
        return args, {"wait": 0.01} if call.number % 8 == 7 else {}  # noqa: PLR2004 (the last of eight)

    def effect(self, call: Call, model: Model) -> object:
        """Take the oldest job; a queue that is empty is gone."""
        entry = cast("Entry", call.entry)
        if entry not in model:
            return None
        jobs = model[entry].value
        job: object = jobs.pop(0)
        if not jobs:
            del model[entry]
        return job

    def shown(self, reply: Any, wanted: object) -> object:
        """Leave out what the handle added to the job."""
        return None if reply is None else projected(dict(reply), {} if wanted is None else wanted)


@dataclass(frozen=True, slots=True)
class Length(Operation):
    """Counts the jobs of a queue."""

    aspect: ClassVar[Aspect] = "read"

    def effect(self, call: Call, model: Model) -> object:
        """Return how many wait."""
        held = model.get(cast("Entry", call.entry))
        return 0 if held is None else len(held.value)


@dataclass(frozen=True, slots=True)
class Ping(Operation):
    """Notes a sign of life of a connection, and says whether it is there."""

    aspect: ClassVar[Aspect] = "read"

    def effect(self, call: Call, model: Model) -> object:
        """Change nothing that the model holds."""
        return call.entry in model


@dataclass(frozen=True, slots=True)
class Publish(Operation):
    """Sends to a channel, and says how many heard it."""

    aspect: ClassVar[Aspect] = "read"

    def entry_of(self, call: Call) -> Entry | None:
        """Return none: a channel keeps nothing."""
        del call
        return None

    def arguments(self, call: Call) -> Arguments:
        """Return the channel and the text."""
        return (CHANNELS[call.index % len(CHANNELS)], f"{call.tenant} {call.number}"), {}

    def effect(self, call: Call, model: Model) -> object:
        """Leave the reply open: the model knows of no subscribers."""
        del call, model
        return UNJUDGED


def operations_of(contract: Contract, capabilities: Iterable[str]) -> tuple[Operation, ...]:
    """Return the operations of these capabilities that have a meaning under the contract."""
    return tuple(each for capability in capabilities for each in _operations(contract, capability))


def _operations(contract: Contract, capability: str) -> Iterator[Operation]:
    if capability == "broadcasts" and serves(contract, families.BROADCASTS):
        yield Publish(capability, "publish", ())
    for kind in offered_kinds(contract, capability):
        entries = entries_of(contract, kind)
        match kind:
            case "answer":
                limit = contract.family(families.ANSWERS).ttl.max_seconds
                ttls = tuple(ttl for ttl in TTLS if limit is None or ttl <= limit)
                yield Write(capability, "put", entries, lifetimes=ttls or (limit or TTLS[0],))
                yield Read(capability, "get", entries)
                yield Drop(capability, "delete", entries)
                if capability == "tenant_store":
                    yield Names(capability, "list", entries)
            case "session":
                lifetime = contract.family(families.SESSIONS).ttl.max_seconds
                yield Write(capability, "start_session", entries, lifetime=lifetime)
                yield Read(capability, "read_session", entries, nothing={})
                yield Drop(capability, "end_session", entries)
                yield Names(capability, "list_sessions", entries)
            case "queue":
                yield Push(capability, "push", entries)
                yield Pop(capability, "pop", entries)
                yield Length(capability, "length", entries)
                yield Names(capability, "list", entries)
            case "record":
                known = {e.family: numbered_fields(contract.family(e.family)) for e in entries}
                yield Write(capability, "write", entries, merges=True, fields=known)
                yield Read(capability, "read", entries, nothing={})
                yield Drop(capability, "delete", entries)
            case "connection":
                yield Write(capability, "connect", entries)
                yield Ping(capability, "ping", entries)
                yield Read(capability, "read", entries, nothing={})
                yield Drop(capability, "disconnect", entries)
                yield Names(capability, "list", entries)
