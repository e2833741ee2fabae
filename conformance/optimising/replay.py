# SPDX-License-Identifier: Apache-2.0
"""
Replayed demand: what preloading is worth, in hits of readers and in loads of their source.

An answer that is missed is loaded, and lives half an hour; one that was preloaded lives as long as
its key on the server. The same requests are played without preloading, and with the preloading of
somebody who knows the next hour, so that the judgement needs no figure of a certain machine.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from random import Random
from typing import TYPE_CHECKING

from kryonix_cache.conformance.optimising.families import PRELOADED
from kryonix_cache.conformance.optimising.habits import DAYS, HOUR
from kryonix_cache.conformance.optimising.loaders import TellingLoader
from kryonix_cache.conformance.optimising.scene import MOMENT
from kryonix_cache.conformance.optimising.server_time import pass_time
from kryonix_cache.fixtures.capabilities import Read

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kryonix_cache.conformance.optimising.scene import Scene
    from kryonix_cache.conformance.optimising.tenants import MadeTenant

LEAST_SHARE = 0.5
"""Part of the hits that foresight would gain, which preloading must gain where there are habits."""

MOST_LOADS = 1.25
"""Loads of the source with preloading, for each one without, where there are no habits."""

TOLERANCE = 0.15
"""How far the mean confidence may be from how often what was predicted was asked for."""

_HOURS = {"default": 24, "nightly": 168}
_MODULE = "crm"
_LIVES_S = 1800
_FEWEST = 30
"""Predictions below which their confidence says nothing that could be counted."""


@dataclass(frozen=True, slots=True)
class Kind:
    """How a tenant reads: `items` answers, each in so many `hours` of the day.

    In such an hour it is read with this probability. Without hours each read is of any item.
    """

    name: str
    items: int
    hours: int
    probability: float


KINDS = (Kind("steady", 40, 3, 0.97), Kind("loose", 40, 6, 0.65), Kind("noise", 200, 0, 0.0))
_NOISE_READS = 10


@dataclass(slots=True)
class Tally:
    """What came of a tenant's requests."""

    requests: int = 0
    hits: int = 0
    preloaded_hits: int = 0
    foreseen_hits: int = 0
    preloads: int = 0
    predictions: int = 0
    asked: int = 0
    confidence: float = 0.0


class Demand:
    """The requests of a tenant, hour by hour, the same ones for the same seed."""

    def __init__(self, kind: Kind, seed: int) -> None:
        self._kind = kind
        self._draw = Random(f"{seed} {kind.name}")  # noqa: S311 (it makes demand, and no secret)
        self._hours = [
            frozenset(self._draw.sample(range(24), kind.hours)) for _ in range(kind.items)
        ]

    def hour(self, hour_of_day: int) -> dict[str, list[float]]:
        """Return the seconds of the next hour at which each item is asked for."""
        draw, kind = self._draw, self._kind
        if not kind.hours:
            counts = Counter(draw.randrange(kind.items) for _ in range(_NOISE_READS))
        else:
            counts = Counter()
            for number, hours in enumerate(self._hours):
                if hour_of_day in hours and draw.random() < kind.probability:
                    counts[number] = draw.randint(1, 5)
        return {
            f"i{number}": sorted(draw.uniform(0, 3600) for _ in range(count))
            for number, count in sorted(counts.items())
        }


@dataclass(slots=True)
class Reader:
    """A tenant that reads, and what of it lies in its caches: until when, in seconds."""

    tenant: MadeTenant
    kind: Kind
    demand: Demand
    most: int
    tally: Tally = field(default_factory=Tally)
    plain: dict[str, float] = field(default_factory=dict)
    helped: dict[str, float] = field(default_factory=dict)
    foreseeing: dict[str, float] = field(default_factory=dict)

    def reads(self, asked: dict[str, list[float]], at_hour: int) -> Iterator[Read]:
        """Yield an hour's requests as an access log tells them."""
        moment = MOMENT + at_hour * HOUR + timedelta(minutes=20)
        for item, seconds in asked.items():
            yield Read(self.tenant.id, _MODULE, item, moment, len(seconds))

    def play(self, asked: dict[str, list[float]], at_hour: int, preloads: dict[str, float]) -> None:
        """Play an hour's requests with no preloading, with this one, and with foresight."""
        begin, tally = at_hour * 3600.0, self.tally
        tally.requests += sum(map(len, asked.values()))
        tally.hits += played(asked, begin, self.plain)
        for item, seconds in preloads.items():
            self.helped[item] = max(self.helped.get(item, 0.0), begin + seconds)
        tally.preloaded_hits += played(asked, begin, self.helped)
        missed = sorted(
            asked, key=lambda item: -_misses(asked[item], begin, self.foreseeing.get(item, 0.0))
        )
        for item in missed[: self.most]:
            self.foreseeing[item] = begin + 3600
        tally.foreseen_hits += played(asked, begin, self.foreseeing)


