# SPDX-License-Identifier: Apache-2.0
"""
The arena: tenants with users of their own on a disposable server, and what they may not touch.

A tenant attacks on its own connection; the administrator's connection sees whether it did harm.
What the server says of itself (COMMAND GETKEYS, ACL DRYRUN) shares code with what enforces its
rules, so the state of the others' keys decides.
"""

from __future__ import annotations

import hashlib
import time
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, cast

import redis

from kryonix_cache.conformance.attacks.connections import LoginRefusedError, exchange, one_by_one
from kryonix_cache.conformance.attacks.population import Key, Population, secret_of
from kryonix_cache.conformance.attacks.replies import NoReply
from kryonix_cache.conformance.attacks.specs import CommandSpec, read_commands
from kryonix_cache.conformance.evidence import answer_of
from kryonix_cache.conformance.outcomes import NotApplicable, RequirementNotMetError
from kryonix_cache.fixtures.capabilities import TenantLogin
from kryonix_cache.reference_impl.connection import lease
from kryonix_cache.reference_impl.scan import scan

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from kryonix_cache.conformance.datasets import Place
    from kryonix_cache.conformance.evidence import Evidence
    from kryonix_cache.conformance.session import RunSession
    from kryonix_cache.fixtures.capabilities import AccessControl
    from kryonix_cache.fixtures.targets.target import Target
    from kryonix_cache.reference_impl.connection import (
        Command,
        Endpoint,
        GuardedConnection,
        Pools,
        Reply,
    )

ATTACKER, VICTIM = "a", "ab"
TENANTS = (ATTACKER, VICTIM, "a-b", "a_b", "tenant", "system")
"""Look-alikes: one is the beginning of another, or has a word of the contract's keys for a name."""

EXPIRY_SECONDS = 100_000
"""The time to live of each key that expires by the contract, far from ending."""

_EXPIRY_SLACK_SECONDS = 60


