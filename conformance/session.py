# SPDX-License-Identifier: Apache-2.0
"""
One conformance run from its first contact to its last line.

A live target gets the powers observe and own, and the guard sees every command that goes there,
the system's own ones included; all else runs on the bench. `open` refuses whatever would make
the run meaningless; `finish` removes what the run wrote, judges, and writes the reports.
"""

from __future__ import annotations

import os
import time
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import redis

from kryonix_cache.conformance import footprint
from kryonix_cache.conformance.datasets import Place, digests
from kryonix_cache.conformance.errors import ConformanceError, UsageError
from kryonix_cache.conformance.outcomes import TARGET_LOST, outcome_of
from kryonix_cache.conformance.run import COUNTEREXAMPLE, command_line
from kryonix_cache.conformance.smoke import smoke_check
from kryonix_cache.conformance.stamps import header_of, now
from kryonix_cache.fixtures.grants import Grant, granted
from kryonix_cache.fixtures.journal import Journal, Mark
from kryonix_cache.fixtures.powers import Power, PowerGuard
from kryonix_cache.fixtures.system import Surroundings, System, build, load_factory
from kryonix_cache.fixtures.targets.bench import Bench
from kryonix_cache.fixtures.targets.configuration import ServerPlan
from kryonix_cache.fixtures.targets.docker import DEFAULT_IMAGE
from kryonix_cache.fixtures.targets.specification import TargetSpec
from kryonix_cache.fixtures.targets.target import Target, open_target
from kryonix_cache.reference_impl.async_connection import AsyncPools
from kryonix_cache.reference_impl.connection import Pools
from kryonix_cache.reference_impl.scan import impact_of
from kryonix_cache.reports.lines import Check, Outcome
from kryonix_cache.reports.record import RecordWriter
from kryonix_cache.reports.redaction import Redactor
from kryonix_cache.reports.rendering import STEP_SUMMARY, append_step_summary, write_reports

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from kryonix_cache.conformance.run import RunPlan
    from kryonix_cache.fixtures.capabilities import TenantLogin
    from kryonix_cache.reference_impl.endpoint import Endpoint

CLIENT_PREFIX = "kryonix"
OWN_NAMESPACE = "isolation.own-namespace"

SHORTEST_LIFETIME_S = 300
"""Keys of a run may live as long as the contract's longest family, and at least so long."""

TENANT_SECONDS = 2.0
"""How long a tenant's own connection waits for a reply: some attacks are answered by none."""


def client_name(run: str, purpose: str) -> str:
    """Return the CLIENT SETNAME of a run's connection, by which a server's lists name the test."""
    return f"{CLIENT_PREFIX}:{run}:{purpose}"


def usable_grant(text: str) -> Grant:
    """Return the grant; raise UsageError for a power that no check of the suite can use there."""
    grant = Grant.parse(text)
    if grant.power is not Power.OWN:
        raise UsageError(
            f"--grant {text} has no use: what needs the power {grant.power.label} runs on the "
            "bench only; leave it out."
        )
    return grant


