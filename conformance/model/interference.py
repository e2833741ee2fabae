# SPDX-License-Identifier: Apache-2.0
"""
Two tenants on one stage: each alone, and then both, the moves of the one among the other's.

Neither may notice: the replies that a tenant gets, what it receives, and what it leaves behind
are the same with and without the neighbour, who floods, deletes, lets its own keys expire and asks
for what it should not get.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from kryonix_cache.conformance.evidence import answer_of
from kryonix_cache.conformance.model.moments import timeless
from kryonix_cache.conformance.model.operations import Call, Names, Publish
from kryonix_cache.conformance.model.programs import CHANNELS
from kryonix_cache.conformance.outcomes import SystemRaisedError
from kryonix_cache.fixtures.strategies import HOSTILE_PARTS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kryonix_cache.conformance.model.entries import Entry
    from kryonix_cache.conformance.model.play import Play
    from kryonix_cache.conformance.model.stage import IsolationStage

FLOOD = 40
"""How many calls a flood is made of."""

_LAST = "the last of all"
_PATIENCE_SECONDS = 2.0

Part = Literal["call", "flood", "pause", "rude"]


@dataclass(frozen=True, slots=True)
class Move:
    """What a tenant does at one moment.

    A flood repeats its call with other entries and numbers; in a pause the tenant's own keys grow
    old; a rude call asks for an entry by a name that no key may hold.
    """

    part: Part
    call: Call
    seconds: int = 0

    def __str__(self) -> str:
        match self.part:
            case "call":
                return str(self.call)
            case "flood":
                return f"{FLOOD} times {self.call}"
            case "pause":
                return f"{self.seconds} s pass for {self.tenant}"
            case "rude":
                return f"{_rude(self.call) or 'nothing'}"

    def __repr__(self) -> str:
        return str(self)

    @property
    def tenant(self) -> str:
        """Who makes the move."""
        return self.call.tenant

    @property
    def calls(self) -> list[Call]:
        """The calls whose replies count."""
        call = self.call
        if self.part == "flood":
            return [Call(call.tenant, call.operation, call.index + n, n) for n in range(FLOOD)]
        return [call] if self.part == "call" else []


@dataclass(frozen=True, slots=True)
class Notice:
    """What a tenant noticed: its replies in order, and what its entries hold at the end."""

    replies: tuple[tuple[str, object], ...]
    held: Mapping[Entry, object]


class Neighbourhood:
    """Plays moves on a stage and returns what each tenant noticed."""

    def __init__(self, stage: IsolationStage) -> None:
        self._stage = stage
        self._varying: frozenset[tuple[str, str]] = frozenset()

    def learn(self, moves: Sequence[Move]) -> None:
        """Find out which fields of replies differ between two plays of one tenant's moves.

        They are the handle's own, such as a random name, and say nothing of a neighbour.
        """
        tenant = moves[0].tenant
        once, again = (self.play(moves)[tenant].replies for _ in range(2))
        self._varying = frozenset(
            (what, field)
            for (what, mine), (_, other) in zip(once, again, strict=True)
            if isinstance(mine, Mapping) and isinstance(other, Mapping)
            for field in mine.keys() | other.keys()
            if mine.get(field) != other.get(field)
        )

    def play(self, moves: Sequence[Move]) -> dict[str, Notice]:
        """Play the moves on an empty stage."""
        play = self._stage.again()
        replies: dict[str, list[tuple[str, object]]] = {}
        with ExitStack() as stack:
            for tenant in dict.fromkeys(move.tenant for move in moves):
                replies[tenant] = []
            heard = self._listeners(play, list(replies), stack)
            for move in moves:
                replies[move.tenant] += self._made(play, move)
            for tenant, listener in heard.items():
                replies[tenant].append(("received", _received(listener)))
        held = self._stage.held()
        return {
            name: Notice(
                tuple(noticed),
                {e: timeless(held[name, e]) for e in self._stage.entries if held[name, e]},
            )
            for name, noticed in replies.items()
        }

    def _made(self, play: Play, move: Move) -> list[tuple[str, object]]:
        if move.part == "pause":
            self._stage.pass_time(move.seconds, [move.tenant])
        elif move.part == "rude" and (rude := _rude(move.call)) is not None:
            # Whether it was refused is judged by isolation.hostile-ids.
            with suppress(SystemRaisedError):
                play.ask(rude)
        return [(str(call), self._plain(call, play.ask(call))) for call in move.calls]

    def _plain(self, call: Call, reply: Any) -> object:
        if isinstance(call.operation, Names):
            return answer_of(f"the reply to {call}", call.operation.shown, reply, None)
        found = timeless(reply)
        if isinstance(found, dict):
            return {n: each for n, each in found.items() if (str(call), n) not in self._varying}
        return found

    def _listeners(
        self, play: Play, tenants: Sequence[str], stack: ExitStack
    ) -> dict[str, tuple[Any, Any]]:
        """Let each tenant listen to all channels, for what it receives is a reply as well."""
        publish = [each for each in self._stage.operations if isinstance(each, Publish)]
        found = {}
        for tenant in tenants if publish else ():
            handle = play.handle(Call(tenant, publish[0]))
            opened = answer_of(f"{tenant}.subscribe", handle.subscribe, *CHANNELS)
            found[tenant] = (
                handle,
                answer_of(f"{tenant}.subscribe", stack.enter_context, opened),
            )
        return found


def _received(listener: tuple[Any, Any]) -> list[tuple[str, str]]:
    """Return what came before the tenant's own last message."""
    handle, subscription = listener
    answer_of("publish", handle.publish, CHANNELS[0], _LAST)
    found: list[tuple[str, str]] = []
    while True:
        message = answer_of("next", subscription.next, wait=_PATIENCE_SECONDS)
        if message is None or message.text == _LAST:
            return found
        found.append((message.channel, message.text))


def _rude(call: Call) -> Call | None:
    """Return a call with a name that no key may hold; None for one that gives no name."""
    hostile = HOSTILE_PARTS[call.number % len(HOSTILE_PARTS)]
    if isinstance(call.operation, Publish) or (call.entry is not None and call.entry.parts):
        return replace(call, instead=(0, hostile))
    return None