class Arena:
    """Admitted tenants and their keys on a server of the bench."""

    def __init__(
        self,
        session: RunSession,
        server: Target,
        access: AccessControl,
        admin: Pools,
        evidence: Evidence,
    ) -> None:
        self.session = session
        self.server = server
        self.access = access
        self.admin = admin
        self.evidence = evidence
        self.contract = session.plan.contract
        self.population = Population(self.contract)
        self.capabilities = server.capabilities
        self.logins: dict[str, TenantLogin] = {}
        self._expiry: dict[Place, float] = {}
        self._written: set[Place] = set()
        self._stack = ExitStack()
        self._pools: dict[str, Pools] = {}
        self._default = self._rules_of_default()
        self._libraries = self._function_libraries()
        with lease(admin[0]) as connection:
            self.commands: Mapping[str, CommandSpec] = read_commands(connection)

    # --- who is there ---

    def id(self, name: str) -> str:
        """Return the id of one of the run's tenants."""
        return self.session.plan.tenants.id(name)

    def admit(self, *names: str) -> None:
        """Let the system make a user for each tenant."""
        for name in names:
            self.keep(name, answer_of(f"admit of {name!r}", self.access.admit, self.id(name)))

    def keep(self, name: str, login: object) -> None:
        """Remember how a tenant logs in."""
        if not isinstance(login, TenantLogin):
            raise RequirementNotMetError(
                f"the system gave {type(login).__name__} instead of a TenantLogin for {name!r}"
            )
        self.logins[name] = login

    def populate(self, names: Iterable[str]) -> list[Key]:
        """Write the keys of tenants, and those of the system, past the system under test."""
        keys = [key for name in names for key in self.population.keys(self.id(name))]
        self.write(keys)
        return keys

    def write(self, keys: Iterable[Key]) -> None:
        """Write keys anew; what expires by the contract gets an expiry."""
        for database, group in _by_database(keys):
            commands: list[Command] = []
            for key in group:
                self._written.add((database, key.name))
                commands += key.creation(secret_of(key.tenant))
                if key.family.ttl.kind == "expires":
                    commands.append((b"EXPIRE", key.name, b"%d" % EXPIRY_SECONDS))
                    self._expiry[database, key.name] = time.time() + EXPIRY_SECONDS
            self.as_admin(commands, database)

    @property
    def names(self) -> tuple[str, ...]:
        """The tenants that meet, as far as the contract allows their ids.

        The last one has an id that ends in the whole id of the attacker.
        """
        prefix = self.session.plan.tenants.prefix
        return tuple(
            name
            for name in (*TENANTS, f"z-{prefix}{ATTACKER}")
            if self.contract.tenant.is_valid(prefix + name)
        )

    # --- what is sent ---

    def as_admin(self, commands: Sequence[Command], database: int = 0) -> list[Reply]:
        """Send with the administrator's account."""
        if not commands:
            return []
        with lease(self.admin[database]) as connection:
            return connection.exchange(commands)

    def ask(self, name: str, database: int, commands: Sequence[Command]) -> list[Reply]:
        """Send as a tenant's user; a refused connection or a lost one answers all of them."""
        if name not in self._pools:
            login = self.logins[name]
            self._pools[name] = self._stack.enter_context(
                self.session.tenant_pools(self.server, login, "tenant")
            )
        return exchange(self._pools[name], database, commands)

    @contextmanager
    def visit(self, login: TenantLogin | None, database: int = 0) -> Iterator[GuardedConnection]:
        """Give a fresh connection, which nobody uses afterwards.

        Raises:
            RequirementNotMetError: the login that the system gave opens nothing.

        """
        with (
            self.session.tenant_pools(self.server, login, "visitor") as pools,
            ExitStack() as stack,
        ):
            try:
                connection = stack.enter_context(lease(pools[database]))
            except redis.exceptions.AuthenticationError as error:
                raise LoginRefusedError(error) from error
            except redis.exceptions.NoPermissionError as error:
                raise RequirementNotMetError(
                    f"a tenant's user cannot connect to database {database}: {error}"
                ) from error
            stack.callback(connection.drop)
            yield connection

    def replies_to(
        self, login: TenantLogin, database: int, commands: Sequence[Command]
    ) -> list[Reply]:
        """Return what somebody with this login is answered on a fresh connection."""
        try:
            with self.visit(login, database) as connection:
                return one_by_one(connection, commands)
        except RequirementNotMetError as error:
            cause = error.__cause__
            told = cause if isinstance(cause, redis.ResponseError) else NoReply(str(error))
            return [told for _ in commands]

    @property
    def endpoint(self) -> Endpoint:
        """Where the server is, with the administrator's account."""
        return self.server.endpoint

    def knows(self, name: str) -> bool:
        """Say whether the server has a command or subcommand.

        Servers before 7.0 list no subcommands: there the command decides.
        """
        if name in self.commands:
            return True
        command, bar, _ = name.partition("|")
        return bool(bar) and command in self.commands and not self.lists_subcommands

    @property
    def lists_subcommands(self) -> bool:
        """Whether the server tells of subcommands."""
        return any("|" in name for name in self.commands)

    @property
    def parts_reading_from_writing(self) -> bool:
        """Whether the server can permit to read a key and not to write it."""
        return "acl-selectors" in self.capabilities

    @property
    def binds_databases(self) -> bool:
        """Whether the server has rules by database."""
        return "acl-databases" in self.capabilities

    # --- what became of it ---

    def state(self, keys: Iterable[Key]) -> dict[Place, str]:
        """Return what lies under each key, with a digest of its value and its kind of expiry."""
        found: dict[Place, str] = {}
        for database, group in _by_database(keys):
            names = [key.name for key in group]
            replies = self.as_admin(
                [
                    command
                    for name in names
                    for command in ((b"TYPE", name), (b"DUMP", name), (b"PTTL", name))
                ],
                database,
            )
            for index, name in enumerate(names):
                kind, payload, ttl = replies[3 * index : 3 * index + 3]
                digest = hashlib.sha256(payload if isinstance(payload, bytes) else b"").hexdigest()
                found[database, name] = (
                    f"{cast('bytes', kind).decode()} {digest[:12]} "
                    f"{self._expiry_of(database, name, cast('int', ttl))}"
                )
        return found

    def _expiry_of(self, database: int, name: bytes, ttl: int) -> str:
        if ttl < 0:
            return "no expiry"
        planned = self._expiry.get((database, name))
        now = time.time() + ttl / 1000
        kept = planned is not None and abs(planned - now) < _EXPIRY_SLACK_SECONDS
        return "expires as planned" if kept else f"expires in {ttl} ms"

    def strangers(self) -> list[Place]:
        """Return each key of the server that the suite did not write itself."""
        return [place for place in self._places() if place not in self._written]

    def look_for_strangers(self, what: str) -> None:
        """Add a finding for each key that came into being and is no name of the attacker's."""
        for database, name in self.strangers():
            parsed = self.contract.parse_anywhere(name)
            if parsed is None or parsed.tenant != self.id(ATTACKER):
                self.evidence.found(
                    f"{what}: the key {name.decode(errors='backslashreplace')!a} of "
                    f"database {database}",
                    found="it is there now",
                    wanted="only keys of the tenant's own",
                )
            self.as_admin([(b"DEL", name)], database)

    def _places(self) -> list[Place]:
        databases = [each.number for each in self.contract.databases]
        return [
            (batch.database, row[0])
            for batch in scan(self.admin, databases, sizes=False)
            for row in batch.rows
        ]

    def compare(self, before: Mapping[Place, str], keys: Iterable[Key], what: str) -> bool:
        """Add a finding for each key that is not as it was; say whether there was one."""
        after = self.state(keys)
        changed = [place for place in before if after[place] != before[place]]
        for database, name in changed:
            self.evidence.found(
                f"{what}: the key {name.decode(errors='backslashreplace')} of database {database}",
                found=after[database, name],
                wanted=before[database, name],
            )
        return bool(changed)

    # --- the end ---

    def close(self) -> None:
        """Leave the server as empty as it was: its next user counts its keys."""
        self._stack.close()
        for database, name in self._places():
            self.as_admin([(b"DEL", name)], database)
        users = cast("list[bytes]", self.as_admin([(b"ACL", b"USERS")])[0])
        kept = {b"default", (self.endpoint.username or "default").encode()}
        doomed = [user for user in users if user not in kept]
        if doomed:
            self.as_admin([(b"ACL", b"DELUSER", *doomed)])
        # A system may have opened the default user, and attacks load functions and scripts.
        self.as_admin([(b"ACL", b"SETUSER", b"default", b"reset", *self._default)])
        loaded = self._function_libraries() - self._libraries
        self.as_admin([(b"FUNCTION", b"DELETE", name) for name in sorted(loaded)])
        self.as_admin([(b"SCRIPT", b"FLUSH")])

    def _rules_of_default(self) -> list[bytes]:
        lines = cast("list[bytes]", self.as_admin([(b"ACL", b"LIST")])[0])
        words = (line.split() for line in lines)
        return next((each[2:] for each in words if each[1] == b"default"), [])

    def _function_libraries(self) -> set[bytes]:
        """Return the names of the libraries; none where the server has no functions."""
        reply = self.as_admin([(b"FUNCTION", b"LIST")])[0]
        if not isinstance(reply, list):
            return set()
        return {cast("bytes", cast("list[Reply]", each)[1]) for each in reply}


@contextmanager
def open_arena(session: RunSession, requirement: str, evidence: Evidence) -> Iterator[Arena]:
    """Build the system under test on a server of the bench, and close the arena at the end.

    Raises:
        NotApplicable: the system declares no access control.

    """
    # What is tried there may well end a server that nobody protects.
    server = session.bench_server("access-admin" if requirement.endswith("-admin") else "access")
    evidence.ran_on = session.ran_on(server)
    purpose = requirement.rpartition(".")[2]
    with (
        session.system_on(server, purpose) as system,
        session.administering(server, f"{purpose}-admin") as admin,
    ):
        if system.access is None:
            raise NotApplicable("the system declares no access control of its own users")
        arena = Arena(session, server, system.access, admin, evidence)
        try:
            yield arena
        finally:
            arena.close()


def _by_database(keys: Iterable[Key]) -> Iterator[tuple[int, list[Key]]]:
    groups: dict[int, list[Key]] = {}
    for key in keys:
        groups.setdefault(key.database, []).append(key)
    yield from groups.items()
