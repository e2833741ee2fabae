# SPDX-License-Identifier: Apache-2.0
"""
Every area of the handle against plain dicts, blocking and for asyncio, on real servers.

The conformance suite does so with what an adapter shows; here it is the whole of the reference.
"""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from typing import TYPE_CHECKING, Any, Literal, get_args

from hypothesis import HealthCheck, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    rule,
    run_state_machine_as_test,
)

from kryonix_cache.fixtures.targets.server import ServerProcess
from kryonix_cache.reference_impl.async_connection import AsyncPools
from kryonix_cache.reference_impl.connection import Pools
from kryonix_cache.reference_impl.contract import default_contract
from kryonix_cache.reference_impl.tenant import AsyncTenantCaches, TenantCaches
from kryonix_cache.reference_impl.tenant.timelines import Figure

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

CONTRACT = default_contract()
TENANTS = ("m", "m2", "m-2")
MODULES = ("crm", "crm-x")
ITEMS = ("x", "x.y")
DOCUMENTS = ("preloaded", "essentials")
RECORDS = ("configuration", "branding", "metrics", "sdk_analytics", "app_analytics")
TTLS = (100, 300, 1200)
PAUSES = (50, 100, 300, 1700, 1800)
SEED = 20260305

tenants = st.sampled_from(TENANTS)
modules = st.sampled_from(MODULES)
items = st.sampled_from(ITEMS)
ttls = st.sampled_from(TTLS)
numbers = st.integers(0, 99)
Way = Literal["block", "await"]
asked = st.sampled_from(get_args(Way))
"""Which handle a call is made on."""

Held = dict[Any, tuple[Any, int | None]]
"""What a tenant holds in one area, each with the seconds that are left; None for ever."""


