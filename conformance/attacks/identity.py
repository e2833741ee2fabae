# SPDX-License-Identifier: Apache-2.0
"""Who a tenant's connection is to the server: its own user, and nobody's else."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import redis

from kryonix_cache.conformance.attacks.arena import ATTACKER, VICTIM
from kryonix_cache.conformance.attacks.connections import converse
from kryonix_cache.conformance.attacks.replies import is_locked_out, is_refusal, shown
from kryonix_cache.conformance.attacks.stage import powers_beyond

HOSTILE_ENDINGS = ("*", "a*", "??", "[a-z]b", "[^x]b", "ab:*", "a ~*", "a\n", "")
"""Ends of ids that are patterns, or end a pattern."""

if TYPE_CHECKING:
    from kryonix_cache.conformance.attacks.arena import Arena
    from kryonix_cache.conformance.attacks.stage import Stage


def own_user(arena: Arena, _: Stage) -> None:
    """Look who the connections of two tenants are, as the administrator sees them."""
    users = {name: _user_of(arena, name) for name in (ATTACKER, VICTIM)}
    forbidden = {"default", arena.endpoint.username or "default"}
    for name, user in users.items():
        arena.evidence.saw("attempts")
        if user in forbidden:
            arena.evidence.found(
                f"the user of the connection of the tenant {arena.id(name)}",
                found=user,
                wanted="a user of its own",
            )
    if users[ATTACKER] == users[VICTIM]:
        arena.evidence.found(
            "the users of two tenants", found=f"both are {users[VICTIM]}", wanted="one for each"
        )


def without_login(arena: Arena, stage: Stage) -> None:
    """Try on a connection that never logs in what no tenant may do."""
    with arena.visit(None, 0) as connection:
        for probe in powers_beyond(stage):
            reply = converse(connection, [probe])[0]
            arena.evidence.saw("attempts")
            if not (is_locked_out(reply) or is_refusal(reply)):
                arena.evidence.found(
                    f"{b' '.join(probe).decode(errors='backslashreplace')} without a login",
                    found=shown(reply),
                    wanted="NOAUTH",
                )


def _user_of(arena: Arena, name: str) -> str:
    before = set(_connections(arena))
    with arena.visit(arena.logins[name]) as connection:
        converse(connection, [(b"PING",)])
        opened = {user for number, user in _connections(arena).items() if number not in before}
    # A system in another process may connect meanwhile, with an account of its own.
    own = opened - {arena.endpoint.username} or opened
    return min(own)


def _connections(arena: Arena) -> dict[str, str]:
    """Return the user of each connection by its number."""
    reply = arena.as_admin([(b"CLIENT", b"LIST")])[0]
    if isinstance(reply, redis.ResponseError):
        raise reply
    lines = cast("bytes", reply).decode(errors="replace").splitlines()
    fields = [dict(word.partition("=")[::2] for word in line.split()) for line in lines]
    return {each["id"]: each["user"] for each in fields}


def hostile_ids(arena: Arena, stage: Stage) -> None:
    """Ask for users whose ids would mean more in a pattern; none may reach another's keys."""
    prefix = arena.id(ATTACKER)[: -len(ATTACKER)]
    for ending in HOSTILE_ENDINGS:
        tenant = f"{prefix}{ending}"
        try:
            login = arena.access.admit(tenant)
        except (redis.ConnectionError, redis.TimeoutError):
            raise
        except Exception:  # noqa: BLE001 (whatever it raises, it made no user)
            arena.evidence.saw("attempts")
            continue
        reply = arena.reply_to(login, stage.other)
        arena.evidence.saw("attempts")
        if not (is_refusal(reply) or is_locked_out(reply)):
            arena.evidence.found(
                f"a user for the id {tenant!a} reads the key of {arena.id(VICTIM)}",
                found=shown(reply),
                wanted="a refusal of the id, or NOPERM",
            )
