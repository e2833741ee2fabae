# SPDX-License-Identifier: Apache-2.0
"""The scene of a judgement: an empty server of the bench, the optimiser, made tenants."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, cast

from kryonix_cache.conformance.datasets import names_by_database
from kryonix_cache.conformance.evidence import answer_of
from kryonix_cache.conformance.optimising.looks import Look, look
from kryonix_cache.conformance.optimising.tenants import MadeTenant
from kryonix_cache.conformance.outcomes import NotOffered
from kryonix_cache.fixtures.capabilities import TenantAnalysis

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator

    from kryonix_cache.conformance.datasets import Place
    from kryonix_cache.conformance.evidence import Evidence
    from kryonix_cache.conformance.session import RunSession
    from kryonix_cache.fixtures.capabilities import Optimisation, Optimiser, Read
    from kryonix_cache.fixtures.system import Surroundings
    from kryonix_cache.reference_impl.connection import Pools
    from kryonix_cache.reference_impl.contract.model import OptimiserRule

    Loader = Callable[[str, str], object]

MOMENT = datetime(2026, 3, 17, 9, tzinfo=UTC)
"""The present of the stories, on the hour, and far from the clock of the machine."""

_SERVER = "optimiser"
_BATCH = 1000


class Scene:
    """What a test of an optimiser has at hand.

    `clients` are the suite's own; `admin` are those of the server's administrator.
    """

    def __init__(
        self,
        session: RunSession,
        evidence: Evidence,
        surroundings: Surroundings,
        optimiser: Optimiser,
        pools: tuple[Pools, Pools],
    ) -> None:
        self.session = session
        self.contract = session.plan.contract
        self.evidence = evidence
        self.surroundings = surroundings
        self.optimiser = optimiser
        self.clients, self.admin = pools

    @property
    def rule(self) -> OptimiserRule:
        """The contract's rules; a contract without any is not judged at all."""
        assert self.contract.optimiser is not None
        return self.contract.optimiser

    def tenant(self, name: str, *, now: datetime = MOMENT) -> MadeTenant:
        """Return a tenant that keys can be written of."""
        return MadeTenant(self.session.plan.tenants.id(name), self.contract, self.clients, now)

    def lifetime(self, family: str) -> int:
        """Return the longest life of a family's keys, in seconds."""
        seconds = self.contract.family(family).ttl.max_seconds
        assert seconds is not None
        return seconds

    def learn(self, reads: Iterable[Read]) -> None:
        """Let the optimiser take note of reads."""
        answer_of("learn", self.optimiser.learn, list(reads))

    def run(
        self,
        *tenants: MadeTenant,
        at: datetime = MOMENT,
        loader: Loader | None = None,
        dry_run: bool = False,
    ) -> Optimisation:
        """Let the optimiser run over the tenants, or over all; a run that is busy is a failure."""
        ids = [each.id for each in tenants] or None
        done = answer_of(
            "optimise",
            self.optimiser.optimise,
            at=at,
            tenants=ids,
            loader=loader,
            dry_run=dry_run,
        )
        if done.busy:
            self.evidence.found(
                "optimise", found="it says that another run is at work", wanted="a run: no other is"
            )
            self.evidence.settle()
        return done

    def analysis(self, done: Optimisation, tenant: MadeTenant) -> TenantAnalysis:
        """Return the analysis of a tenant; one that is missing is a finding, and knows nothing."""
        found = done.analyses.get(tenant.id)
        if found is None:
            wanted = "an analysis of the tenant, which has keys"
            self.evidence.found(
                f"tenant {tenant.id}", found=_problems_of(done, tenant), wanted=wanted
            )
        return found or TenantAnalysis()

    def look(self) -> Look:
        """Read everything that lies on the server."""
        return look(self.clients, self.contract)

    @contextmanager
    def policy(self, name: str) -> Iterator[None]:
        """Set the eviction policy for a while: it decides what access figures the server keeps."""
        found = cast("dict[str, str]", self.admin[0].config_get("maxmemory-policy"))
        self.admin[0].config_set("maxmemory-policy", name)
        try:
            yield
        finally:
            self.admin[0].config_set("maxmemory-policy", found["maxmemory-policy"])

    def keys_of(self, tenant: MadeTenant) -> list[Place]:
        """Return the keys of a tenant that are there."""
        names = names_by_database(self.clients, self.contract)
        places = [(database, key) for database, keys in names.items() for key in keys]
        return [at for at in places if (p := self.contract.parse(*at)) and p.tenant == tenant.id]

    def problems(self, done: Optimisation, tenant: MadeTenant) -> Collection[str]:
        """Return what the run says could not be done for a tenant."""
        return done.problems.get(tenant.id, ())


def _problems_of(done: Optimisation, tenant: MadeTenant) -> str:
    problems = "; ".join(done.problems.get(tenant.id, ()))
    return f"no analysis; problems: {problems or 'none'}"


@contextmanager
def scene_of(session: RunSession, requirement: str, evidence: Evidence) -> Iterator[Scene]:
    """Give an empty scene; raise NotOffered for a system without an optimiser.

    All scenes of a run share one server, which is emptied key by key before each.
    """
    server = session.bench_server(_SERVER)
    evidence.ran_on = "bench"
    with (
        session.surroundings_of(server, requirement) as surroundings,
        session.clients_of(server, f"{requirement}-witness") as clients,
        session.administering(server, f"{requirement}-admin") as admin,
    ):
        system = session.system_in(surroundings)
        if system.optimiser is None:
            raise NotOffered("the system offers no optimiser")
        _empty(clients, session)
        yield Scene(session, evidence, surroundings, system.optimiser, (clients, admin))


def _empty(clients: Pools, session: RunSession) -> None:
    for database in session.plan.contract.databases:
        client = clients[database.number]
        names = list(client.scan_iter(count=_BATCH))
        for start in range(0, len(names), _BATCH):
            client.unlink(*names[start : start + _BATCH])