class TenantMachine(RuleBasedStateMachine):
    """Three tenants whose ids begin alike; each call may take the blocking handle or the other."""

    pools: Pools
    async_pools: AsyncPools
    runner: asyncio.Runner

    def __init__(self) -> None:
        super().__init__()
        self.model: dict[str, dict[str, Held]] = {name: defaultdict(dict) for name in TENANTS}
        blocking = TenantCaches(CONTRACT, self.pools)
        waiting = AsyncTenantCaches(CONTRACT, self.async_pools)
        self.handles = {name: (blocking.open(name), waiting.open(name)) for name in TENANTS}
        self.listeners: list[Any] = []

    def call(self, tenant: str, way: Way, area: str, method: str, *args: Any, **kwargs: Any) -> Any:
        handle = self.handles[tenant][way == "await"]
        made = getattr(getattr(handle, area), method)(*args, **kwargs)
        return self.awaited(way, made)

    def awaited(self, way: Way, made: Any) -> Any:
        return self.runner.run(made) if way == "await" else made

    def drop_preloads(self, tenant: str, module: str, item: str) -> None:
        """Forget what was fetched ahead: it ends with a newer answer, and with a deletion."""
        self.model[tenant]["warmed"].pop((module, item), None)
        self.model[tenant]["preloaded"].pop(f"{module}.{item}", None)

    def teardown(self) -> None:
        for database, key in self.keys():
            self.pools[database].delete(key)

    def keys(self) -> Iterable[tuple[int, bytes]]:
        for database in range(16):
            for key in self.pools[database].scan_iter(count=1000):
                yield database, key

    # --- what expires ---

    @rule(
        tenant=tenants,
        area=st.sampled_from(["answers", "warmed"]),
        module=modules,
        item=items,
        n=numbers,
        ttl=ttls,
        way=asked,
    )
    def put(
        self, *, tenant: str, area: str, module: str, item: str, n: int, ttl: int, way: Way
    ) -> None:
        self.call(tenant, way, area, "put", module, item, {"n": n}, ttl=ttl)
        if area == "answers":
            self.drop_preloads(tenant, module, item)
        self.model[tenant][area][module, item] = ({"n": n}, ttl)

    @rule(
        tenant=tenants,
        area=st.sampled_from(["answers", "warmed"]),
        module=modules,
        item=items,
        way=asked,
    )
    def get(self, *, tenant: str, area: str, module: str, item: str, way: Way) -> None:
        found = self.call(tenant, way, area, "get", module, item)
        assert found == self.model[tenant][area].get((module, item), (None, None))[0]

    @rule(
        tenant=tenants,
        area=st.sampled_from(["answers", "warmed"]),
        module=modules,
        item=items,
        way=asked,
    )
    def drop(self, *, tenant: str, area: str, module: str, item: str, way: Way) -> None:
        if area == "answers":
            self.drop_preloads(tenant, module, item)
        there = self.model[tenant][area].pop((module, item), None) is not None
        assert self.call(tenant, way, area, "delete", module, item) is there

    @rule(
        tenant=tenants, area=st.sampled_from(DOCUMENTS), item=items, n=numbers, ttl=ttls, way=asked
    )
    def put_document(
        self, *, tenant: str, area: str, item: str, n: int, ttl: int, way: Way
    ) -> None:
        self.call(tenant, way, area, "put", item, [n], ttl=ttl)
        self.model[tenant][area][item] = ([n], ttl)

    @rule(
        tenant=tenants, area=st.sampled_from(DOCUMENTS), item=items, drop=st.booleans(), way=asked
    )
    def look_at_document(self, *, tenant: str, area: str, item: str, drop: bool, way: Way) -> None:
        held = self.model[tenant][area]
        assert self.call(tenant, way, area, "get", item) == held.get(item, (None, None))[0]
        if drop:
            there = held.pop(item, None) is not None
            assert self.call(tenant, way, area, "delete", item) is there

    @rule(tenant=tenants, session=items, n=numbers, way=asked)
    def start(self, *, tenant: str, session: str, n: int, way: Way) -> None:
        session = session.replace(".", "-")
        self.call(tenant, way, "sessions", "start", session, {"user_id": f"{tenant}{n}"})
        self.model[tenant]["sessions"][session] = (f"{tenant}{n}", 1800)

    @rule(tenant=tenants, session=items, what=st.sampled_from(["touch", "end", "read"]), way=asked)
    def use_session(self, *, tenant: str, session: str, what: str, way: Way) -> None:
        session = session.replace(".", "-")
        held = self.model[tenant]["sessions"]
        found = self.call(tenant, way, "sessions", what, session)
        if what == "read":
            assert found.get("user_id") == held.get(session, (None, None))[0]
            return
        assert found is (session in held)
        if what == "touch" and found:
            held[session] = (held[session][0], 1800)
        elif what == "end":
            held.pop(session, None)

    @rule(seconds=st.sampled_from(PAUSES))
    def time_passes(self, *, seconds: int) -> None:
        """Move the server's own times to live; what is over the server drops itself."""
        for database, key in list(self.keys()):
            left = self.pools[database].pttl(key)
            if left > 0:
                self.pools[database].pexpire(key, max(1, left - seconds * 1000))
                while left <= seconds * 1000 and self.pools[database].exists(key):
                    pass
        for areas in self.model.values():
            for held in areas.values():
                for name, (value, lasts) in list(held.items()):
                    if lasts is None:
                        continue
                    held[name] = (value, lasts - seconds)
                    if lasts <= seconds:
                        del held[name]

    # --- what stays ---

    @rule(tenant=tenants, queue=modules, n=numbers, way=asked)
    def push(self, *, tenant: str, queue: str, n: int, way: Way) -> None:
        jobs, _ = self.model[tenant]["queues"].setdefault(queue, ([], None))
        jobs.append(n)
        assert self.call(tenant, way, "queues", "push", queue, {"n": n}) == len(jobs)

    @rule(tenant=tenants, queue=modules, way=asked)
    def pop(self, *, tenant: str, queue: str, way: Way) -> None:
        held = self.model[tenant]["queues"]
        jobs, _ = held.get(queue, ([], None))
        assert self.call(tenant, way, "queues", "length", queue) == len(jobs)
        job = self.call(tenant, way, "queues", "pop", queue)
        assert (
            (job and (job["n"], job["tenant_id"])) == (jobs.pop(0), tenant) if jobs else job is None
        )
        if not jobs:
            held.pop(queue, None)

    @rule(
        tenant=tenants,
        area=st.sampled_from([*RECORDS, "modules"]),
        module=modules,
        n=numbers,
        way=asked,
    )
    def write(self, *, tenant: str, area: str, module: str, n: int, way: Way) -> None:
        parts = {"module": module} if area == "modules" else {}
        record = {f"f{n % 2}": f"{tenant}{n}"}
        self.call(tenant, way, area, "write", record, **parts)
        old, _ = self.model[tenant][area].get(parts.get("module"), ({}, None))
        self.model[tenant][area][parts.get("module")] = ({**old, **record}, None)

    @rule(
        tenant=tenants,
        area=st.sampled_from([*RECORDS, "modules"]),
        module=modules,
        drop=st.booleans(),
        way=asked,
    )
    def look_at_record(self, *, tenant: str, area: str, module: str, drop: bool, way: Way) -> None:
        parts = {"module": module} if area == "modules" else {}
        held = self.model[tenant][area]
        found = self.call(tenant, way, area, "read", **parts)
        assert found == held.get(parts.get("module"), ({}, None))[0]
        if drop:
            there = held.pop(parts.get("module"), None) is not None
            assert self.call(tenant, way, area, "delete", **parts) is there

    @rule(tenant=tenants, connection=modules, n=numbers, way=asked)
    def connect(self, *, tenant: str, connection: str, n: int, way: Way) -> None:
        self.call(tenant, way, "websockets", "connect", connection, {"user_id": f"{tenant}{n}"})
        self.model[tenant]["websockets"][connection] = ((f"{tenant}{n}", "[]"), None)

    @rule(
        tenant=tenants,
        connection=modules,
        what=st.sampled_from(["ping", "subscribe", "disconnect"]),
        way=asked,
    )
    def use_connection(self, *, tenant: str, connection: str, what: str, way: Way) -> None:
        held = self.model[tenant]["websockets"]
        events = ["news"] if what == "subscribe" else []
        there = connection in held
        assert self.call(tenant, way, "websockets", what, connection, *events) is there
        if what == "subscribe" and there:
            held[connection] = ((held[connection][0][0], json.dumps(events)), None)
        elif what == "disconnect":
            held.pop(connection, None)

    @rule(tenant=tenants, channel=modules, add=st.booleans(), way=asked)
    def change_channels(self, *, tenant: str, channel: str, add: bool, way: Way) -> None:
        held = self.model[tenant]["channels"]
        changes = (channel in held) is not add
        assert self.call(tenant, way, "channels", "add" if add else "discard", channel) is changes
        if add:
            held[channel] = (channel, None)
        else:
            held.pop(channel, None)

    @rule(tenant=tenants, moment=numbers, value=numbers, way=asked)
    def add_figure(self, *, tenant: str, moment: int, value: int, way: Way) -> None:
        figure = Figure(moment, "hits", float(value))
        self.call(tenant, way, "timeline", "add", figure)
        self.model[tenant]["timeline"][figure] = (figure, None)

    @rule(tenant=tenants, until=numbers, way=asked)
    def forget_figures(self, *, tenant: str, until: int, way: Way) -> None:
        held = self.model[tenant]["timeline"]
        old = [figure for figure in held if figure.moment <= until]
        assert self.call(tenant, way, "timeline", "forget", until) == len(old)
        for figure in old:
            del held[figure]

    # --- what is handed on ---

    @rule(sender=tenants, channel=modules, n=numbers, way=asked, hears=asked)
    def broadcast(self, *, sender: str, channel: str, n: int, way: Way, hears: Way) -> None:
        """Everybody listens to the channel of this name; only the sender's listener hears it."""
        opened = {
            name: self.handles[name][hears == "await"].broadcasts.subscribe(channel)
            for name in TENANTS
        }
        enter = "__aenter__" if hears == "await" else "__enter__"
        leave = "__aexit__" if hears == "await" else "__exit__"
        listeners = {
            name: self.awaited(hears, getattr(context, enter)()) for name, context in opened.items()
        }
        try:
            assert self.call(sender, way, "broadcasts", "publish", channel, f"{n}") == 1
            for name in TENANTS:
                self.call(name, way, "broadcasts", "publish", channel, "last")
            for name, listener in listeners.items():
                texts = [f"{n}", "last"] if name == sender else ["last"]
                received = [self.awaited(hears, listener.next(wait=5)) for _ in texts]
                assert [message.text for message in received] == texts
        finally:
            for context in opened.values():
                self.awaited(hears, getattr(context, leave)(None, None, None))

    @rule(tenant=tenants, way=asked)
    def look_at_lists(self, *, tenant: str, way: Way) -> None:
        held = self.model[tenant]
        for area in ("answers", "sessions", "queues", "websockets", "channels"):
            assert sorted(self.call(tenant, way, area, "list")) == sorted(held[area])
        assert self.call(tenant, way, "modules", "list") == [
            {"module": module} for module in sorted(held["modules"])
        ]
        assert set(self.call(tenant, way, "timeline", "between", 0, 100)) == set(held["timeline"])
        for connection, ((user, events), _) in held["websockets"].items():
            read = self.call(tenant, way, "websockets", "read", connection)
            assert (read["user_id"], read["subscribed_events"]) == (user, events)

    @invariant()
    def every_key_belongs_to_a_tenant_that_holds_it(self) -> None:
        """As many keys lie on the server as the models hold, each of its own tenant."""
        counts = dict.fromkeys(TENANTS, 0)
        for database, key in self.keys():
            parsed = CONTRACT.parse(database, key)
            assert parsed is not None
            counts[str(parsed.tenant)] += 1
        one_key = {"timeline", "channels"}
        for name in TENANTS:
            held = self.model[name]
            assert counts[name] == sum(
                bool(each) if area in one_key else len(each) for area, each in held.items()
            )


def test_every_area_is_what_plain_dicts_are(binary: Path) -> None:
    """No tenant notices the others, whichever handle it takes, and whatever has expired.

    On a server of its own, for every key on it is looked at.
    """
    with (
        ServerProcess(binary) as server,
        Pools(server.endpoint) as pools,
        asyncio.Runner() as runner,
    ):
        async_pools = AsyncPools(server.endpoint)

        class Machine(TenantMachine):
            pass

        Machine.pools, Machine.async_pools, Machine.runner = pools, async_pools, runner
        try:
            run_state_machine_as_test(
                # The same programs each time: what fails once fails again.
                seed(SEED)(Machine),
                settings=settings(
                    # Where CI is set another profile would be the default.
                    settings.get_profile("default"),
                    derandomize=False,
                    database=None,
                    max_examples=15,
                    stateful_step_count=40,
                    deadline=None,
                    suppress_health_check=list(HealthCheck),
                ),
            )
        finally:
            runner.run(async_pools.aclose())
