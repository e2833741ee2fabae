# SPDX-License-Identifier: Apache-2.0
"""Plays the attacks of the table, each on a fresh connection, and judges what came of them."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import redis

from kryonix_cache.conformance.attacks.arena import ATTACKER, VICTIM
from kryonix_cache.conformance.attacks.connections import converse, one_by_one, received
from kryonix_cache.conformance.attacks.permissions import ask_rules, ask_server
from kryonix_cache.conformance.attacks.population import secret_of
from kryonix_cache.conformance.attacks.replies import (
    NoReply,
    is_locked_out,
    is_not_understood,
    is_refusal,
    shown,
    traces,
)
from kryonix_cache.conformance.attacks.sessions import latest_connection, users_by_connection
from kryonix_cache.conformance.attacks.stage import Stage, channel_of, powers_beyond
from kryonix_cache.conformance.attacks.table import Attack, attack_table, filled
from kryonix_cache.conformance.outcomes import Inconclusive
from kryonix_cache.reference_impl.connection import FORBIDDEN, lease

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from kryonix_cache.conformance.attacks.arena import Arena
    from kryonix_cache.reference_impl.connection import GuardedConnection, Reply


class Judge:
    """Plays attacks in an arena whose tenants are admitted."""

    def __init__(self, arena: Arena) -> None:
        self.arena = arena
        self.left_out: list[str] = []
        self.unjudged: list[str] = []

    def play(self, requirement: str) -> None:
        """Play every attack of a requirement that the server has the commands for."""
        with self._neighbours():
            for attack in attack_table().of(requirement):
                if all(self._has(words) for words in (*attack.steps, *attack.before)):
                    self._play(attack)
                else:
                    self.left_out.append(attack.id)
        if self.left_out:
            self.arena.evidence.note = (
                f"{len(self.left_out)} attacks left out, whose commands this server lacks: "
                f"{', '.join(self.left_out)}"
            )

    def settle(self) -> None:
        """Raise Inconclusive if there are attacks of which nothing can be said."""
        if self.unjudged:
            raise Inconclusive(f"could not be judged: {'; '.join(self.unjudged)}")

    def _has(self, words: Sequence[str]) -> bool:
        name = words[0].lower()
        known = self.arena.commands
        if len(words) > 1 and any(each.startswith(f"{name}|") for each in known):
            return f"{name}|{words[1].lower()}" in known
        return name in known

    def _play(self, attack: Attack) -> None:
        arena, stage = self.arena, Stage(self.arena, attack)
        arena.write([stage.own, stage.other, stage.planted])
        for words in attack.before:
            reply = arena.as_admin([filled(words, stage.values)], stage.database)[0]
            if isinstance(reply, redis.ResponseError):
                self.unjudged.append(f"{attack.id} (its preparation: {shown(reply)})")
                return
        if attack.asked or any(words[0].upper().encode() in FORBIDDEN for words in attack.steps):
            self._ask(attack, stage)
            return
        before = arena.state(stage.watched)
        with arena.visit(arena.logins[ATTACKER], stage.database) as connection:
            replies = {
                "refused": self._refused,
                "silent": self._silent,
                "harmless": self._harmless,
                "quiet": self._quiet,
                "no-more": self._no_more,
            }[attack.judge](attack, stage, connection)
        if all(is_refusal(reply) for reply in replies):
            return
        arena.compare(before, stage.watched, f"after {stage.told(attack)}")
        arena.look_for_strangers(f"after {stage.told(attack)}")

    # --- the judges: each returns what the attack itself was answered ---

    def _refused(self, attack: Attack, stage: Stage, connection: GuardedConnection) -> list[Reply]:
        replies = one_by_one(connection, stage.steps(attack))
        if self._counts(attack, replies[-1:]) and not is_refusal(replies[-1]):
            self._found(attack, stage, shown(replies[-1]), "NOPERM")
        return replies

    def _silent(self, attack: Attack, stage: Stage, connection: GuardedConnection) -> list[Reply]:
        steps = stage.steps(attack) * attack.times
        first = one_by_one(connection, steps)
        if all(is_refusal(reply) for reply in first):
            self._counts(attack, first)
            return first
        with self._stirring(stage):
            second = one_by_one(connection, steps)
        if self._counts(attack, [*first, *second]):
            told = [reply for reply in (*first, *second) if traces(reply, stage.marks)]
            if told:
                self._found(attack, stage, shown(told[0]), "nothing of the other tenant")
            elif attack.times == 1 and repr(first) != repr(second):
                found = f"{shown(first[-1])}, then {shown(second[-1])}"
                self._found(attack, stage, found, "the same, whatever the other tenant does")
        return first

    def _harmless(self, attack: Attack, stage: Stage, connection: GuardedConnection) -> list[Reply]:
        replies = one_by_one(connection, stage.steps(attack))
        self._counts(attack, replies)
        for reply in replies:
            if traces(reply, stage.marks[:1]):
                self._found(attack, stage, shown(reply), "nothing of the other tenant")
        if attack.then and not all(is_refusal(reply) for reply in replies):
            reply = self.arena.as_admin([filled(attack.then, stage.values)])[0]
            if reply != attack.gives.encode():
                told = f"{' '.join(attack.then)} of another user gives {shown(reply)}"
                self._found(attack, stage, told, attack.gives)
        return replies

    def _quiet(self, attack: Attack, stage: Stage, connection: GuardedConnection) -> list[Reply]:
        steps = stage.steps(attack)
        if attack.protocol != 2:  # noqa: PLR2004 (the protocol that each connection begins with)
            steps = [[b"HELLO", str(attack.protocol).encode()], *steps]
        replies = one_by_one(connection, steps)
        if self._counts(attack, replies[-1:]) and not is_refusal(replies[-1]):
            with self._stirring(stage):
                self.arena.write([stage.other])
            arrived = received(connection)
            heard = [message for message in arrived if traces(message, stage.marks)]
            if heard:
                self._found(attack, stage, shown(heard[0]), "nothing of the other tenant")
        return replies

    def _no_more(self, attack: Attack, stage: Stage, connection: GuardedConnection) -> list[Reply]:
        number = latest_connection(self.arena, self.arena.logins[ATTACKER].username)
        # What the user may do anyway is a matter of other requirements.
        with self.arena.visit(self.arena.logins[ATTACKER], stage.database) as own:
            beyond = [each for each in powers_beyond(stage) if is_refusal(converse(own, [each])[0])]
        replies = one_by_one(connection, stage.steps(attack))
        if self._counts(attack, replies[:1]):
            self._own_session(attack, stage, connection, number)
        for probe in beyond:
            reply = converse(connection, [probe])[0]
            if not (is_refusal(reply) or is_locked_out(reply)):
                told = b" ".join(probe).decode(errors="backslashreplace")
                self._found(attack, stage, f"{told} gives {shown(reply)}", "NOPERM, or NOAUTH")
        return replies

    def _own_session(
        self, attack: Attack, stage: Stage, connection: GuardedConnection, number: int | None
    ) -> None:
        """Add a finding unless the session is still the tenant's own user's, or nobody's."""
        answer = converse(connection, [(b"PING",)])[0]
        user = users_by_connection(self.arena).get(number or 0)
        own = self.arena.logins[ATTACKER].username
        if user is None or user == own:
            return
        if isinstance(answer, NoReply):
            self.unjudged.append(f"{attack.id} ({shown(answer)})")
        elif not is_locked_out(answer):
            found = f"the session is {user}'s, PING gives {shown(answer)}"
            self._found(attack, stage, found, f"a session of {own}, or of nobody")

    def _ask(self, attack: Attack, stage: Stage) -> None:
        asks = ask_server if "acl-dryrun" in self.arena.capabilities else ask_rules
        user = stage.values["own_user"]
        for words in stage.steps(attack):
            verdict, told = asks(self.arena.as_admin, user, words)
            if verdict == "unknown":
                self.unjudged.append(f"{attack.id} ({told})")
                continue
            self.arena.evidence.saw("attempts")
            if verdict == "permitted":
                self._found(attack, stage, f"the server permits it ({told})", "NOPERM")

    # --- what the judges share ---

    def _counts(self, attack: Attack, replies: Sequence[Reply]) -> bool:
        """Count an attempt; not where no reply came, or none of the words was a command."""
        missing = [reply for reply in replies if isinstance(reply, NoReply)]
        if missing or all(is_not_understood(reply) for reply in replies):
            self.unjudged.append(f"{attack.id} ({shown((missing or replies)[-1])})")
            return False
        self.arena.evidence.saw("attempts")
        return True

    def _found(self, attack: Attack, stage: Stage, found: str, wanted: str) -> None:
        self.arena.evidence.found(stage.told(attack), found=found, wanted=wanted)

    @contextmanager
    def _neighbours(self) -> Iterator[None]:
        """Let the other tenant be connected, and listen, as long as this lasts."""
        arena = self.arena
        channel = channel_of(arena, VICTIM)
        with (
            arena.visit(arena.logins[VICTIM]) as connected,
            lease(arena.admin[0]) as listening,
        ):
            converse(connected, [(b"PING",)])
            listening.exchange([(b"SUBSCRIBE", channel)])
            if "ssubscribe" in arena.commands:
                listening.exchange([(b"SSUBSCRIBE", channel)])
            try:
                yield
            finally:
                listening.drop()

    @contextmanager
    def _stirring(self, stage: Stage) -> Iterator[None]:
        """Let the other tenant write, speak and listen meanwhile; take it back at the end."""
        arena = self.arena
        channel, secret = channel_of(arena, VICTIM), secret_of(arena.id(VICTIM))
        fresh = stage.planted.name + b"-again"
        arena.as_admin([(b"SET", fresh, secret), (b"PUBLISH", channel, secret)], stage.database)
        if "spublish" in arena.commands:
            arena.as_admin([(b"SPUBLISH", channel, secret)])
        with ExitStack() as stack:
            for words in ((b"SUBSCRIBE", channel), (b"PSUBSCRIBE", channel + b"*")):
                listening = stack.enter_context(lease(arena.admin[0]))
                stack.callback(listening.drop)
                listening.exchange([words])
            try:
                yield
            finally:
                arena.as_admin([(b"DEL", fresh)], stage.database)
