# SPDX-License-Identifier: Apache-2.0
"""
Where the isolation tests are played.

Answers and sessions expire, so they may be written on the target, a live one too. Queues, records
and connections never do, by the contract: they are played on a server of the bench.
"""

from __future__ import annotations

import zlib
from contextlib import contextmanager
from typing import TYPE_CHECKING

from kryonix_cache.conformance.model.snippet import Origin
from kryonix_cache.conformance.model.stage import IsolationStage
from kryonix_cache.conformance.outcomes import NotOffered

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from kryonix_cache.conformance.evidence import Evidence
    from kryonix_cache.conformance.run import Depth
    from kryonix_cache.conformance.session import RunSession
    from kryonix_cache.fixtures.system import System
    from kryonix_cache.fixtures.targets.target import Target

EXPIRING = ("tenant_store", "async_tenant_store")
LASTING = ("records", "queues", "websockets")
BENCH = "isolation"


class Stages:
    """Sets stages for one requirement and clears them."""

    def __init__(self, session: RunSession, requirement: str, evidence: Evidence) -> None:
        self.session = session
        self._requirement = requirement
        self._evidence = evidence

    @property
    def depth(self) -> Depth:
        """How much is played."""
        return self.session.plan.request.depth

    @property
    def origin(self) -> Origin:
        """What the programs of this requirement are drawn by, and its snippets say of it."""
        plan = self.session.plan
        return Origin(
            self._requirement,
            plan.request.system,
            plan.request.contract,
            plan.contract,
            plan.tenants.prefix,
            # Each requirement plays programs of its own.
            zlib.crc32(f"{plan.request.seed} {self._requirement}".encode()),
        )

    @contextmanager
    def on_target(self) -> Iterator[IsolationStage]:
        """Give answers and sessions, where the system may work; raise NotOffered without them."""
        with self.on(self.session.system_target, EXPIRING) as stage:
            # A store for asyncio alone has neither sessions nor lists.
            if stage is None or "tenant_store" not in stage.capabilities:
                raise NotOffered("the system offers no tenant store")
            yield stage

    @contextmanager
    def on_bench(self, *capabilities: str) -> Iterator[IsolationStage]:
        """Give capabilities on the bench; raise NotOffered for a system that has none of them."""
        with self.on(self.session.bench_server(BENCH), capabilities) as stage:
            if stage is None:
                words = " and no ".join(each.replace("_", " ") for each in capabilities)
                raise NotOffered(f"the system offers no {words}")
            yield stage

    @contextmanager
    def beside(self, server: Target, *capabilities: str) -> Iterator[IsolationStage | None]:
        """Give what is played besides on another server; the note of a pass says so."""
        place = self._evidence.ran_on
        with self.on(server, capabilities) as stage:
            self._evidence.ran_on = place
            if stage is not None and self.session.ran_on(server) != place:
                words = ", ".join(each.replace("_", " ") for each in stage.capabilities)
                self._evidence.note = f"{words}: played on the bench, because they never expire"
            yield stage

    @contextmanager
    def on(self, server: Target, capabilities: Sequence[str]) -> Iterator[IsolationStage | None]:
        """Give those of the capabilities that the system offers, on this server; None for none."""
        session = self.session
        with (
            session.surroundings_of(server, self._requirement) as surroundings,
            session.clients_of(server, self._requirement) as raw,
        ):
            system = session.system_in(surroundings)
            offered = offered_by(system, capabilities)
            if not offered:
                yield None
                return
            self._evidence.ran_on = session.ran_on(server)
            stage = IsolationStage(
                surroundings,
                session.system_in,
                raw,
                session.plan.tenants,
                self._evidence,
                capabilities=offered,
                disposable=not server.live,
                forgets=system.in_process,
            )
            try:
                yield stage
            finally:
                stage.close()


def offered_by(system: System, capabilities: Sequence[str]) -> tuple[str, ...]:
    """Return those of the capabilities that the system offers."""
    return tuple(each for each in capabilities if getattr(system, each) is not None)
