# SPDX-License-Identifier: Apache-2.0
"""What the server sends unasked: a tenant's own broadcasts, and the events of keys."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, cast

from kryonix_cache.conformance.attacks.arena import ATTACKER, VICTIM
from kryonix_cache.conformance.attacks.connections import converse, received
from kryonix_cache.conformance.attacks.permissions import read_channels
from kryonix_cache.conformance.attacks.replies import NoReply, is_refusal, shown, traces
from kryonix_cache.conformance.attacks.stage import channel_of, channels_of, may_broadcast
from kryonix_cache.conformance.attacks.sweep import spelled
from kryonix_cache.conformance.outcomes import Inconclusive
from kryonix_cache.reference_impl.connection import lease

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from kryonix_cache.conformance.attacks.arena import Arena
    from kryonix_cache.conformance.attacks.stage import Stage
    from kryonix_cache.reference_impl.connection import Command

_EVENTS = b"notify-keyspace-events"
_TEXT = b"a broadcast of one's own"


def own_broadcasts(arena: Arena, stage: Stage) -> None:
    """Let a tenant hear what it says itself: without that silence would prove nothing.

    Where the contract gives tenants no channels the administrator does instead.
    """
    channel = channel_of(arena, ATTACKER)
    with ExitStack() as stack:
        if may_broadcast(arena):
            listening, speaking = (
                stack.enter_context(arena.visit(arena.logins[ATTACKER], stage.database))
                for _ in range(2)
            )
        else:
            listening, speaking = (stack.enter_context(lease(arena.admin[0])) for _ in range(2))
            stack.callback(listening.drop)
        told = converse(listening, [(b"SUBSCRIBE", channel)])[0]
        spoken = converse(speaking, [(b"PUBLISH", channel, _TEXT)])[0]
        heard = [each for each in received(listening) if traces(each, [_TEXT])]
    arena.evidence.saw("messages", len(heard))
    if len(heard) != 1:
        arena.evidence.found(
            f"a tenant's own broadcast on {channel.decode()}",
            found=f"{len(heard)} arrived; SUBSCRIBE {shown(told)}, PUBLISH {shown(spoken)}",
            wanted="one",
        )


def key_events(arena: Arena, stage: Stage) -> None:
    """Let a tenant ask for the events of keys, of each database for itself."""
    commands: list[Command] = []
    for number in (each.number for each in arena.contract.databases):
        for kind, what in ((b"keyevent", b"set"), (b"keyspace", stage.other.name)):
            start = b"__%b@%d__:" % (kind, number)
            commands += [(b"SUBSCRIBE", start + what), (b"PSUBSCRIBE", start + b"*")]
    _refused(arena, commands)


def granted_channels(arena: Arena, _: Stage) -> None:
    """Let a tenant listen to what its rules name, with the other's id in place of each star.

    A pattern that is subscribed to is held against the rules letter by letter, so no guessed
    one would find a rule about a single channel of everybody.
    """
    login, other = arena.logins[ATTACKER], arena.id(VICTIM).encode()
    own = channels_of(arena, ATTACKER)
    patterns = read_channels(arena.as_admin, login.username.encode())
    names = dict.fromkeys(each.replace(b"*", other) for each in patterns if each != own)
    _refused(arena, [(b"SUBSCRIBE", name) for name in names if not _is_own(arena, name)])


def _is_own(arena: Arena, channel: bytes) -> bool:
    parsed = arena.contract.parse_channel(channel)
    return parsed is not None and parsed.tenant == arena.id(ATTACKER)


def _refused(arena: Arena, commands: Sequence[Command]) -> None:
    replies = arena.replies_to(arena.logins[ATTACKER], 0, commands)
    for words, reply in zip(commands, replies, strict=True):
        if isinstance(reply, NoReply):
            raise Inconclusive(f"{spelled(words)}: {reply}")
        arena.evidence.saw("attempts")
        if not is_refusal(reply):
            arena.evidence.found(
                f"{spelled(words)} by a tenant", found=shown(reply), wanted="NOPERM"
            )


@contextmanager
def with_key_events(arena: Arena) -> Iterator[None]:
    """Let the server tell of every event of keys, as some deployments do."""
    settings = cast("list[bytes]", arena.as_admin([(b"CONFIG", b"GET", _EVENTS)])[0])
    arena.as_admin([(b"CONFIG", b"SET", _EVENTS, b"KEA")])
    try:
        yield
    finally:
        arena.as_admin([(b"CONFIG", b"SET", _EVENTS, settings[1])])
