# SPDX-License-Identifier: Apache-2.0
"""
Writing batches of keys so that no foreign key is ever overwritten.

Each batch is watched, looked at, and written in one MULTI with its expiries: a key that
somebody creates or changes in between makes the transaction void, and a killed client leaves
whole keys with their expiry, or none.

A lane is one connection with at most one batch under way. Several lanes in turn keep the
server and this process busy at the same time: while one transaction runs, the next batch is
packed, and the one after it is already watched.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kryonix_cache.reference_impl.seeding.errors import ContendedKeysError, ForeignKeyError
from kryonix_cache.reference_impl.seeding.inspection import State, answered, ask, inspect
from kryonix_cache.reference_impl.seeding.report import (
    NOTHING_SEEDED,
    SeedReport,
    UnseedReport,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kryonix_cache.reference_impl.connection import Command, GuardedConnection
    from kryonix_cache.reference_impl.seeding.key import SeedKey

ATTEMPTS = 20
MULTI: Command = (b"MULTI",)
EXEC: Command = (b"EXEC",)
UNWATCH: Command = (b"UNWATCH",)


class Lane:
    """One connection that writes one batch after the other."""

    def __init__(self, connection: GuardedConnection) -> None:
        self._connection = connection
        self._keys: Sequence[SeedKey] = ()
        self._states: list[State] = []
        self._expected = 0

    def announce(self, keys: Sequence[SeedKey]) -> None:
        """Ask the server to watch the keys and to count those that are there."""
        self._keys = keys
        self._connection.send_batch(_watch(keys))

    def submit(self) -> None:
        """Send the transaction for the announced keys.

        Raises:
            ForeignKeyError: a key is somebody else's; nothing of the batch is written.

        """
        _, found = answered(self._connection.read_replies(2))
        self._states = inspect(self._connection, self._keys) if found else self._all_missing()
        self._send()

    def settle(self) -> SeedReport:
        """Wait for the transaction, repeat it where it became void, and say what was written.

        Raises:
            ContendedKeysError: it became void time after time.

        """
        if not self._keys:
            return NOTHING_SEEDED
        for _ in range(ATTEMPTS):
            replies = answered(self._connection.read_replies(self._expected))
            if replies[-1] is not None:
                self._keys = ()
                return _seeded(self._states)
            ask(self._connection, _watch(self._keys))
            self._states = inspect(self._connection, self._keys)
            self._send()
        # The last repetition is still under way: `bulk` closes the connection on the exception.
        raise ContendedKeysError(self._keys[0].database, ATTEMPTS)

    def _all_missing(self) -> list[State]:
        return [State.MISSING] * len(self._keys)

    def _send(self) -> None:
        foreign = [
            (key.database, key.name)
            for key, state in zip(self._keys, self._states, strict=True)
            if state is State.FOREIGN
        ]
        if foreign:
            self._keys = ()
            ask(self._connection, [UNWATCH])
            raise ForeignKeyError(foreign, written=0)
        commands = [MULTI]
        for key, state in zip(self._keys, self._states, strict=True):
            commands.extend(_commands(key, state))
        commands.append(EXEC)
        self._expected = len(commands)
        self._connection.send_batch(commands)


def _watch(keys: Sequence[SeedKey]) -> list[Command]:
    names = tuple(key.name for key in keys)
    return [(b"WATCH", *names), (b"EXISTS", *names)]


def _commands(key: SeedKey, state: State) -> tuple[Command, ...]:
    if state is State.MISSING:
        return key.creation()
    if state is State.OF_ANOTHER_MOMENT:
        return (key.write, key.expiry)
    return (key.expiry,) if state is State.OURS else ()


def _seeded(states: Sequence[State]) -> SeedReport:
    shared, kept = states.count(State.SHARED), states.count(State.OURS)
    return SeedReport(len(states), len(states) - shared - kept, kept, shared)


def remove(
    connection: GuardedConnection,
    keys: Sequence[SeedKey],
    *,
    dry_run: bool = False,
    needed: bool = False,
) -> UnseedReport:
    """Remove those of `keys` that are as seeding wrote them; say which were changed.

    With `dry_run`, and for keys that are still `needed`, nothing but reading commands is sent.

    Raises:
        ContendedKeysError: another client changed the keys during each attempt.

    """
    if dry_run or needed:
        return _unseeded(keys, inspect(connection, keys), needed=needed)
    for _ in range(ATTEMPTS):
        _, found = ask(connection, _watch(keys))
        states = inspect(connection, keys) if found else [State.MISSING] * len(keys)
        ours = [key.name for key, state in zip(keys, states, strict=True) if state in _AS_SEEDED]
        commands = [MULTI, (b"UNLINK", *ours), EXEC] if ours else [UNWATCH]
        if ask(connection, commands)[-1] is not None:
            return _unseeded(keys, states)
    raise ContendedKeysError(keys[0].database, ATTEMPTS)


_AS_SEEDED = frozenset({State.OURS, State.OF_ANOTHER_MOMENT})


def _unseeded(
    keys: Sequence[SeedKey], states: Sequence[State], *, needed: bool = False
) -> UnseedReport:
    ours = sum(state in _AS_SEEDED for state in states)
    changed = tuple(
        (key.database, key.name)
        for key, state in zip(keys, states, strict=True)
        if state is State.FOREIGN
    )
    return UnseedReport(
        planned=len(keys),
        removed=0 if needed else ours,
        missing=states.count(State.MISSING),
        shared=states.count(State.SHARED),
        needed=ours if needed else 0,
        changed=changed,
    )
