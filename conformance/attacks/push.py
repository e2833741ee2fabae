# SPDX-License-Identifier: Apache-2.0
"""What the server sends unasked: a tenant's own broadcasts, and the events of keys."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, cast

from kryonix_cache.conformance.attacks.arena import ATTACKER
from kryonix_cache.conformance.attacks.connections import converse, received
from kryonix_cache.conformance.attacks.replies import shown, traces
from kryonix_cache.conformance.attacks.stage import channel_of, may_broadcast
from kryonix_cache.reference_impl.connection import lease

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kryonix_cache.conformance.attacks.arena import Arena
    from kryonix_cache.conformance.attacks.stage import Stage

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


@contextmanager
def with_key_events(arena: Arena) -> Iterator[None]:
    """Let the server tell of every event of keys, as some deployments do."""
    settings = cast("list[bytes]", arena.as_admin([(b"CONFIG", b"GET", _EVENTS)])[0])
    arena.as_admin([(b"CONFIG", b"SET", _EVENTS, b"KEA")])
    try:
        yield
    finally:
        arena.as_admin([(b"CONFIG", b"SET", _EVENTS, settings[1])])
