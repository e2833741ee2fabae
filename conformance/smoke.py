# SPDX-License-Identifier: Apache-2.0
"""
The smoke check: whether the system under test is wired as it says.

A system that says `in_process=True` promises to send everything through the clients that it was
given, where the guard sees it. What it says is not believed: it is exercised on a server of the
bench, and the server's own count of commands is held against the journal of the clients.
"""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING, cast

from kryonix_cache.fixtures.errors import SystemUnusableError
from kryonix_cache.fixtures.powers import Power, PowerGuard
from kryonix_cache.fixtures.system import Surroundings, System, build

if TYPE_CHECKING:
    import redis

    from kryonix_cache.conformance.run import RunTenants
    from kryonix_cache.fixtures.journal import Journal
    from kryonix_cache.fixtures.system import Factory
    from kryonix_cache.fixtures.targets.target import Target
    from kryonix_cache.reference_impl.connection import Pools

_TTL_SECONDS = 60
# Sent by a connection's own set-up, which no journal counts.
_SET_UP = {"auth", "hello", "select", "client", "client|setname", "client|setinfo", "info", "ping"}


def smoke_check(
    factory: Factory, server: Target, clients: Pools, journal: Journal, run: RunTenants
) -> System:
    """Build the system on a disposable server, exercise it, and return it.

    `journal` is that of `clients` alone. Raises SystemUnusableError where the factory is wired
    wrongly, or where the server saw commands that did not come through the given clients.
    """
    before = _counted(server)
    async_clients = server.async_pools(policy=PowerGuard(Power.WHOLE, journal, owns=run.owns))
    system = build(factory, Surroundings(run.contract, server.endpoint, clients, async_clients))
    _exercise(system, run)
    seen = _counted(server)
    seen.subtract(before)
    sent = Counter(
        {name.lower().replace(" ", "|"): n for name, n in journal.total().by_name.items()}
    )
    beside = {name: n - sent[name] for name, n in seen.items() if n > sent[name]}
    if system.in_process and beside:
        shown = ", ".join(f"{name} {count} times" for name, count in sorted(beside.items())[:5])
        raise SystemUnusableError(
            f"The system says in_process=True but talks to the server on connections of its own "
            f"({shown}), past the guard: use the clients of the surroundings for everything, or "
            "say in_process=False."
        )
    return system


def _exercise(system: System, run: RunTenants) -> None:
    # What goes wrong here is judged later, by the requirement that it concerns.
    with suppress(Exception):
        if system.tenant_store is not None:
            handle = system.tenant_store.open(run.id("smoke"))
            handle.put("crm", "users", {"n": 1}, ttl=_TTL_SECONDS)
            handle.get("crm", "users")
            handle.list()
            handle.delete("crm", "users")
            fields = {"user_id": "user_1", "device_type": "mobile", "platform": "android"}
            handle.start_session("s1", fields)
            handle.read_session("s1")
            handle.list_sessions()
            handle.end_session("s1")


def _counted(server: Target) -> Counter[str]:
    client = server.connect()
    try:
        return processed(client)
    finally:
        client.close()


def processed(client: redis.Redis) -> Counter[str]:
    """Return how often the server has processed each command, less what sets connections up."""
    stats = cast("dict[str, dict[str, int]]", client.info("commandstats"))
    counts = {
        name.removeprefix("cmdstat_"): int(figures["calls"]) for name, figures in stats.items()
    }
    return Counter({name: count for name, count in counts.items() if name not in _SET_UP})
