# SPDX-License-Identifier: Apache-2.0
"""
The scene of accidents: a server of the bench, a proxy before it, and systems behind the proxy.

Accidents are made on a server of their own, whatever the target: what is judged is the system's
side of a connection, and nobody else's connections may be frozen or cut.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal

from kryonix_cache.conformance.accidents.handles import shared
from kryonix_cache.conformance.accidents.witness import Witness
from kryonix_cache.conformance.datasets import digests

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from kryonix_cache.conformance.datasets import Place
    from kryonix_cache.conformance.evidence import Evidence
    from kryonix_cache.conformance.run import RunTenants
    from kryonix_cache.conformance.session import RunSession
    from kryonix_cache.fixtures.proxy.process import ProxyProcess
    from kryonix_cache.fixtures.system import Surroundings, System
    from kryonix_cache.fixtures.targets.target import Target
    from kryonix_cache.reference_impl.connection import Clients

SERVER = "accidents"
PATIENT_SECONDS = 1.0
"""The time-out of clients where nothing is to time out."""

CROWD_SECONDS = 3.0
"""The same where replies are held back until a crowd has gathered."""

IMPATIENT_SECONDS = 0.05
"""The time-out of clients where something is to."""

STUBBORN_SECONDS = 2.0
"""How long a call of this process may outlast its time-out before the accident is let go."""

OTHERS_SECONDS = 0.3
"""The same for a system in another process, whose time-outs are its own."""

POLL_SECONDS = 0.0005

Counted = Literal["requests", "replies", "replies_passed"]


class Scene:
    """Where accidents happen; `raw` are clients of the suite's own, which pass the proxy by."""

    def __init__(
        self,
        session: RunSession,
        server: Target,
        proxy: ProxyProcess,
        raw: Clients,
        evidence: Evidence,
    ) -> None:
        self.proxy = proxy
        self.raw = raw
        self.evidence = evidence
        self.nightly = session.plan.request.depth == "nightly"
        self.run: RunTenants = session.plan.tenants
        self._session = session
        self._server = server

    @contextmanager
    def surroundings(
        self, *, timeout: float = PATIENT_SECONDS, max_connections: int = 1
    ) -> Iterator[Surroundings]:
        """Give what a system behind the proxy is built from."""
        self.proxy.let_pass()
        with self._session.surroundings_of(
            self._server,
            SERVER,
            through=self.proxy.endpoint,
            timeout=timeout,
            max_connections=max_connections,
        ) as surroundings:
            try:
                yield surroundings
            finally:
                self.proxy.let_pass()

    @contextmanager
    def system(
        self, *, timeout: float = PATIENT_SECONDS, max_connections: int = 1
    ) -> Iterator[System]:
        """Give the system under test behind the proxy."""
        with self.surroundings(timeout=timeout, max_connections=max_connections) as surroundings:
            yield self.built(surroundings)

    def built(self, surroundings: Surroundings) -> System:
        """Build the system under test; each tenant has one handle of a capability."""
        return shared(self._session.system_in(surroundings))

    def witness(self, system: System) -> Witness:
        """Return a witness of the system's replies."""
        return Witness(self.evidence, in_process=system.in_process)

    def calm(self) -> None:
        """End all connections, and wait until nothing of them can reach the server any more."""
        self.proxy.let_pass()
        self.proxy.cut()
        for _ in range(2):
            # What had arrived before is carried out at the latest when the second one is.
            self.raw[0].ping()

    def reach(self, counted: Counted, count: int, over: Callable[[], bool]) -> bool:
        """Wait until the proxy has counted so many bytes; False if `over` says so before."""
        while getattr(self.proxy.counters(), counted) < count:
            if over():
                return False
            time.sleep(POLL_SECONDS)
        return True

    def places(self) -> set[Place]:
        """Return where the server holds keys, in any database."""
        return set(digests(self.raw, self.run.contract))

    def clear(self) -> None:
        """Remove every key of the run, past the system."""
        for database, key in self.places():
            if self.run.owns(database, key):
                self.raw[database].delete(key)
