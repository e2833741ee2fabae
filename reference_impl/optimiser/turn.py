# SPDX-License-Identifier: Apache-2.0
"""One tenant's turn in a run: its moment, its transactions, and what is done when one fails."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, TypeVar

import redis

from kryonix_cache.reference_impl.optimiser.errors import (
    BookkeepingUnusableError,
    WritesRefusedError,
)
from kryonix_cache.reference_impl.optimiser.report import Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from kryonix_cache.reference_impl.bulk import Reply
    from kryonix_cache.reference_impl.connection import Clients, Command, GuardedConnection
    from kryonix_cache.reference_impl.contract import Contract
    from kryonix_cache.reference_impl.contract.model import OptimiserRule, TenantId
    from kryonix_cache.reference_impl.optimiser.report import Change

T = TypeVar("T")

ATTEMPTS = 3
"""So often a transaction of several changes is tried before each change goes on its own."""

REFUSED_TO_ALL = frozenset({"READONLY", "MISCONF", "NOREPLICAS", "MASTERDOWN", "OOM", "LOADING"})


class RunClock:
    """The time of a run: its moment, which may be anybody's, and what has passed since.

    A run takes time, and a bound on ages that counted from its beginning would be broken at its
    end.
    """

    def __init__(self, at: datetime) -> None:
        self.at = at
        self._since = time.monotonic()

    def now(self) -> datetime:
        """Return the present moment."""
        return self.at + timedelta(seconds=time.monotonic() - self._since)


@dataclass(slots=True)
class Done:
    """What came of an attempt."""

    changes: list[Change] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    def add(self, other: Done) -> None:
        """Take over what came of another one."""
        self.changes += other.changes
        self.problems += other.problems

    def note(self, database: int, key: bytes, what: str) -> None:
        """Note a problem of a key."""
        self.problems.append(problem_of(database, key, what))


@dataclass(frozen=True, slots=True)
class Turn:
    """One tenant in one run; a dry run sends nothing but reads."""

    contract: Contract
    clients: Clients
    rule: OptimiserRule
    run: str
    tenant: TenantId
    clock: RunClock
    dry_run: bool

    def watch(self, *keys: bytes) -> tuple[Command, ...]:
        """Return the command that begins a change of these keys."""
        return () if self.dry_run else ((b"WATCH", *keys),)

    def commit(self, connection: GuardedConnection, commands: Sequence[Command]) -> bool:
        """Send what was watched for as one transaction; False if somebody changed a watched key.

        Raises:
            WritesRefusedError: the server takes no writes from anybody.
            redis.ResponseError: the server refuses one of these commands; none was carried out.

        """
        if self.dry_run:
            return True
        if not commands:
            self.accepted(connection.exchange([(b"UNWATCH",)]))
            return True
        replies = connection.exchange([(b"MULTI",), *commands, (b"EXEC",)])
        # What was refused when it was queued is the cause; EXEC then says only that it gave up.
        result = self.accepted(replies)[-1]
        if not isinstance(result, list):
            return False
        self.accepted(result)
        return True

    def accepted(self, replies: Sequence[Reply]) -> Sequence[Reply]:
        """Return the replies; raise the first error among them, as `commit` does."""
        for reply in replies:
            if isinstance(reply, redis.ResponseError):
                if str(reply).partition(" ")[0] in REFUSED_TO_ALL:
                    raise WritesRefusedError(self.run, self.tenant, str(reply))
                raise reply
        return replies


def settle(
    attempt: Callable[[Sequence[T]], Done | None],
    subjects: Sequence[T],
    place: Callable[[T], tuple[int, bytes]],
) -> Done:
    """Do all subjects in one transaction, or each in its own where that is refused or contended.

    `attempt` returns None where somebody changed a watched key; it looks again each time, so that
    it never decides by what was there before.
    """
    for _ in range(ATTEMPTS):
        try:
            done = attempt(subjects)
        except BookkeepingUnusableError as error:
            return Done(problems=[problem_of(*place(subjects[0]), str(error))])
        except redis.ResponseError as error:
            if len(subjects) == 1:
                what = f"the server refuses to change it ({error})"
                return Done(problems=[problem_of(*place(subjects[0]), what)])
            break
        if done is not None:
            return done
    if len(subjects) == 1:
        what = f"somebody changed it {ATTEMPTS} times while it was about to be changed"
        return Done(problems=[problem_of(*place(subjects[0]), what)])
    total = Done()
    for subject in subjects:
        total.add(settle(attempt, [subject], place))
    return total


def problem_of(database: int, key: bytes, what: str) -> Problem:
    """Return a problem of one key."""
    return Problem(f"db {database} {key.decode(errors='backslashreplace')}", what)
