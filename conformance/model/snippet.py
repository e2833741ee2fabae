# SPDX-License-Identifier: Apache-2.0
"""
A counterexample as a program: what a reader runs to see with his own eyes what a finding says.

It opens the system under test through its factory and real handles, makes the calls of the
shortest program that was found, and ends with the comparison that failed. The address of the
server comes from the environment, so that no secret stands in it.
"""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from kryonix_cache.conformance.model.operations import Names, Pop, Read
from kryonix_cache.conformance.model.steps import AtOnce, Pause, Single

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from kryonix_cache.conformance.model.entries import Entry
    from kryonix_cache.conformance.model.operations import Call
    from kryonix_cache.conformance.model.steps import Step
    from kryonix_cache.reference_impl.contract import Contract

ATTEMPTS = 200
"""How often a program is played in which things happen at once: not each time do they meet."""

_VARIABLES = {"a": "a", "ab": "ab", "a-b": "a_dash_b", "a_b": "a_b"}
_SUFFIXES = {
    "tenant_store": "",
    "async_tenant_store": "_async",
    "queues": "_queues",
    "records": "_records",
    "websockets": "_websockets",
    "broadcasts": "_broadcasts",
}
_ASYNC = "async_tenant_store"
_READS = {"answer": "get({key!r})", "queue": "lrange({key!r}, 0, -1)"}
_READ = "hgetall({key!r})"

_FOUND = {
    "value": "projected(held, wanted)",
    "presence": "held is not None",
    "traces": "foreign_traces(held, {tenant!r}, RUN)",
}
_IMPORT_TRACES = "from kryonix_cache.conformance.model.traces import foreign_traces"

_HEAD = '''\
"""
{requirement} does not hold: {what}.

Run this program against a server that holds nothing of value; it says what it finds there:

    KRYONIX_TARGET=redis://localhost:6379 python counterexample-{requirement}.py

User name and password can stand in KRYONIX_TARGET_USERNAME and KRYONIX_TARGET_PASSWORD.
"""

{imports}
from kryonix_cache.fixtures.system import Surroundings, load_factory
from kryonix_cache.fixtures.targets.specification import TargetSpec
from kryonix_cache.reference_impl.async_connection import AsyncPools
from kryonix_cache.reference_impl.connection import Pools
from kryonix_cache.reference_impl.contract import load_contract

RUN = {run!r}

contract = load_contract({contract!r})
endpoint = TargetSpec.resolve().endpoint
clients, async_clients = Pools(endpoint), AsyncPools(endpoint)
factory = load_factory({system!r}){loop}


def keys_of_the_run():
    for database in contract.databases:
        for key in clients[database.number].scan_iter(match=f"*{{RUN}}*", count=1000):
            yield clients[database.number], key


def forget():
    for client, key in keys_of_the_run():
        client.delete(key)

'''

_TIME_PASSES = '''
def pass_time(seconds):
    """Let time pass by the server's own times to live."""
    for client, key in list(keys_of_the_run()):
        left = client.pttl(key)
        if left > 0:
            client.pexpire(key, max(0, left - seconds * 1000))

'''

_AT_ONCE = '''
def at_once(*programs):
    """Make the calls of each program in a thread of its own; return all replies."""
    start = threading.Barrier(len(programs))

    def play(program):
        start.wait()
        with switching():
            return [call() for call in program]

    with ThreadPoolExecutor(len(programs)) as pool:
        return list(pool.map(play, programs))

'''

_AS_TASKS = '''
def as_tasks(*programs):
    """Make the calls of each program in a task of its own; return all replies."""
    async def play(program):
        return [await call() for call in program]

    async def together():
        return await asyncio.gather(*(play(program) for program in programs))

    return loop.run(together())

'''

_TAIL = """

for _ in range({attempts}):
    forget()
    try:
        {call}
    finally:
        forget()
    {check}
print("nothing to be seen")
"""


@dataclass(frozen=True, slots=True)
class ReplyShown:
    """The comparison that failed was that of a reply."""

    call: Call
    wanted: object

    def __str__(self) -> str:
        return f"{self.call} must answer {self.wanted!r}"


@dataclass(frozen=True, slots=True)
class ValueShown:
    """The comparison that failed was that of what an entry holds on the server.

    `look` says what of it was asked: its value, whether it is there, or whom else it names.
    """

    tenant: str
    entry: Entry
    wanted: object
    look: Literal["value", "presence", "traces"] = "value"

    def __str__(self) -> str:
        if self.look == "presence":
            return f"{self.tenant}'s {self.entry} must {'' if self.wanted else 'not '}be there"
        if self.look == "traces":
            return f"{self.tenant}'s {self.entry} must name nobody else on the server"
        return f"{self.tenant}'s {self.entry} must hold {self.wanted!r} on the server"


@dataclass(frozen=True, slots=True)
class TraceShown:
    """What a reply told of other tenants was more than nothing."""

    call: Call

    def __str__(self) -> str:
        return f"{self.call} must tell nothing of others"


@dataclass(frozen=True, slots=True)
class RaiseShown:
    """The last call raised."""

    def __str__(self) -> str:
        return "the last call must not raise"


Shown = ReplyShown | ValueShown | TraceShown | RaiseShown


