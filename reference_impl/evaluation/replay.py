# SPDX-License-Identifier: Apache-2.0
"""A replay: the same requests on a real server, in compressed time, to check the simulator.

Each arm has a database of its own. Every key expires after the compressed time to live, so that
nothing is left. The server must be one that nobody else uses.
"""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

import redis

from kryonix_cache.reference_impl.connection import lease
from kryonix_cache.reference_impl.demand.series import HOURS_OF_DAY, SECONDS_OF_HOUR
from kryonix_cache.reference_impl.evaluation.arms import WARM_UP_HOURS
from kryonix_cache.reference_impl.evaluation.errors import ReplayLostError
from kryonix_cache.reference_impl.evaluation.simulator import WARM_SHARE, simulate

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kryonix_cache.reference_impl.connection import Clients, GuardedConnection, Reply
    from kryonix_cache.reference_impl.evaluation.arms import Plan, Setting
    from kryonix_cache.reference_impl.evaluation.simulator import Outcome
    from kryonix_cache.reference_impl.evaluation.workload import Workload

MOST_APART = 2.0
"""Points of hit rate within which simulator and server must agree."""

REPLAYED_HOURS = HOURS_OF_DAY
_SECONDS_FOR_HOUR = (0.3, 0.6, 1.2)
_LATE_HOURS = 0.05
_LATE_SHARE = 0.05
_PAUSE = 0.001
_BATCH = 500


@dataclass(frozen=True, slots=True)
class Replayed:
    """One arm of one workload, simulated and real.

    `late` is the share of requests that were sent later than a twentieth of an hour: with many of
    them the replay says little.
    """

    name: str
    arm: str
    simulated: Outcome
    requests: int
    misses: int
    preloads: int
    late: float

    @property
    def hit_rate(self) -> float:
        """The server's hits in percent of the requests."""
        return 100.0 * (self.requests - self.misses) / self.requests if self.requests else 0.0

    @property
    def apart(self) -> float:
        """Points between the hit rates of server and simulator."""
        return abs(self.hit_rate - self.simulated.hit_rate)

    @property
    def agrees(self) -> bool:
        """Whether both say the same."""
        return self.apart <= MOST_APART


def replay(
    cases: Sequence[tuple[Workload, Mapping[str, Plan]]], setting: Setting, clients: Clients
) -> tuple[Replayed, ...]:
    """Play a day of every workload at once and return what server and simulator say.

    A machine that cannot keep up is given more time, twice. Arms lie in databases 0, 1, ...

    Raises:
        ReplayLostError: the server failed.

    """
    result: tuple[Replayed, ...] = ()
    for number, seconds in enumerate(_SECONDS_FOR_HOUR):
        try:
            result = _play(cases, setting, clients, seconds, number)
        except (redis.RedisError, OSError) as error:
            raise ReplayLostError(str(error)) from error
        if all(played.late <= _LATE_SHARE for played in result):
            break
    return result


def replayed_hours(workload: Workload) -> range:
    """Return the hours of a workload that are replayed: the first day after two weeks, if any."""
    start = max(WARM_UP_HOURS, min(2 * WARM_UP_HOURS, workload.hours - REPLAYED_HOURS))
    return range(start, min(start + REPLAYED_HOURS, workload.hours))


def _play(
    cases: Sequence[tuple[Workload, Mapping[str, Plan]]],
    setting: Setting,
    clients: Clients,
    seconds: float,
    attempt: int,
) -> tuple[Replayed, ...]:
    with ExitStack() as stack:
        arms = dict.fromkeys(arm for _, plans in cases for arm in plans)
        lines = {
            arm: stack.enter_context(lease(clients[database])) for database, arm in enumerate(arms)
        }
        players = [
            _Player(
                workload,
                arm,
                plan,
                setting,
                line=lines[arm],
                seconds=seconds,
                mark=f"{attempt}:{number}",
            )
            for number, (workload, plans) in enumerate(cases)
            for arm, plan in plans.items()
        ]
        start = time.monotonic()
        while not all(player.done for player in players):
            before = sum(player.requests for player in players)
            for player in players:
                player.play((time.monotonic() - start) / seconds)
            if sum(player.requests for player in players) == before:
                time.sleep(_PAUSE)
    return tuple(player.result() for player in players)


