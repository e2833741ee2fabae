# SPDX-License-Identifier: Apache-2.0
"""The stage of an attack: what its placeholders stand for, and what must stay as it is."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from kryonix_cache.conformance.attacks.arena import ATTACKER, VICTIM
from kryonix_cache.conformance.attacks.population import SPARE, Key, secret_of
from kryonix_cache.conformance.attacks.table import Attack, filled
from kryonix_cache.reference_impl.contract.keys import glob_of

if TYPE_CHECKING:
    from kryonix_cache.conformance.attacks.arena import Arena
    from kryonix_cache.reference_impl.connection import Command

_LIBRARY = b"kryonix_attacks"
_NEWS = "news"
_HIDDEN = {"own_password"}


class Stage:
    """What the placeholders stand for, and the keys that must stay as they are."""

    def __init__(self, arena: Arena, attack: Attack | None = None) -> None:
        population = arena.population
        family = population.home(attack.type if attack else "string")
        own_id, other_id = arena.id(ATTACKER), arena.id(VICTIM)
        self.own = population.key(family, own_id)
        self.other = population.key(family, other_id)
        self.database = self.own.database
        self.planted = Key(
            self.database, self.other.name + b"-planted", population.home("string"), other_id
        )
        system = next(iter(population.system_keys()), None)
        spare = population.key(family, other_id, SPARE)
        self.spare = spare if spare != self.other else None
        self.watched = [self.other, self.planted, *([self.spare] if self.spare else [])]
        self.values: dict[str, bytes] = {
            "own": self.own.name,
            "own_spare": population.key(family, own_id, SPARE).name,
            "own_upper": self.own.name.upper(),
            "other": self.other.name,
            "planted_end": self.planted.name[-1:],
            "planted_glob": self.planted.name[:-1] + b"*",
            "system": system.name if system else b"system",
            "database": str(self.database).encode(),
            "library": _LIBRARY,
            "admin": (arena.endpoint.username or "default").encode(),
            "own_password": arena.logins[ATTACKER].password.encode(),
            "sha": _sha_of(attack) if attack else b"",
        }
        for who, name in (("own", ATTACKER), ("other", VICTIM)):
            self.values |= {
                f"{who}_id": arena.id(name).encode(),
                f"{who}_user": arena.logins[name].username.encode(),
                f"{who}_channel": channel_of(arena, name),
            }
        self.values["other_channels"] = channels_of(arena, VICTIM)
        self.marks = [secret_of(other_id), other_id.encode()]

    def steps(self, attack: Attack) -> list[list[bytes]]:
        """Return what is sent."""
        return [filled(words, self.values) for words in attack.steps]

    def told(self, attack: Attack) -> str:
        """Return what is sent as a report may show it."""
        values = self.values | dict.fromkeys(_HIDDEN, b"(its password)")
        told = [b" ".join(filled(words, values)) for words in attack.steps]
        return f"{attack.id}: {b'; '.join(told).decode(errors='backslashreplace')!s}"


def may_broadcast(arena: Arena) -> bool:
    """Say whether the contract gives tenants channels of their own, and both ends of them."""
    access = arena.contract.access
    return (
        access is not None
        and {"publish", "subscribe"} <= set(access.channel)
        and any("tenant" in channel.parts for channel in arena.contract.channels)
    )


def channel_of(arena: Arena, name: str) -> bytes:
    """Return a channel of a tenant; where the contract has none, one by its id."""
    for channel in arena.contract.channels:
        if "tenant" in channel.parts:
            parts = dict.fromkeys(channel.parts, _NEWS) | {"tenant": arena.id(name)}
            return arena.contract.channel(channel.name, **parts)
    return f"{arena.id(name)}:{_NEWS}".encode()


def channels_of(arena: Arena, name: str) -> bytes:
    """Return the pattern of a tenant's channels."""
    for channel in arena.contract.channels:
        if "tenant" in channel.parts:
            return glob_of(channel.pattern, arena.id(name)).encode()
    return f"{arena.id(name)}:*".encode()


def powers_beyond(stage: Stage) -> list[Command]:
    """Return what no tenant's user may send; a session that may is more than that."""
    return [
        (b"GET", stage.other.name),
        (b"DUMP", stage.other.name),
        (b"DBSIZE",),
        (b"CONFIG", b"GET", b"maxmemory"),
        (b"ACL", b"LIST"),
    ]


def _sha_of(attack: Attack) -> bytes:
    text = next((words[-1] for words in attack.before if words[0] == "SCRIPT"), "")
    return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest().encode()
