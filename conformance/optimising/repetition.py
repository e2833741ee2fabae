# SPDX-License-Identifier: Apache-2.0
"""One run after the other on the same data: a dry one, a first, a second, and an undoing."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, cast

from kryonix_cache.conformance.evidence import answer_of
from kryonix_cache.conformance.judging.display import place as shown_place
from kryonix_cache.conformance.optimising.families import (
    ANALYSIS,
    ANSWERS,
    ESSENTIALS,
    PATTERNS,
    PREDICTION,
    WRITTEN,
)
from kryonix_cache.conformance.optimising.habits import around, daily, items
from kryonix_cache.conformance.optimising.loaders import TellingLoader
from kryonix_cache.conformance.optimising.looks import judge_untouched, lengthened_ms
from kryonix_cache.conformance.optimising.traffic import Sent, monitored, writing_commands

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kryonix_cache.conformance.datasets import Content, Place
    from kryonix_cache.conformance.optimising.looks import Look
    from kryonix_cache.conformance.optimising.scene import Scene

_MORE = 8
_REWRITTEN = ("crm", "e00")


class Repetition:
    """A tenant on whom all rules fire; its present is the real one, for undoing knows no other."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._now = datetime.now(UTC).replace(microsecond=0)
        self._tenant = tenant = scene.tenant("again", now=self._now)
        tenant.metrics(cache_hit_rate="40", api_calls_today="90000")
        tenant.users(mobile=4, others=0)
        # More than are extended at once, each of which lives too long for the rule afterwards.
        ttl = scene.rule.ttl_below_s - 200
        for number in range(scene.rule.hottest_keys + _MORE):
            tenant.answer("crm", f"e{number:02}", ttl=ttl + number)
        for answer in scene.rule.hot:
            tenant.answer(answer.module, answer.endpoint, ttl=1000)
        asked = items("sales", 3)
        habit = around(self._now.hour, asked) | around((self._now.hour + 1) % 24, asked)
        scene.learn(daily(tenant.id, habit, self._now))
        self._loader = TellingLoader()
        self._fresh = scene.look()
        self._first = self._fresh
        self._run = ""

    def judge_dry_run(self) -> None:
        """Judge that a dry run analyses, and writes nothing at all."""
        scene, sent = self._scene, list[Sent]()
        writes = writing_commands(scene.admin[0])
        with monitored(scene.admin[0], sent):
            done = scene.run(at=self._now, loader=self._loader, dry_run=True)
        scene.analysis(done, self._tenant)
        for command in sent:
            if command.name in writes:
                wanted = "nothing that writes"
                scene.evidence.found("a dry run", found=f"it sent {command}", wanted=wanted)
        after = scene.look()
        judge_untouched(scene.evidence, self._fresh, after, self._fresh.keys, "a dry run")
        for at in sorted(after.keys.keys() - self._fresh.keys.keys()):
            wanted = "none: a dry run writes nothing"
            scene.evidence.found(shown_place(*at), found="a new key", wanted=wanted)

    def judge_first_run(self) -> None:
        """Judge that there is something to repeat: each rule has changed something."""
        scene = self._scene
        self._run = scene.run(at=self._now, loader=self._loader).run
        self._first = scene.look()
        self._changed = {
            at
            for at in self._fresh.keys.keys() & self._first.keys.keys()
            if lengthened_ms(self._fresh, self._first, at)
        }
        kept = [at for at in self._first.keys if self._family(at) in WRITTEN]
        scene.evidence.saw("changes", len(self._changed) + len(kept))
        for found, what in ((self._changed, "an answer that lives longer"), (kept, "a kept value")):
            if not found:
                wanted = f"{what}: each rule has cause to act"
                scene.evidence.found("the first run", found="none", wanted=wanted)

    def judge_second_run(self) -> None:
        """Judge that right afterwards nothing more is changed."""
        scene = self._scene
        scene.run(at=self._now + timedelta(seconds=1), loader=self._loader)
        second = scene.look()
        for at in sorted(self._first.keys.keys() | second.keys.keys()):
            scene.evidence.saw("keys")
            self._judge_key(at, second)

    def _judge_key(self, at: Place, second: Look) -> None:
        old, new, name = self._first.keys.get(at), second.keys.get(at), self._family(at)
        parsed = self._scene.contract.parse(*at)
        if parsed and parsed.family.bookkeeping and parsed.family.type != "list":
            return
        if old is None:
            self._found(at, "a new key", "nothing new")
        elif new is None:
            self._found(at, "no key any more", "the key as it was")
        elif name in {PATTERNS, PREDICTION}:
            if _figures(old, self._times(name)) != _figures(new, self._times(name)):
                self._found(at, "other figures", "those of the first run, but for its time")
        elif name != ANALYSIS:
            why = "a second run right after the first"
            judge_untouched(self._scene.evidence, self._first, second, [at], why)

    def judge_undo(self) -> None:
        """Judge that what was changed is as it would be without the run, twice asked too."""
        scene = self._scene
        rewritten = self._tenant.answer(*_REWRITTEN, ttl=5000, data={"written": "later"})
        (own,) = [self._tenant.place(ESSENTIALS, item=next(iter(scene.rule.essentials)))]
        scene.clients[own[0]].set(own[1], '{"written":"by the application"}', ex=1000)
        before = scene.look()
        for _ in range(2):
            answer_of("undo", scene.optimiser.undo, self._run)
            self._judge_undone(before, scene.look(), {rewritten, own})

    def _judge_undone(self, before: Look, after: Look, since: set[Place]) -> None:
        why = "the run that was undone did not write it"
        judge_untouched(self._scene.evidence, before, after, since, why)
        answers = {at for at in self._fresh.keys if self._family(at) == ANSWERS} - since
        why = "the run was undone"
        judge_untouched(self._scene.evidence, self._fresh, after, answers, why)
        for at in sorted(after.keys.keys() - self._fresh.keys.keys() - since):
            if self._family(at) in WRITTEN:
                self._found(at, "the value that the run kept", "no key: the run was undone")

    def _family(self, at: Place) -> str:
        parsed = self._scene.contract.parse(*at)
        return parsed.family.name if parsed else ""

    def _times(self, family: str) -> set[str]:
        fields = self._scene.contract.family(family).fields
        times = {name for name, field in fields.items() if field.format.name == "time"}
        # What was an opportunity may have been taken.
        return {*times, "optimization_opportunities"}

    def _found(self, at: Place, found: str, wanted: str) -> None:
        self._scene.evidence.found(shown_place(*at), found=found, wanted=wanted)


def _figures(content: Content, without: set[str]) -> Mapping[str, object]:
    pairs = cast("dict[bytes, bytes]", content.value).items()
    return {
        name.decode(): json.dumps(text.decode(errors="backslashreplace"))
        for name, text in pairs
        if name.decode() not in without
    }