class _Player:
    """Plays one arm of one workload; times are hours since the first hour that is replayed."""

    def __init__(
        self,
        workload: Workload,
        arm: str,
        plan: Plan,
        setting: Setting,
        *,
        line: GuardedConnection,
        seconds: float,
        mark: str,
    ) -> None:
        self._workload, self._arm, self._plan, self._setting = workload, arm, plan, setting
        self._line = line
        self._hours = replayed_hours(workload)
        self._lifetime_ms = setting.lifetime_s / SECONDS_OF_HOUR * seconds * 1000
        self._ttl = b"%d" % max(1, round(self._lifetime_ms))
        self._mark = mark.encode()
        self._hour = self._hours.start
        self._prepared = False
        self._next = int(workload.edges[self._hours.start])
        self.requests = self._misses = self._preloads = self._late = 0

    @property
    def done(self) -> bool:
        return self._hour >= self._hours.stop

    def play(self, now: float) -> None:
        """Send what is due, and preload at the start of each hour that has come."""
        moment = now + self._hours.start
        while not self.done and moment >= self._hour:
            if not self._prepared:
                self._preload()
                self._prepared = True
            last = self._due(moment)
            if last > self._next:
                self._late += int(
                    (self._workload.at[self._next : last] < moment - _LATE_HOURS).sum()
                )
                self._request(last)
            if self._next < self._workload.edges[self._hour + 1]:
                return
            if moment < self._hour + 1:
                return
            self._hour += 1
            self._prepared = False

    def result(self) -> Replayed:
        return Replayed(
            self._workload.name,
            self._arm,
            simulate(self._workload, self._plan, self._setting, self._hours),
            self.requests,
            self._misses,
            self._preloads,
            self._late / self.requests if self.requests else 0.0,
        )

    def _due(self, moment: float) -> int:
        end = int(self._workload.edges[self._hour + 1])
        due = int(self._workload.at[self._next : end].searchsorted(moment, side="right"))
        return self._next + min(due, _BATCH)

    def _preload(self) -> None:
        wanted = self._plan.wanted[self._hour][: self._setting.budget].tolist()
        if not wanted:
            return
        left = self._line.exchange([(b"PTTL", self._key(item)) for item in wanted])
        warm = WARM_SHARE * self._lifetime_ms
        cold = [item for item, ms in zip(wanted, left, strict=True) if _number(ms) < warm]
        self._preloads += len(cold)
        if cold:
            _checked(
                self._line.exchange(
                    [(b"SET", self._key(item), b"1", b"PX", self._ttl) for item in cold]
                )
            )

    def _request(self, last: int) -> None:
        """Send requests as GET, and a load that happens only where the key is missing.

        So requests of one pipeline that miss the same item load it once, as one after the other.
        """
        commands: list[tuple[bytes, ...]] = []
        for item in self._workload.item[self._next : last].tolist():
            key = self._key(item)
            commands += ((b"GET", key), (b"SET", key, b"1", b"PX", self._ttl, b"NX"))
        replies = _checked(self._line.exchange(commands))
        self._misses += sum(reply is None for reply in replies[::2])
        self.requests += last - self._next
        self._next = last

    def _key(self, item: int) -> bytes:
        return b"evaluation:%s:%d" % (self._mark, item)


def _number(reply: Reply) -> int:
    _checked([reply])
    return int(str(reply))


def _checked(replies: list[Reply]) -> list[Reply]:
    for reply in replies:
        if isinstance(reply, redis.RedisError):
            raise reply
    return replies
