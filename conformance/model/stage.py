# SPDX-License-Identifier: Apache-2.0
"""The stage of the isolation tests: the system's handles, and a raw view of the same server."""

from __future__ import annotations

import asyncio
import hashlib
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, cast

from kryonix_cache.conformance.datasets import Place, digests, names_by_database
from kryonix_cache.conformance.model.entries import Entry, entries_of, offered_kinds, value_of
from kryonix_cache.conformance.model.operations import operations_of
from kryonix_cache.conformance.model.play import Play
from kryonix_cache.conformance.model.programs import MOST_LANES, TENANT_NAMES
from kryonix_cache.conformance.model.steps import written

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    from kryonix_cache.conformance.evidence import Evidence
    from kryonix_cache.conformance.model.steps import Step
    from kryonix_cache.conformance.run import RunTenants
    from kryonix_cache.fixtures.system import Surroundings, System
    from kryonix_cache.reference_impl.connection import Clients


class IsolationStage:
    """Plays programs on the system under test and looks at the server behind its back.

    `raw` are the suite's own clients, under the guard but unknown to the system. Where the
    server is `disposable` the raw view covers every key of every database; on a live one,
    where the guard lets nothing but this run's keys be written, it covers the run's keys.
    `capabilities` are those that are played here. The system is built anew for each program, so
    that what it remembers begins and ends with the program; whether it `forgets` is not known of
    one in another process.
    """

    def __init__(
        self,
        surroundings: Surroundings,
        build: Callable[[Surroundings], System],
        raw: Clients,
        run: RunTenants,
        evidence: Evidence,
        *,
        capabilities: Sequence[str],
        disposable: bool,
        forgets: bool = True,
    ) -> None:
        self.contract = surroundings.contract
        self.evidence = evidence
        self.disposable = disposable
        self.forgets = forgets
        self.capabilities = tuple(capabilities)
        self.operations = operations_of(self.contract, capabilities)
        self.entries: tuple[Entry, ...] = tuple(
            dict.fromkeys(
                entry
                for capability in capabilities
                for kind in offered_kinds(self.contract, capability)
                for entry in entries_of(self.contract, kind)
            )
        )
        self._surroundings = surroundings
        self._build = build
        self.raw = raw
        self._run = run
        self._runner: asyncio.Runner | None = None
        self._threads = ThreadPoolExecutor(MOST_LANES)
        self._keys = {
            (name, entry): (self._home(entry), entry.key(self.contract, self.tenant_id(name)))
            for name in TENANT_NAMES
            for entry in self.entries
        }

    @property
    def run_prefix(self) -> str:
        """What the ids of the run's tenants begin with."""
        return self._run.prefix

    def tenant_id(self, name: str) -> str:
        """Return the id of one of the run's tenants."""
        return self._run.id(name)

    def begin(self) -> Play:
        """Return a play on an empty stage, with a system that has not been used yet."""
        self.evidence.start_over()
        return self.again()

    def again(self) -> Play:
        """Return another play of the same example, on an empty stage."""
        self.clear()
        return self._play(self.tenant_id)

    def open_as(self, tenant_id: str) -> Play:
        """Return a play in which whoever plays has this id; the stage stays as it is."""
        return self._play(lambda _: tenant_id)

    def _play(self, tenant_id: Callable[[str], str]) -> Play:
        system = self._build(self._surroundings)
        return Play(system, tenant_id, self._await, self.pass_time, self._threads)

    def clear(self) -> None:
        """Remove what earlier programs wrote, past the system under test."""
        for database, keys in self._by_database(self._keys.values()).items():
            self.raw[database].delete(*keys)

    def clear_all(self) -> None:
        """Remove every key of the run that the raw view covers, unexpected ones too."""
        for database, key in self.state():
            if self._run.owns(database, key):
                self.raw[database].delete(key)

    def close(self) -> None:
        """Clear the stage, and close what the system used inside an event loop."""
        self.clear()
        self._threads.shutdown()
        if self._runner is not None:
            with self._runner as runner:
                runner.run(cast("Any", self._surroundings.async_clients).aclose())
            self._runner = None

    def homes_of(self, step: Step) -> set[int]:
        """Return the databases that a step is about; all of them where time passes."""
        about = [
            call.entry or call.operation.entries[0] for call in step.calls if call.operation.entries
        ]
        return {self._home(entry) for entry in about or self.entries}

    def held(self, homes: Collection[int] | None = None) -> dict[tuple[str, Entry], object]:
        """Return what each entry of each tenant holds on the server, None where it is not.

        With `homes` only of the entries that lie in these databases.
        """
        found: dict[tuple[str, Entry], object] = {}
        for database in homes or {database for database, _ in self._keys.values()}:
            here = [place for place, (home, _) in self._keys.items() if home == database]
            with self.raw[database].pipeline(transaction=False) as pipeline:
                for place in here:
                    _read(pipeline, place[1], self._keys[place][1])
                replies = pipeline.execute(raise_on_error=False)
            found |= {
                place: value_of(place[1], reply) for place, reply in zip(here, replies, strict=True)
            }
        return found

    def pass_time(self, seconds: int, tenants: Sequence[str] = TENANT_NAMES) -> None:
        """Let time pass for what the tenants keep, by the server's own times to live.

        What is over is told to be over now, and the server itself drops it.
        """
        if self.disposable and set(tenants) == set(TENANT_NAMES):
            # Whatever else the system keeps grows old as well.
            found = names_by_database(self.raw, self.contract)
        else:
            found = self._by_database(
                place for (name, _), place in self._keys.items() if name in tenants
            )
        for database, keys in found.items():
            self._shorten(database, keys, seconds * 1000)

    def state(self) -> dict[Place, str]:
        """Return a digest of the value of each key that the raw view covers."""
        if self.disposable:
            return digests(self.raw, self.contract)
        state: dict[Place, str] = {}
        for database, key in self._keys.values():
            payload = self.raw[database].dump(key)
            if payload is not None:
                state[database, key] = hashlib.sha256(payload).hexdigest()
        return state

    def ends(self, places: Iterable[Place]) -> dict[Place, float | None]:
        """Return when each key will expire, in seconds since the epoch; None for never."""
        found: dict[Place, float | None] = {}
        for database, keys in self._by_database(places).items():
            with self.raw[database].pipeline(transaction=False) as pipeline:
                for key in keys:
                    pipeline.pttl(key)
                left = pipeline.execute()
            now = time.time()
            found |= {
                (database, key): None if ms < 0 else now + ms / 1000
                for key, ms in zip(keys, left, strict=True)
            }
        return found

    def owns(self, place: Place) -> bool:
        """Say whether the key at `place` belongs to a tenant of this run."""
        return self._run.owns(*place)

    def compare(self, what: str, found: object, wanted: object, steps: Sequence[Step]) -> bool:
        """Add a finding where the two differ, with the program that shows it; say whether."""
        if found == wanted:
            return False
        self.evidence.found(f"{what}, after: {written(steps)}", found=found, wanted=wanted)
        return True

    def _shorten(self, database: int, keys: Sequence[bytes], by: int) -> None:
        client = self.raw[database]
        with client.pipeline(transaction=False) as pipeline:
            for key in keys:
                pipeline.pttl(key)
            left = {key: ms for key, ms in zip(keys, pipeline.execute(), strict=True) if ms > 0}
            for key, ms in left.items():
                pipeline.pexpire(key, max(0, ms - by))
            if left:
                pipeline.execute()

    def _await(self, coroutine: Any) -> Any:
        if self._runner is None:
            self._runner = asyncio.Runner()
        return self._runner.run(coroutine)

    def _by_database(self, places: Iterable[Place]) -> dict[int, list[bytes]]:
        found: dict[int, list[bytes]] = {}
        for database, key in sorted(places):
            found.setdefault(database, []).append(key)
        return found

    def _home(self, entry: Entry) -> int:
        return self.contract.family(entry.family).databases[0]


def _read(pipeline: Any, entry: Entry, key: bytes) -> None:
    match entry.kind:
        case "answer":
            pipeline.get(key)
        case "queue":
            pipeline.lrange(key, 0, -1)
        case _:
            pipeline.hgetall(key)
