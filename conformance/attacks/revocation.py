# SPDX-License-Identifier: Apache-2.0
"""Taking access away: how long open connections keep it, and what opens afterwards."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

import redis

from kryonix_cache.conformance.attacks.connections import converse, received
from kryonix_cache.conformance.attacks.population import Key, secret_of
from kryonix_cache.conformance.attacks.replies import is_locked_out, is_refusal, shown, traces
from kryonix_cache.conformance.attacks.stage import channel_of, may_broadcast
from kryonix_cache.conformance.evidence import answer_of
from kryonix_cache.conformance.outcomes import RequirementNotMetError
from kryonix_cache.fixtures.capabilities import TenantLogin

if TYPE_CHECKING:
    from collections.abc import Callable

    from kryonix_cache.conformance.attacks.arena import Arena
    from kryonix_cache.reference_impl.connection import GuardedConnection, Reply

_POLL_SECONDS = 0.002


@dataclass(slots=True)
class Open:
    """Connections of a tenant that were open before: idle, within a transaction, listening."""

    plain: GuardedConnection
    queued: GuardedConnection
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
        """Take the access away; return after how many seconds it was gone, None if it stayed."""
        arena = self.arena
        arena.admit(self.name)
        old = arena.logins[self.name]
        keys = arena.populate([self.name])
        before = arena.state(keys)
        with ExitStack() as stack:
            opened = self._open(stack, old)
            answer = answer_of(self.way, take_away, arena.id(self.name))
            gone = time.monotonic()
            seconds = self._lost(opened.plain, gone)
            self._transaction(opened.queued)
            if opened.listening is not None:
                self._silence(opened.listening, gone)
        self._refused_login(old)
        arena.compare(before, keys, f"after {self.way}")
        if isinstance(answer, TenantLogin):
            self._new_login(answer)
        arena.evidence.saw("revocations", seconds is not None)
        return seconds

    def _open(self, stack: ExitStack, login: TenantLogin) -> Open:
        visit = self.arena.visit
        plain, queued, listening = (
            stack.enter_context(visit(login, self.key.database)) for _ in range(3)
        )
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
            return Open(plain, queued, None)
        told = converse(listening, [(b"SUBSCRIBE", self.channel)])[0]
        if isinstance(told, redis.ResponseError):
            self.arena.evidence.found(
                f"SUBSCRIBE before {self.way}", found=shown(told), wanted="a subscription"
            )
            return Open(plain, queued, None)
        return Open(plain, queued, listening)

    def _read(self) -> tuple[bytes, bytes]:
        return (b"TYPE", self.key.name)

    def _lost(self, connection: GuardedConnection, gone: float) -> float | None:
        """Return when an open connection had lost its access; add a finding if it keeps it."""
        while True:
            reply = converse(connection, [self._read()])[0]
            passed = time.monotonic() - gone
            if _is_out(reply):
                return passed
            if passed > self.limit:
                self.arena.evidence.found(
                    f"an open connection {passed:.1f} s after {self.way}",
                    found=f"TYPE gives {shown(reply)}",
                    wanted=f"no access after {self.limit:g} s",
                )
                return None
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

    def _silence(self, connection: GuardedConnection, gone: float) -> None:
        """Speak until the subscriber hears nothing more; add a finding if it goes on hearing."""
        text = secret_of(self.arena.id(self.name))
        while True:
            self.arena.as_admin([(b"PUBLISH", self.channel, text)])
            heard = [reply for reply in received(connection) if traces(reply, [text])]
            passed = time.monotonic() - gone
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

    def _refused_login(self, login: TenantLogin) -> None:
        if not self._opens(login, self.key):
            return
        self.arena.evidence.found(
            f"a new connection with the old password after {self.way}",
            found="it has access",
            wanted="a refusal",
        )

    def _new_login(self, login: TenantLogin) -> None:
        """Try the login that the system gave instead, with the keys that it is for."""
        key = self.key
        if self.way == "rename":
            if self._opens(login, self.key):
                self.arena.evidence.found(
                    f"the key {key.name.decode()} of the old id, by the user of the new one",
                    found="it has access",
                    wanted="NOPERM",
                )
            key = self.arena.population.key(key.family, self.arena.id(renamed(self.name)))
        if not self._opens(login, key):
            self.arena.evidence.found(
                f"the login that {self.way} gave", found="it has no access", wanted="access"
            )

    def _opens(self, login: TenantLogin, key: Key) -> bool:
        return not isinstance(self.arena.reply_to(login, key), redis.ResponseError)


def renamed(name: str) -> str:
    """Return the name that a tenant gets when it is renamed."""
    return f"{name}-new"


def revocations(arena: Arena) -> dict[str, float | None]:
    """Take access away in every way; return after how many seconds each was effective."""
    access = arena.access
    seconds: dict[str, float | None] = {}
    for way, take_away in (
        ("suspend", access.suspend),
        ("rotate", access.rotate),
        ("revoke", access.revoke),
        ("rename", lambda tenant: access.rename(tenant, arena.id(renamed("r-rename")))),
    ):
        seconds[way] = Revocation(arena, way).play(take_away)
    _admit_again(arena)
    answer_of("revoke of a tenant without a user", access.revoke, arena.id("r-revoke"))
    return seconds


def _admit_again(arena: Arena) -> None:
    """See that a user who was kept out is let in again."""
    arena.admit("r-suspend")
    key = arena.population.key(arena.population.home("string"), arena.id("r-suspend"))
    reply = arena.ask("r-suspend", key.database, [(b"TYPE", key.name)])[0]
    if isinstance(reply, redis.ResponseError):
        arena.evidence.found(
            "a user admitted again after suspend", found=shown(reply), wanted="access"
        )


def _is_out(reply: Reply) -> bool:
    return is_refusal(reply) or is_locked_out(reply)
