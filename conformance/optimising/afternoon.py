# SPDX-License-Identifier: Apache-2.0
"""
A simulated afternoon: runs at the contract's interval, while answers end and are written anew.

The present moves by what each run is told; the server's times to live move with it, because every
one of them is lowered between two runs, and what is over is removed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

from kryonix_cache.conformance.judging.display import place as shown_place
from kryonix_cache.conformance.optimising.families import SDK_CONFIG
from kryonix_cache.conformance.optimising.looks import FOR_EVER, ROUNDING_MS, lengthened_ms
from kryonix_cache.conformance.optimising.scene import MOMENT
from kryonix_cache.conformance.optimising.server_time import pass_time

if TYPE_CHECKING:
    from kryonix_cache.conformance.datasets import Place
    from kryonix_cache.conformance.optimising.looks import Look
    from kryonix_cache.conformance.optimising.scene import Scene

RUNS = 24
_REWRITTEN_EACH = 4
_BRASILIA = timezone(timedelta(hours=-3))


@dataclass(slots=True)
class _Value:
    """A written value: since when it is known to be there, and how often it was extended.

    `due` says that the next run must extend it, because it lives shortly and is young.
    """

    since: datetime
    due: bool
    extended: int = 0


class Afternoon:
    """Plays the afternoon; what was wrong is in the evidence."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._at = MOMENT
        self._values: dict[Place, _Value] = {}
        self._steady: list[Place] = []
        self._slow = scene.tenant("slow")
        self._busy = scene.tenant("busy")

    def play(self) -> None:
        """Write the answers, then let runs and time take turns."""
        self._slow.metrics(cache_hit_rate="40")
        self._busy.metrics(cache_hit_rate="40", api_calls_today="90000")
        self._write_first()
        for number in range(RUNS):
            if number and number % _REWRITTEN_EACH == 0:
                self._rewrite(number)
            before = self._scene.look()
            self._scene.run(at=self._at)
            self._judge(before, self._scene.look())
            self._scene.evidence.saw("runs")
            interval = timedelta(seconds=self._scene.rule.interval_s)
            pass_time(self._scene.clients, self._scene.contract, interval)
            self._at += interval

    def _write_first(self) -> None:
        oldest, short = self._scene.rule.oldest_value_s, self._scene.rule.ttl_below_s
        slow = self._slow
        for number, ttl in enumerate((600, 1800, 2700, short - 60)):
            self._note(slow.answer("crm", f"young{number}", ttl=ttl), due=True)
            self._note(slow.answer("crm", f"undated{number}", ttl=ttl, age=None), due=True)
            self._note(slow.answer("crm", f"middle{number}", ttl=ttl, age=3000), age=3000)
        there = (self._at - timedelta(seconds=3000)).astimezone(_BRASILIA).isoformat()
        self._note(slow.answer("crm", "abroad", ttl=3000, cached_at=there), age=3000, due=True)
        ahead = (self._at + timedelta(hours=3)).isoformat()
        self._note(slow.answer("crm", "ahead", ttl=short - 60, cached_at=ahead), due=True)
        self._note(slow.answer("crm", "over-age", ttl=3000, age=oldest + 300), age=oldest + 300)
        # It will be too old in any case, and must not be cut short for that.
        self._note(slow.answer("crm", "elderly", ttl=3000, age=oldest - 2000), age=oldest - 2000)
        for tenant in (slow, self._busy):
            for answer in self._scene.rule.hot:
                place = tenant.answer(answer.module, answer.endpoint, ttl=1800)
                self._note(place, due=True)
            self._steady.append(tenant.answer("crm", "for-ever", ttl=None))
            self._steady.append(tenant.string(SDK_CONFIG, "{}", ttl=86_000))
        last = self._scene.rule.hot[-1]
        place = self._busy.answer(last.module, last.endpoint, ttl=1800, cached_at=ahead)
        self._note(place, due=True)

    def _note(self, place: Place, *, age: float = 0, due: bool = False) -> None:
        self._values[place] = _Value(self._at - timedelta(seconds=age), due)

    def _rewrite(self, number: int) -> None:
        for tenant in (self._slow, self._busy):
            writer = replace(tenant, now=self._at)
            answer = self._scene.rule.hot[0]
            self._note(writer.answer(answer.module, answer.endpoint, ttl=1800), due=True)
            data = {"written": number}
            place = writer.answer("crm", "undated2", ttl=1800, age=None, data=data)
            self._note(place, due=True)

    def _judge(self, before: Look, after: Look) -> None:
        for place, value in self._values.items():
            if place in before.keys:
                self._judge_value(before, after, place, value)
        for place in self._steady:
            if place in before.keys and (
                place not in after.keys or lengthened_ms(before, after, place)
            ):
                self._found(place, "another time to live", "the one that it had: it is no answer")

    def _judge_value(self, before: Look, after: Look, place: Place, value: _Value) -> None:
        new, oldest = after.keys.get(place), self._scene.rule.oldest_value_s
        if new is None:
            if before.keys[place].ttl > 4 * ROUNDING_MS:
                self._found(place, "no key any more", "the answer, which had time to live")
            return
        if new.digest() != before.keys[place].digest():
            self._found(place, "another value", "the value as it was written")
        if new.ttl == FOR_EVER:
            self._found(place, "it lives for ever", f"at most {oldest} s from when it was written")
            return
        more = lengthened_ms(before, after, place)
        if more < 0:
            self._found(place, f"it lives {-more / 1000:.0f} s less", "never a shorter life")
        if more > 0:
            value.extended += 1
            self._scene.evidence.saw("extended")
            self._judge_extension(place, value, new.ttl)
        elif value.due:
            self._found(place, "the value was not extended", "a longer life for each new value")
        value.due = False

    def _judge_extension(self, place: Place, value: _Value, ttl: int) -> None:
        if value.extended > 1:
            self._found(place, f"extension number {value.extended} of one value", "one extension")
        oldest = timedelta(seconds=self._scene.rule.oldest_value_s)
        end = self._at + timedelta(milliseconds=ttl)
        if end - value.since > oldest + timedelta(milliseconds=ROUNDING_MS):
            age = (end - value.since).total_seconds()
            wanted = f"at most {oldest.total_seconds():.0f} s"
            self._found(place, f"a life to the age of {age:.0f} s", wanted)

    def _found(self, place: Place, found: str, wanted: str) -> None:
        since = (self._at - MOMENT).total_seconds() / 60
        where = f"{shown_place(*place)} after {since:.0f} minutes"
        self._scene.evidence.found(where, found=found, wanted=wanted, erratum="E14")
