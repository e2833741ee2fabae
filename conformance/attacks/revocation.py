# SPDX-License-Identifier: Apache-2.0
"""Taking access away: how long open connections keep it, and what opens afterwards."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

import redis

from kryonix_cache.conformance.attacks.connections import converse, received
from kryonix_cache.conformance.attacks.population import secret_of
from kryonix_cache.conformance.attacks.quadrants import refused_on
from kryonix_cache.conformance.attacks.replies import is_locked_out, is_refusal, shown, traces
from kryonix_cache.conformance.attacks.sessions import latest_connection, wait_for_end
from kryonix_cache.conformance.attacks.stage import channel_of, may_broadcast
from kryonix_cache.conformance.attacks.sweep import spelled
from kryonix_cache.conformance.evidence import answer_of
from kryonix_cache.conformance.outcomes import RequirementNotMetError
from kryonix_cache.fixtures.capabilities import TenantLogin

if TYPE_CHECKING:
    from collections.abc import Callable

    from kryonix_cache.conformance.attacks.arena import Arena
    from kryonix_cache.reference_impl.connection import GuardedConnection, Reply

_BYSTANDER = "r-bystander"
_POLL_SECONDS = 0.002


@dataclass(slots=True)
class Open:
    """Connections of a tenant that were open before: idle, within a transaction, listening."""

    plain: GuardedConnection
    queued: GuardedConnection
    queued_number: int | None
    listening: GuardedConnection | None


class Revocation:
    """Takes access away in one way, and watches."""

    def __init__(self, arena: Arena, way: str) -> None:
        access = arena.contract.access
        if access is None:
            raise ValueError("the contract knows no access of tenants' users")
        self.arena = arena
        self.way = way
        self.name = f"r-{way}"
        self.limit = access.revocation_s
        self.key = arena.population.key(arena.population.home("string"), arena.id(self.name))
        self.channel = channel_of(arena, self.name)

    def play(self, take_away: Callable[[str], object]) -> float | None:
        """Take the access away; return after how many seconds it was gone, None if it stayed.

        The time counts from the call, not from its return.
        """
        arena = self.arena
        arena.admit(self.name)
        old = arena.logins[self.name]
        keys = arena.populate([self.name])
        before = arena.state(keys)
        with ExitStack() as stack:
            opened = self._open(stack, old)
            watching = stack.enter_context(ThreadPoolExecutor(1))
            start = time.monotonic()
            lost = watching.submit(self._lost, opened.plain, start)
            answer = answer_of(self.way, take_away, arena.id(self.name))
            seconds = lost.result()
            wait_for_end(arena, opened.queued_number, start + self.limit)
            self._transaction(opened.queued)
            if opened.listening is not None:
                self._silence(opened.listening, start)
        if isinstance(seconds, str):
            arena.evidence.found(
                f"an open connection {self.limit:g} s after {self.way}",
                found=f"TYPE gives {seconds}",
                wanted="no access any more",
            )
        self.kept_out(old, f"after {self.way}")
        if self.way in {"revoke", "rename"}:
            self._removed(old)
        arena.compare(before, keys, f"after {self.way}")
        if self.way in {"rotate", "rename"}:
            self._new_login(answer)
        arena.evidence.saw("revocations", isinstance(seconds, float))
        return seconds if isinstance(seconds, float) else None

    def _open(self, stack: ExitStack, login: TenantLogin) -> Open:
        visit = self.arena.visit
        plain, listening, queued = (
            stack.enter_context(visit(login, self.key.database)) for _ in range(3)
        )
        number = latest_connection(self.arena, login.username)
        reply = converse(plain, [self._read()])[0]
        if isinstance(reply, redis.ResponseError):
            raise RequirementNotMetError(
                f"the user had no access that could be taken away: {shown(reply)}"
            )
        replies = converse(queued, [(b"MULTI",), (b"DEL", self.key.name)])
        if replies[-1] != b"QUEUED":
            self.arena.evidence.found(
                f"DEL in a transaction before {self.way}", found=shown(replies[-1]), wanted="QUEUED"
            )
        if not may_broadcast(self.arena):
            return Open(plain, queued, number, None)
        told = converse(listening, [(b"SUBSCRIBE", self.channel)])[0]
        if isinstance(told, redis.ResponseError):
            self.arena.evidence.found(
                f"SUBSCRIBE before {self.way}", found=shown(told), wanted="a subscription"
            )
            return Open(plain, queued, number, None)
        return Open(plain, queued, number, listening)

    def _read(self) -> tuple[bytes, bytes]:
        return (b"TYPE", self.key.name)

    def _lost(self, connection: GuardedConnection, start: float) -> float | str:
        """Return after how many seconds an open connection has lost its access.

        One that keeps it beyond the limit is no measurement: then what it was answered last.
        """
        while True:
            reply = converse(connection, [self._read()])[0]
            passed = time.monotonic() - start
            if _is_out(reply):
                return passed
            if passed > self.limit:
                return shown(reply)
            time.sleep(_POLL_SECONDS)

    def _transaction(self, connection: GuardedConnection) -> None:
        reply = converse(connection, [(b"EXEC",)])[0]
        answers = reply if isinstance(reply, list) else [reply]
        if not all(isinstance(each, redis.ResponseError) for each in answers):
            self.arena.evidence.found(
                f"EXEC after {self.way} of what was queued before",
                found=shown(reply),
                wanted="a refusal",
            )

    def _silence(self, connection: GuardedConnection, start: float) -> None:
        """Speak until the subscriber hears nothing more; add a finding if it goes on hearing."""
        text = secret_of(self.arena.id(self.name))
        while True:
            self.arena.as_admin([(b"PUBLISH", self.channel, text)])
            heard = [reply for reply in received(connection) if traces(reply, [text])]
            passed = time.monotonic() - start
            if not heard:
                return
            if passed > self.limit:
                self.arena.evidence.found(
                    f"a subscriber {passed:.1f} s after {self.way}",
                    found=shown(heard[0]),
                    wanted=f"nothing after {self.limit:g} s",
                )
                return
            time.sleep(_POLL_SECONDS)

    def kept_out(self, login: TenantLogin, when: str) -> None:
        """Add a finding where an old login opens anything: a session, a key, a channel."""
        probes = [(b"PING",), self._read(), (b"SUBSCRIBE", self.channel)]
        replies = self.arena.replies_to(login, self.key.database, probes)
        for words, reply in zip(probes, replies, strict=True):
            if not _is_out(reply):
                self.arena.evidence.found(
                    f"a new connection with the old password {when}",
                    found=f"{spelled(words)} gives {shown(reply)}",
                    wanted="a refusal",
                )

    def _removed(self, login: TenantLogin) -> None:
        """Add a finding where the user of a removed tenant is still on the server."""
        users = self.arena.as_admin([(b"ACL", b"USERS")])[0]
        if isinstance(users, list) and login.username.encode() in users:
            self.arena.evidence.found(
                f"the user {login.username} after {self.way}",
                found="it is still there",
                wanted="no such user",
            )

    def _new_login(self, answer: object) -> None:
        """Try the login that the system gave instead, with the keys that it is for."""
        arena, name = self.arena, self.name
        if not isinstance(answer, TenantLogin):
            arena.evidence.found(
                f"the answer of {self.way}", found=type(answer).__name__, wanted="a TenantLogin"
            )
            return
        if self.way == "rename":
            name = renamed(self.name)
            arena.keep(name, answer)
            refused_on(arena, name, arena.population.keys(arena.id(self.name)), whole=True)
        for key in arena.population.keys(arena.id(name)):
            if key.family.access != "write":
                continue
            reply = arena.replies_to(answer, key.database, [(b"TYPE", key.name)])[0]
            if isinstance(reply, redis.ResponseError):
                arena.evidence.found(
                    f"TYPE {key.name.decode()} by the login that {self.way} gave",
                    found=shown(reply),
                    wanted="access",
                )


def renamed(name: str) -> str:
    """Return the name that a tenant gets when it is renamed."""
    return f"{name}-new"


def revocations(arena: Arena) -> dict[str, float | None]:
    """Take access away in every way; return after how many seconds each was effective."""
    access = arena.access
    seconds: dict[str, float | None] = {}
    arena.admit(_BYSTANDER)
    with arena.visit(arena.logins[_BYSTANDER]) as standing:
        for way, take_away in (
            ("suspend", access.suspend),
            ("rotate", access.rotate),
            ("revoke", access.revoke),
            ("rename", lambda tenant: access.rename(tenant, arena.id(renamed("r-rename")))),
        ):
            seconds[way] = Revocation(arena, way).play(take_away)
            _untouched(arena, standing, way)
    _admit_again(arena)
    answer_of("revoke of a tenant without a user", access.revoke, arena.id("r-revoke"))
    return seconds


def _untouched(arena: Arena, standing: GuardedConnection, way: str) -> None:
    """See that another tenant keeps its connection, and can open one more."""
    login = arena.logins[_BYSTANDER]
    for what, reply in (
        ("an open connection", converse(standing, [(b"PING",)])[0]),
        ("a new connection", arena.replies_to(login, 0, [(b"PING",)])[0]),
    ):
        if isinstance(reply, redis.ResponseError):
            arena.evidence.found(
                f"{what} of another tenant after {way}", found=shown(reply), wanted="an answer"
            )


def _admit_again(arena: Arena) -> None:
    """See that a user who was kept out is let in again, and not with the old password."""
    suspension = Revocation(arena, "suspend")
    old = arena.logins[suspension.name]
    arena.admit(suspension.name)
    key = suspension.key
    reply = arena.ask(suspension.name, key.database, [(b"TYPE", key.name)])[0]
    if isinstance(reply, redis.ResponseError):
        arena.evidence.found(
            "a user admitted again after suspend", found=shown(reply), wanted="access"
        )
    suspension.kept_out(old, "once the user is admitted again after suspend")


def _is_out(reply: Reply) -> bool:
    return is_refusal(reply) or is_locked_out(reply)
