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
from pathlib import Path
from typing import TYPE_CHECKING, cast

import redis

from kryonix_cache.conformance import footprint
from kryonix_cache.conformance.errors import ConformanceError
from kryonix_cache.conformance.outcomes import TARGET_LOST, outcome_of
from kryonix_cache.conformance.stamps import header_of, now
from kryonix_cache.fixtures.grants import Grant, granted
from kryonix_cache.fixtures.journal import Journal, Mark
from kryonix_cache.fixtures.powers import Power, PowerGuard
from kryonix_cache.fixtures.reference import REFERENCE
from kryonix_cache.fixtures.system import Surroundings, System, build, load_factory
from kryonix_cache.fixtures.targets.bench import Bench
from kryonix_cache.fixtures.targets.configuration import ServerPlan
from kryonix_cache.fixtures.targets.docker import DEFAULT_IMAGE
from kryonix_cache.fixtures.targets.specification import TargetSpec
from kryonix_cache.fixtures.targets.target import Target, open_target
from kryonix_cache.reports.lines import Check, Outcome
from kryonix_cache.reports.record import RecordWriter
from kryonix_cache.reports.redaction import Redactor
from kryonix_cache.reports.rendering import STEP_SUMMARY, append_step_summary, write_reports

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from kryonix_cache.conformance.run import RunPlan
    from kryonix_cache.reference_impl.connection import Pools

CLIENT_PREFIX = "kryonix"


def client_name(run: str, purpose: str) -> str:
    """Return the CLIENT SETNAME of a run's connection, by which a server's lists name the test."""
    return f"{CLIENT_PREFIX}:{run}:{purpose}"


class RunSession:
    """A run: its target, bench, journals and record."""

    def __init__(self, plan: RunPlan) -> None:
        self.plan = plan
        self.redactor = Redactor()
        self.is_open = False
        self._journals = {"target": Journal(), "bench": Journal()}
        self._stack = ExitStack()
        self._started = time.monotonic()
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
        grants = [Grant.parse(text) for text in request.grants]
        self._granted = granted(grants, self.target.endpoint)
        self.databases = self._count_databases()
        with self.observing("footprint") as clients:
            self._before = footprint.look(clients, self.databases, self.plan.tenants.owns)
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
        place = self.bench.server("system", self.server_plan) if self.target.live else self.target
        with self.system_on(place, "smoke-check") as system:
            return self.target.live and not system.in_process and Power.OWN not in self._granted

    def header_lines(self) -> Sequence[str]:
        """Say what is tested."""
        plan = self.plan
        scope = f"{len(plan.scope)} requirements"
        return [
            *(self.redactor.text(line) for line in self.target.header_lines()),
            f"judged by: contract {plan.contract.name} {plan.contract.version}, "
            f"profile {plan.profile.name}, {scope}" + (" (a selection)" if plan.selection else ""),
            f"system: {plan.request.system}, run {plan.request.run}, seed {plan.request.seed}",
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
    def system_on(self, server: Target, purpose: str) -> Iterator[System]:
        """Give the system under test on the target or on a server of the bench."""
        with self.clients_of(server, purpose) as pools:
            yield build(self._factory, Surroundings(self.plan.contract, server.endpoint, pools))

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
        return PowerGuard(power, journal, owns=self.plan.tenants.owns)

    @contextmanager
    def _pools(self, server: Target, guard: PowerGuard, purpose: str) -> Iterator[Pools]:
        name = client_name(self.plan.request.run, purpose)
        with server.pools(policy=guard, name=name) as pools:
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

    def reproduce(self, requirement: str) -> str:
        """Return the command that judges this requirement alone, without any secret."""
        request = self.plan.request
        words = ["kryonix-cache conformance"]
        words.append(f"--target {self.target.address if self.target.live else self.target.kind}")
        words.append(f"--profile {self.plan.profile.name} --select {requirement}")
        words.append(f"--seed {request.seed}")
        if request.contract:
            words.append(f"--contract {request.contract}")
        if request.system != REFERENCE:
            words.append(f"--system {request.system}")
        return " ".join(words)

    # --- after the last test ---

    def finish(self) -> int:
        """Remove what the run wrote, judge, write the reports; return the exit code."""
        try:
            self._remove_own_keys()
            with self.observing("footprint") as clients:
                after = footprint.look(clients, self.databases, self.plan.tenants.owns)
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

    def _error_of_the_run(self, reason: str) -> Check:
        """Return the check that keeps a run which did harm from being green."""
        return Check(
            requirement=self.plan.scope[0],
            test="footprint",
            outcome=Outcome.ERROR,
            reason=reason,
            reproduce=self.reproduce(self.plan.scope[0]),
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
