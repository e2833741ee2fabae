# SPDX-License-Identifier: Apache-2.0
"""Who a tenant's connection is to the server: its own user, and nobody's else."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import redis

from kryonix_cache.conformance.attacks.arena import ATTACKER, VICTIM
from kryonix_cache.conformance.attacks.connections import converse
from kryonix_cache.conformance.attacks.replies import is_locked_out, is_refusal, shown
from kryonix_cache.conformance.attacks.sessions import users_by_connection
from kryonix_cache.conformance.attacks.stage import powers_beyond
from kryonix_cache.fixtures.capabilities import TenantLogin

HOSTILE_ENDINGS = (
    *("*", "a*", "??", "[a-z]b", "[^x]b", "ab:*", "a ~*", "a\n", ""),
    *("ab\\", "\\ab", "a[", "a\0", "ab\0", "AB", "a" * 80),
)
"""Ends of ids that are patterns, that end or spoil one, or that the rule of ids does not allow."""

if TYPE_CHECKING:
    from kryonix_cache.conformance.attacks.arena import Arena
    from kryonix_cache.conformance.attacks.stage import Stage
    from kryonix_cache.reference_impl.connection import Reply


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


def doors(arena: Arena, _: Stage) -> None:
    """Look at each user of the server: whoever is not off asks for a password.

    A tenant's user has one password, so that no other opens it. The administrator's account is
    the suite's own.
    """
    tenants = {login.username for login in arena.logins.values()}
    users = cast("list[bytes]", arena.as_admin([(b"ACL", b"USERS")])[0])
    replies = arena.as_admin([(b"ACL", b"GETUSER", user) for user in users])
    for user, reply in zip((user.decode(errors="replace") for user in users), replies, strict=True):
        if user == arena.endpoint.username:
            continue
        fields = cast("list[Reply]", reply)
        state = dict(zip(cast("list[bytes]", fields[::2]), fields[1::2], strict=True))
        flags, passwords = (cast("list[bytes]", state[each]) for each in (b"flags", b"passwords"))
        arena.evidence.saw("users")
        if b"nopass" in flags and (user in tenants or b"on" in flags):
            arena.evidence.found(
                f"the user {user}", found="it opens without a password", wanted="a password, or off"
            )
        elif user in tenants and len(passwords) != 1:
            arena.evidence.found(
                f"the user {user}", found=f"{len(passwords)} passwords", wanted="one"
            )


def _user_of(arena: Arena, name: str) -> str:
    before = set(users_by_connection(arena))
    with arena.visit(arena.logins[name]) as connection:
        converse(connection, [(b"PING",)])
        opened = {
            number: user
            for number, user in users_by_connection(arena).items()
            if number not in before
        }
    # A system in another process may connect meanwhile, with an account of its own.
    own = set(opened.values()) - {arena.endpoint.username}
    return min(own or opened.values())


def hostile_ids(arena: Arena, _: Stage) -> None:
    """Ask for users whose ids would mean more in a pattern; none may reach another's keys.

    Where the id is refused there must be no such user either.
    """
    prefix = arena.id(ATTACKER)[: -len(ATTACKER)]
    for ending in HOSTILE_ENDINGS:
        tenant = f"{prefix}{ending}"
        before = _users(arena)
        try:
            login: object = arena.access.admit(tenant)
        except (redis.ConnectionError, redis.TimeoutError):
            raise
        except Exception:  # noqa: BLE001 (whatever it raises, it made no user)
            login = None
        arena.evidence.saw("attempts")
        made = _users(arena) - before
        if isinstance(login, TenantLogin):
            _reach(arena, tenant, login)
        elif made:
            arena.evidence.found(
                f"the users of the server after the id {tenant!a} was refused",
                found=f"{min(made)!a} is there now",
                wanted="no user more",
            )
        arena.as_admin([(b"ACL", b"DELUSER", user) for user in sorted(made)])


def _reach(arena: Arena, tenant: str, login: TenantLogin) -> None:
    """Add a finding where a user of a hostile id reaches a key of the victim."""
    for key in arena.population.keys(arena.id(VICTIM)):
        reply = arena.replies_to(login, key.database, [(b"TYPE", key.name)])[0]
        if not (is_refusal(reply) or is_locked_out(reply)):
            arena.evidence.found(
                f"a user for the id {tenant!a} reads {key.name.decode()}",
                found=shown(reply),
                wanted="a refusal of the id, or NOPERM",
            )


def _users(arena: Arena) -> set[bytes]:
    return set(cast("list[bytes]", arena.as_admin([(b"ACL", b"USERS")])[0]))