def played(asked: dict[str, list[float]], begin: float, cache: dict[str, float]) -> int:
    """Return how many requests found their answer; those that were missed are cached."""
    hits = 0
    for item, seconds in asked.items():
        for second in seconds:
            if begin + second < cache.get(item, 0.0):
                hits += 1
            else:
                cache[item] = begin + second + _LIVES_S
    return hits


def _misses(seconds: list[float], begin: float, until: float) -> int:
    return len(seconds) - played({"": seconds}, begin, {"": until})


class Replay:
    """Plays all tenants, and judges what came of it."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        request = scene.session.plan.request
        self._hours = _HOURS[request.depth]
        self._readers = [
            Reader(
                scene.tenant(kind.name), kind, Demand(kind, request.seed), scene.rule.preload_items
            )
            for kind in KINDS
        ]

    def play(self) -> None:
        """Let the optimiser learn of two weeks, then preload hour after hour."""
        for reader in self._readers:
            reader.tenant.metrics()
            self._scene.learn(
                read
                for hour in range(-24 * DAYS, 0)
                for read in reader.reads(reader.demand.hour((MOMENT + hour * HOUR).hour), hour)
            )
        for hour in range(self._hours):
            self._play_hour(hour)

    def _play_hour(self, hour: int) -> None:
        at = MOMENT + hour * HOUR
        done = self._scene.run(at=at, loader=TellingLoader())
        reads: list[Read] = []
        for reader in self._readers:
            asked, preloads = reader.demand.hour(at.hour), self._preloads(reader.tenant)
            analysis, tally = self._scene.analysis(done, reader.tenant), reader.tally
            predicted = {endpoint for module, endpoint in analysis.predicted if module == _MODULE}
            tally.predictions += len(predicted)
            tally.asked += len(predicted & asked.keys())
            tally.confidence += analysis.confidence * len(predicted)
            tally.preloads += len(preloads)
            reader.play(asked, hour, preloads)
            reads += reader.reads(asked, hour)
        self._scene.learn(reads)
        pass_time(self._scene.clients, self._scene.contract, HOUR)

    def _preloads(self, tenant: MadeTenant) -> dict[str, float]:
        """Return the items that are preloaded, and how many seconds each still lives."""
        found = {}
        for database, key in self._scene.keys_of(tenant):
            parsed = self._scene.contract.parse(database, key)
            if parsed and parsed.family.name == PRELOADED:
                item = parsed.parts["item"].removeprefix(f"{_MODULE}.")
                found[item] = self._scene.clients[database].pttl(key) / 1000
        return found

    def judge(self) -> None:
        """Add a finding for each tenant to whom preloading did no good, or harm."""
        notes = []
        for reader in self._readers:
            tally, evidence = reader.tally, self._scene.evidence
            evidence.saw("requests", tally.requests)
            evidence.saw("predictions", tally.predictions)
            notes.append(
                f"{reader.kind.name}: hit rate {_percent(tally.hits, tally.requests)}, "
                f"with preloading {_percent(tally.preloaded_hits, tally.requests)}, with foresight "
                f"{_percent(tally.foreseen_hits, tally.requests)}; confidence "
                f"{_percent(tally.confidence, tally.predictions)}, right "
                f"{_percent(tally.asked, tally.predictions)} of {tally.predictions}"
            )
            self._judge_value(reader)
            self._judge_confidence(reader)
        self._scene.evidence.note = "; ".join(notes)

    def _judge_value(self, reader: Reader) -> None:
        tally = reader.tally
        gain, most = tally.preloaded_hits - tally.hits, tally.foreseen_hits - tally.hits
        where = f"tenant {reader.tenant.id}, {self._hours} hours of replayed requests"
        if reader.kind.hours and gain < LEAST_SHARE * most:
            self._scene.evidence.found(
                where,
                found=f"{gain} hits more than the {tally.hits} without preloading",
                wanted=f"at least {LEAST_SHARE * most:.0f}: who knew the hour would gain {most}",
                erratum="E17",
            )
        loads = tally.requests - tally.preloaded_hits + tally.preloads
        without = tally.requests - tally.hits
        if not reader.kind.hours and loads > MOST_LOADS * without:
            self._scene.evidence.found(
                where,
                found=f"{loads} loads, {tally.preloads} of them to preload",
                wanted=f"at most {MOST_LOADS * without:.0f}: without any there are {without}",
                erratum="E17",
            )

    def _judge_confidence(self, reader: Reader) -> None:
        tally = reader.tally
        if tally.predictions < _FEWEST:
            return
        confidence, right = tally.confidence / tally.predictions, tally.asked / tally.predictions
        if abs(confidence - right) > TOLERANCE:
            self._scene.evidence.found(
                f"tenant {reader.tenant.id}, confidence of {tally.predictions} predictions",
                found=f"{confidence:.2f} on average",
                wanted=f"{right:.2f}, within {TOLERANCE:g}: so often the item was asked for",
                erratum="E17",
            )


def _percent(part: float, whole: float) -> str:
    return f"{100 * part / whole:.0f} %" if whole else "none"