@dataclass(frozen=True, slots=True)
class Origin:
    """Where programs come from: what a snippet says of it, and the seed they are drawn by."""

    requirement: str
    system: str
    contract_path: Path | None
    contract: Contract
    run_prefix: str
    seed: int

    def snippet(self, steps: Sequence[Step], shown: Shown) -> str:
        """Return the program that plays the steps and ends with the comparison."""
        concurrent = any(isinstance(step, AtOnce) for step in steps)
        compared = not isinstance(shown, RaiseShown)
        head = _HEAD.format(
            requirement=self.requirement,
            what=shown,
            run=self.run_prefix,
            contract=str(self.contract_path) if self.contract_path else None,
            system=self.system,
            imports="\n".join(_imports(steps, shown)),
            loop="\nloop = asyncio.Runner()" if _awaits(steps) else "",
        )
        tail = _TAIL.format(
            attempts=ATTEMPTS if concurrent else 1,
            call="found, wanted = play()" if compared else "play()",
            check='assert found == wanted, f"found {found!r}, wanted {wanted!r}"'
            if compared
            else "# Not reached: the last call raised.",
        )
        play = textwrap.indent("\n".join(self._body(steps, shown)), "    ")
        return f"{head}{''.join(_helpers(steps))}\ndef play():\n{play}\n{tail}"

    def _body(self, steps: Sequence[Step], shown: Shown) -> Iterator[str]:
        yield "system = factory(Surroundings(contract, endpoint, clients, async_clients))"
        used = [(c.tenant, c.operation.capability) for step in steps for c in step.calls]
        for tenant, capability in dict.fromkeys(used):
            yield f"{_handle(tenant, capability)} = system.{capability}.open(RUN + {tenant!r})"
        for step in steps[:-1]:
            yield _source(step)
        last = _source(steps[-1]) if steps else "pass"
        match shown:
            case ReplyShown(call, wanted):
                place = _place_of(call, steps[-1])
                yield f"reply = {last}{place}"
                yield f"wanted = {wanted!r}"
                yield f"return {_shown(call)}, wanted"
            case TraceShown(call):
                yield f"reply = {last}{_place_of(call, steps[-1])}"
                yield f"return foreign_traces(reply, {call.tenant!r}, RUN), []"
            case ValueShown(tenant, entry, wanted, look):
                yield last
                yield from self._raw(tenant, entry)
                yield f"wanted = {wanted!r}"
                yield f"return {_FOUND[look].format(tenant=tenant)}, wanted"
            case RaiseShown():
                yield last

    def _raw(self, tenant: str, entry: Entry) -> Iterator[str]:
        key = entry.key(self.contract, self.run_prefix + tenant).decode()
        database = self.contract.family(entry.family).databases[0]
        read = _READS.get(entry.kind, _READ).format(key=key)
        yield f"entry = Entry({entry.kind!r}, {entry.family!r})"
        yield f"held = value_of(entry, clients[{database}].{read})"


def _awaits(steps: Sequence[Step]) -> bool:
    return any(call.operation.capability == _ASYNC for step in steps for call in step.calls)


def _imports(steps: Sequence[Step], shown: Shown) -> Iterator[str]:
    if _awaits(steps):
        yield "import asyncio"
    threads = any(isinstance(step, AtOnce) and step.by == "threads" for step in steps)
    if threads:
        yield "import threading"
        yield "from concurrent.futures import ThreadPoolExecutor"
    yield ""
    if threads:
        yield "from kryonix_cache.conformance.model.switching import switching"
    if isinstance(shown, ValueShown):
        yield "from kryonix_cache.conformance.model.entries import Entry, projected, value_of"
        if shown.look == "traces":
            yield _IMPORT_TRACES
    elif isinstance(shown, TraceShown):
        yield _IMPORT_TRACES
    elif isinstance(shown, ReplyShown) and "projected" in _shown(shown.call):
        yield "from kryonix_cache.conformance.model.entries import projected"


def _helpers(steps: Sequence[Step]) -> Iterator[str]:
    if any(isinstance(step, Pause) for step in steps):
        yield _TIME_PASSES
    ways = {step.by for step in steps if isinstance(step, AtOnce)}
    if "threads" in ways:
        yield _AT_ONCE
    if "tasks" in ways:
        yield _AS_TASKS


def _handle(tenant: str, capability: str) -> str:
    return _VARIABLES[tenant] + _SUFFIXES[capability]


def _call(call: Call) -> str:
    return call.source(_handle(call.tenant, call.operation.capability))


def _source(step: Step) -> str:
    match step:
        case Single(call):
            source = _call(call)
            return f"loop.run({source})" if call.operation.capability == _ASYNC else source
        case AtOnce(calls, by):
            programs = [
                "[" + ", ".join(f"lambda: {_call(calls[place])}" for place in places) + "]"
                for places in step.lanes
            ]
            name = "at_once" if by == "threads" else "as_tasks"
            return f"{name}(\n    " + ",\n    ".join(programs) + ",\n)"
        case Pause(seconds):
            return f"pass_time({seconds})"


def _place_of(call: Call, step: Step) -> str:
    """Return how the reply to a call is picked out of what a step gives."""
    if not isinstance(step, AtOnce):
        return ""
    for number, places in enumerate(step.lanes):
        for position, place in enumerate(places):
            if step.calls[place] is call:
                return f"[{number}][{position}]"
    return ""


def _shown(call: Call) -> str:
    match call.operation:
        case Names():
            return "sorted(tuple(n) if isinstance(n, list) else n for n in reply)"
        case Pop():
            return "None if reply is None else projected(dict(reply), wanted or {})"
        case Read(nothing=nothing) if nothing is not None:
            return "projected(dict(reply), wanted)"
        case _:
            return "reply"
