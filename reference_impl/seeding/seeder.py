# SPDX-License-Identifier: Apache-2.0
"""
Seeding: a plan is checked as a whole, then written, and can be taken back.

Nothing is written before every key of the plan was looked at: one key that is somebody else's
refuses the whole. Seeding twice gives what seeding once gives, but for the times to live, which
start again; so a run that was cut short is completed by running it again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import groupby

import redis

from kryonix_cache.reference_impl.connection import Clients, GuardedConnection, bulk
from kryonix_cache.reference_impl.seeding.errors import ForeignKeyError, SeedingInterruptedError
from kryonix_cache.reference_impl.seeding.inspection import State, answered, inspect
from kryonix_cache.reference_impl.seeding.key import SeedKey, SeedPlan, in_batches
from kryonix_cache.reference_impl.seeding.report import (
    NOTHING_SEEDED,
    NOTHING_UNSEEDED,
    SeedReport,
    UnseedReport,
)
from kryonix_cache.reference_impl.seeding.sharing import tenants_remain
from kryonix_cache.reference_impl.seeding.transaction import Lane, remove

LANES = 3
"""One batch runs, one is packed, one is watched; more gains nothing, fewer waits."""

Progress = Callable[[str, int], None]
"""Called with what is being done and with the number of keys it was just done for."""


class Seeder:
    """Writes the keys of a plan and no other, and removes them again."""

    def __init__(self, connections: Clients, *, progress: Progress | None = None) -> None:
        self._connections = connections
        self._progress = progress or _silent

    def check(self, plan: SeedPlan) -> int:
        """Look at the place of each key, write nothing, return how many are there already.

        Raises:
            ForeignKeyError: names the keys that are somebody else's.
            SeedingInterruptedError: the server was lost or refused a command.

        """
        there, foreign = 0, list[tuple[int, bytes]]()
        with _interruption(lambda: "Nothing was written"):
            for database in sorted(plan.sizes):
                with bulk(self._connections[database]) as connection:
                    for key, state in self._found(connection, plan.keys(database)):
                        there += state is not State.MISSING
                        if state is State.FOREIGN:
                            foreign.append((key.database, key.name))
        if foreign:
            raise ForeignKeyError(foreign, written=0)
        return there

    def seed(self, plan: SeedPlan) -> SeedReport:
        """Check the plan, then write it.

        Raises:
            ForeignKeyError: a key is somebody else's. Nothing was written, unless that key
                appeared after the check.
            SeedingInterruptedError: says how many keys were written.
            ContendedKeysError: another client keeps changing the same keys.

        """
        self.check(plan)
        report, planned = NOTHING_SEEDED, sum(plan.sizes.values())
        with _interruption(lambda: f"At least {report.written} of {planned} keys were written"):
            try:
                for database in sorted(plan.sizes):
                    for part in self._written(database, plan.keys(database)):
                        report += part
            except ForeignKeyError as error:
                raise ForeignKeyError(error.names, written=report.written) from None
        return report

    def unseed(self, plan: SeedPlan, *, dry_run: bool = False) -> UnseedReport:
        """Remove each key of the plan that is as seeding wrote it, and name the changed ones.

        The keys of the whole system go last, and only where tenants of the plan went and no
        other tenant is left: two sets of tenants share them.

        With `dry_run` nothing is removed, and the report says what would be.

        Raises:
            SeedingInterruptedError: says how many keys were removed.
            ContendedKeysError: another client keeps changing the same keys.

        """
        report = NOTHING_UNSEEDED
        with _interruption(lambda: f"At least {report.removed} keys were removed"):
            shared: list[SeedKey] = []
            for database in sorted(plan.sizes):
                keys = _apart(plan.keys(database), shared)
                for part in self._removed(database, keys, dry_run=dry_run):
                    report += part
            needed = bool(shared) and (
                report.removed == 0
                or tenants_remain(self._connections, plan, going=report.removed if dry_run else 0)
            )
            for database, keys in groupby(shared, lambda key: key.database):
                for part in self._removed(database, keys, dry_run=dry_run, needed=needed):
                    report += part
        return report

    def _removed(
        self, database: int, keys: Iterator[SeedKey], *, dry_run: bool, needed: bool = False
    ) -> Iterator[UnseedReport]:
        with bulk(self._connections[database]) as connection:
            for batch in in_batches(keys):
                yield remove(connection, batch, dry_run=dry_run, needed=needed)
                self._progress("removing", len(batch))

    def _found(
        self, connection: GuardedConnection, keys: Iterator[SeedKey]
    ) -> Iterator[tuple[SeedKey, State]]:
        """Yield the keys that are there already; the server counts while the next are made."""
        waiting: list[SeedKey] = []
        for batch in in_batches(keys):
            yield from self._counted(connection, waiting)
            connection.send_batch([(b"EXISTS", *(key.name for key in batch))])
            waiting = batch
        yield from self._counted(connection, waiting)

    def _counted(
        self, connection: GuardedConnection, batch: list[SeedKey]
    ) -> Iterator[tuple[SeedKey, State]]:
        if batch and answered(connection.read_replies(1)) != [0]:
            yield from zip(batch, inspect(connection, batch), strict=True)
        self._progress("checking", len(batch))

    def _written(self, database: int, keys: Iterator[SeedKey]) -> Iterator[SeedReport]:
        with ExitStack() as stack:
            client = self._connections[database]
            lanes = [Lane(stack.enter_context(bulk(client))) for _ in range(LANES)]
            announced = None
            for turn, batch in enumerate(in_batches(keys)):
                lane = lanes[turn % LANES]
                yield self._settled(lane)
                lane.announce(batch)
                if announced:
                    announced.submit()
                announced = lane
            if announced:
                announced.submit()
            for lane in lanes:
                yield self._settled(lane)

    def _settled(self, lane: Lane) -> SeedReport:
        report = lane.settle()
        self._progress("writing", report.planned)
        return report


def _apart(keys: Iterator[SeedKey], shared: list[SeedKey]) -> Iterator[SeedKey]:
    """Yield the keys that are no shared ones, and put those into the list."""
    for key in keys:
        if key.shared:
            shared.append(key)
        else:
            yield key


def _silent(_action: str, _keys: int) -> None:
    return


@contextmanager
def _interruption(done: Callable[[], str]) -> Iterator[None]:
    try:
        yield
    except redis.RedisError as error:
        raise SeedingInterruptedError(done(), _first_line(error)) from error


def _first_line(error: redis.RedisError) -> str:
    return (str(error).splitlines() or ["no reason given"])[0].rstrip(". ")