class RunSession:
    """A run: its target, bench, journals and record."""

    def __init__(self, plan: RunPlan) -> None:
        self.plan = plan
        self.redactor = Redactor()
        self.is_open = False
        self._journals = {"target": Journal(), "bench": Journal()}
        self._stack = ExitStack()
        self._started = time.monotonic()
        self._baselines: dict[str, Mapping[Place, str]] = {}
        self._factory = load_factory(plan.request.system)

    # --- before the first test ---

    def open(self) -> None:
        """Reach the target, refuse what cannot be judged, and write the header."""
        request = self.plan.request
        spec = TargetSpec.resolve(request.target, target_file=request.target_file)
        if spec.endpoint is not None:
            self.redactor = Redactor(spec.endpoint.secrets)
        self.target = self._stack.enter_context(
            open_target(
                spec,
                plan=self.server_plan,
                redis_image=request.redis_image or DEFAULT_IMAGE,
                policy=PowerGuard(Power.OBSERVE, self._journals["target"]),
                replica_allowed=request.replica_allowed,
            )
        )
        self.redactor = Redactor(self.target.secrets)
        self.bench = self._stack.enter_context(Bench(self.target))
        grants = [usable_grant(text) for text in request.grants]
        self._granted = granted(grants, self.target.endpoint)
        self.databases = self._count_databases()
        with self.observing("footprint") as clients:
            self._before = self._look(clients)
        footprint.refuse_used_run(self._before, request.run)
        self._system_on_bench = self._must_keep_away()
        self._writer = self._stack.enter_context(
            RecordWriter(self.plan.folder / "record.jsonl", self.redactor)
        )
        self._writer.header(
            header_of(
                self.plan,
                self.target,
                self.bench,
                command="conformance",
                databases=len(self.databases),
            )
        )
        self.is_open = True

    @property
    def server_plan(self) -> ServerPlan:
        """How a server of the suite's own is started: as the profile asks for.

        Every name of a directive is given; a server is started with those that it knows (E03).
        """
        return ServerPlan(
            optional={
                name: directive.value
                for directive in self.plan.profile.directives
                for name in directive.names
            }
        )

    @property
    def journal(self) -> Journal:
        """The journal of the target."""
        return self._journals["target"]

    def _count_databases(self) -> range:
        """Return the numbers of the databases that the target has."""
        with self.observing("footprint") as clients:
            try:
                answer = clients[self.target.endpoint.database].config_get("databases")
            except redis.ResponseError:
                answer = {}
        known = cast("dict[str, str]", answer).get("databases")
        return range(int(known) if known else len(self.plan.contract.databases))

    def _must_keep_away(self) -> bool:
        """Say whether the system may not touch the target; the smoke check of the adapter.

        A system in another process is outside the guard, so on a live target it needs a grant.
        """
        if self.target.live and Power.OWN in self._granted:
            return False
        server = self.bench_server("smoke-check")
        journal = Journal()
        guard = PowerGuard(Power.WHOLE, journal, owns=self.plan.tenants.owns)
        with self._pools(server, guard, "smoke-check") as pools:
            system = smoke_check(self._factory, server, pools, journal, self.plan.tenants)
        return self.target.live and not system.in_process

    def header_lines(self) -> Sequence[str]:
        """Say what is tested."""
        plan = self.plan
        scope = f"{len(plan.scope)} requirements"
        return [
            *(self.redactor.text(line) for line in self.target.header_lines()),
            f"judged by: contract {plan.contract.name} {plan.contract.version}, "
            f"profile {plan.profile.name}, {scope}" + (" (a selection)" if plan.selection else ""),
            (
                f"system: {plan.request.system}, run {plan.request.run}, "
                f"seed {plan.request.seed}, depth {plan.request.depth}"
            ),
        ]

    # --- what tests ask for ---

    @contextmanager
    def observing(self, purpose: str) -> Iterator[Pools]:
        """Give clients of the target that can only read."""
        guard = PowerGuard(Power.OBSERVE, self._journals["target"])
        with self._pools(self.target, guard, purpose) as pools:
            yield pools

    @contextmanager
    def clients_of(self, server: Target, purpose: str) -> Iterator[Pools]:
        """Give clients with the power of the place: own on the target, whole on the bench."""
        with self._pools(server, self._guard(server), purpose) as pools:
            yield pools

    @contextmanager
    def tenant_pools(
        self, server: Target, login: TenantLogin | None, purpose: str
    ) -> Iterator[Pools]:
        """Give clients that log in as a tenant's own user, and may try everything.

        Only on a disposable server of the bench. Without a login they do not log in at all.
        """
        if server not in self.bench.started:
            raise ValueError(f"{server.address} is no server of the bench")
        endpoint = replace(
            server.endpoint,
            username=login.username if login else None,
            password=login.password if login else None,
        )
        with Pools(
            endpoint,
            policy=PowerGuard(Power.DESTROY, self._journals["bench"]),
            # Without a login nobody may give a connection its name.
            name=client_name(self.plan.request.run, purpose) if login else None,
            timeout=TENANT_SECONDS,
            sockets=self.plan.contract.client,
        ) as pools:
            yield pools

    @contextmanager
    def administering(self, server: Target, purpose: str) -> Iterator[Pools]:
        """Give clients of a server of the bench with its administrator's account."""
        if server not in self.bench.started:
            raise ValueError(f"{server.address} is no server of the bench")
        guard = PowerGuard(Power.DESTROY, self._journals["bench"])
        with self._pools(server, guard, purpose) as pools:
            yield pools

    @contextmanager
    def system_on(self, server: Target, purpose: str) -> Iterator[System]:
        """Give the system under test on the target or on a server of the bench."""
        with self.surroundings_of(server, purpose) as surroundings:
            yield self.system_in(surroundings)

    def system_in(self, surroundings: Surroundings) -> System:
        """Build the system under test once more."""
        return build(self._factory, surroundings)

    @contextmanager
    def surroundings_of(
        self,
        server: Target,
        purpose: str,
        *,
        through: Endpoint | None = None,
        timeout: float = 5.0,
        max_connections: int = 16,
    ) -> Iterator[Surroundings]:
        """Give what a system is built from: guarded clients of a server.

        `through` is another way to the same server, such as a proxy. The clients for asyncio are
        closed by whoever used them, in the event loop that used them.
        """
        self._baseline(server)
        endpoint = through or server.endpoint
        options: dict[str, Any] = {
            "policy": self._guard(server),
            "name": client_name(self.plan.request.run, purpose),
            "timeout": timeout,
            "max_connections": max_connections,
            "sockets": self.plan.contract.client,
        }
        with Pools(endpoint, **options) as pools:
            yield Surroundings(self.plan.contract, endpoint, pools, AsyncPools(endpoint, **options))

    def _baseline(self, server: Target) -> None:
        """Remember what lies on a disposable server before the system first works there."""
        if server.server is not None and server.address not in self._baselines:
            client = server.pools()
            with client:
                self._baselines[server.address] = digests(client, self.plan.contract)

    def baseline(self, server: Target) -> Mapping[Place, str]:
        """Return what lay on a disposable server before the system first worked there."""
        return self._baselines[server.address]

    def bench_server(self, name: str) -> Target:
        """Return a disposable server of the bench by its name."""
        return self.bench.server(name, self.server_plan)

    @property
    def system_target(self) -> Target:
        """Where the system under test works."""
        return self.bench_server("system") if self._system_on_bench else self.target

    @property
    def keyspace_server(self) -> str:
        """Where keys are judged: live data on the target, else synthetic tenants on the bench."""
        return "target" if self.target.live else "bench"

    def ran_on(self, server: Target) -> str:
        """Return how records call the place."""
        return "target" if server is self.target else "bench"

    def _guard(self, server: Target) -> PowerGuard:
        on_target = server is self.target
        power = Power.OWN if on_target else Power.WHOLE
        journal = self._journals["target" if on_target else "bench"]
        lifetimes = [each.ttl.max_seconds or 0 for each in self.plan.contract.families]
        return PowerGuard(
            power,
            journal,
            owns=self.plan.tenants.owns,
            owns_channel=self.plan.tenants.owns_channel,
            longest_seconds=max(*lifetimes, SHORTEST_LIFETIME_S),
        )

    @contextmanager
    def _pools(self, server: Target, guard: PowerGuard, purpose: str) -> Iterator[Pools]:
        name = client_name(self.plan.request.run, purpose)
        with server.pools(policy=guard, name=name, sockets=self.plan.contract.client) as pools:
            yield pools

    # --- what the recorder asks for ---

    def marks(self) -> tuple[Mark, ...]:
        """Remember where the journals stand."""
        return tuple(journal.mark() for journal in self._journals.values())

    def commands_since(self, marks: tuple[Mark, ...]) -> int:
        """Count the commands sent since then, to target and bench."""
        return sum(
            journal.since(mark).commands
            for journal, mark in zip(self._journals.values(), marks, strict=True)
        )

    def refusals_since(self, marks: tuple[Mark, ...]) -> tuple[str, ...]:
        """Return the commands that the guard refused since then."""
        return tuple(
            f"{refusal.command} ({refusal.reason})"
            for journal, mark in zip(self._journals.values(), marks, strict=True)
            for refusal in journal.since(mark).refusals
        )

    def record(self, check: Check) -> None:
        """Write a check."""
        self._writer.check(check)

    def write_counterexample(self, requirement: str, program: str) -> str:
        """Write a program that shows a breach beside the record; return the file's name."""
        path = self.plan.folder / f"{COUNTEREXAMPLE}{requirement}.py"
        path.write_text(self.redactor.text(program), encoding="utf-8")
        return path.name

    def reproduce(self, requirement: str) -> str:
        """Return the command that judges this requirement alone, without any secret."""
        target = self.target.address if self.target.live else self.target.kind
        return command_line(self.plan.request, target=target, select=requirement)

    # --- after the last test ---

    def finish(self) -> int:
        """Remove what the run wrote, judge, write the reports; return the exit code."""
        try:
            self._remove_own_keys()
            with self.observing("footprint") as clients:
                after = self._look(clients)
                if footprint.differ(self._before, after):
                    # SCAN may give a key twice while the server resizes its tables.
                    after = self._look(clients)
        except TARGET_LOST as error:
            after = footprint.not_looked("the target was lost")
            self.record(self._error_of_the_run(outcome_of(error)[1]))
        trace = footprint.footprint_of(self._journals["target"], self._before, after)
        if harm := footprint.harm_of(trace):
            self.record(self._error_of_the_run(harm))
        record = self._writer.finish(
            finished=now(),
            seconds=round(time.monotonic() - self._started, 3),
            footprint=trace,
        )
        write_reports(self._writer.path, self.plan.folder)
        if os.environ.get(STEP_SUMMARY):
            append_step_summary(record, Path(os.environ[STEP_SUMMARY]))
        return record.footer.exit_code

    def _look(self, clients: Pools) -> footprint.Look:
        return footprint.look(
            clients,
            self.databases,
            self.plan.tenants.owns,
            max_impact=impact_of(self.plan.request.max_impact),
        )

    def _error_of_the_run(self, reason: str) -> Check:
        """Return the check that keeps a run which did harm, or lost its target, from being green.

        It concerns no requirement; the record wants one, and an error outweighs all else there.
        """
        scope = self.plan.scope
        requirement = OWN_NAMESPACE if OWN_NAMESPACE in scope else scope[0]
        return Check(
            requirement=requirement,
            test="footprint",
            outcome=Outcome.ERROR,
            reason=f"the run as a whole: {reason}",
            reproduce=self.reproduce(requirement),
        )

    def _remove_own_keys(self) -> None:
        with self.clients_of(self.target, "clean-up") as pools:
            for database, key in self._journals["target"].left():
                # A refusal shows in the second look, which counts what is left.
                with suppress(redis.ResponseError):
                    pools[database].delete(key)

    def close(self) -> None:
        """Stop what was started; a run that was interrupted removes its keys as well."""
        if self.is_open:
            with suppress(redis.RedisError, ConformanceError):
                self._remove_own_keys()
        self.is_open = False
        self._stack.close()
