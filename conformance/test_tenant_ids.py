# SPDX-License-Identifier: Apache-2.0
"""Hostile ids and names: refused before anything is sent, or kept apart."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pytest
from hypothesis import given

from kryonix_cache.conformance.model.hostility import Watch
from kryonix_cache.conformance.model.operations import UNJUDGED, Call, Publish
from kryonix_cache.conformance.model.programs import extent
from kryonix_cache.conformance.model.stages import EXPIRING, LASTING
from kryonix_cache.fixtures.strategies import (
    HOSTILE_PARTS,
    VICTIM,
    HostileId,
    hostile_ids,
    known_hostile_ids,
    neighbours,
    no_texts,
    too_long,
    words_as_ids,
)
from kryonix_cache.reports.lines import EVIDENCE_LIMIT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from kryonix_cache.conformance.datasets import Place
    from kryonix_cache.conformance.evidence import Evidence
    from kryonix_cache.conformance.model.operations import Operation
    from kryonix_cache.conformance.model.stage import IsolationStage
    from kryonix_cache.conformance.model.stages import Stages

WANTED = "a refusal, by an error and before any command is sent"
_MOST_HANGS = 2
"""After so many the rest is not tried, nor when the record holds no more findings: each costs
seconds."""
_SHOWN_KEYS = 2
_ANYBODY = "a"
_LONGEST = 120
CHANNEL = "channel"
"""How the contract calls the part that names a channel."""


@pytest.mark.requirement("isolation.hostile-ids")
def test_hostile_names_are_refused_and_ids_that_begin_alike_stay_apart(
    stages: Stages, evidence: Evidence
) -> None:
    """No id or name reaches what belongs to another tenant, whatever it is made of."""
    with stages.on_bench(*EXPIRING, *LASTING, "broadcasts") as stage:
        offers = _Offers(stage, evidence)

        @extent(stages.depth, examples=30)
        @given(hostile_ids(stage.contract))
        def hold(hostile: HostileId) -> None:
            offers.offer(hostile)

        try:
            for each in (*known_hostile_ids(stage.contract), *no_texts()):
                offers.offer(each)
            hold()
            offers.offer_parts()
            for tenant in (*neighbours(stage.contract), *words_as_ids(stage.contract)):
                offers.keep_apart(tenant)
        finally:
            offers.clear()
    evidence.settle()


class _Offers:
    """Offers names to the system, beside a victim that has something of everything."""

    def __init__(self, stage: IsolationStage, evidence: Evidence) -> None:
        self._stage = stage
        self._evidence = evidence
        self._watch = Watch(stage.raw, stage.contract)
        self._empty = self._watch.state()
        self._hangs = 0
        victim = stage.open_as(VICTIM)
        for call in _writes(stage.operations):
            victim.ask(call)
        self._before: Mapping[Place, str] = self._watch.state()

    def offer(self, hostile: HostileId) -> None:
        """Open every capability with the id and use it, for a system may check it late."""
        play = self._stage.open_as(hostile.text)
        self._evidence.saw("ids")
        self._judge_all(
            play.ask,
            {
                f"{capability}.open({hostile})": next(
                    _writes([o for o in self._stage.operations if o.capability == capability])
                )
                for capability in self._stage.capabilities
            },
        )

    def offer_parts(self) -> None:
        """Give every operation each hostile name in the place of each of its own."""
        play = self._stage.open_as(VICTIM)
        for operation in self._stage.operations:
            call = _call_with_names(operation)
            names = [name for name, _ in call.entry.parts] if call.entry else []
            for position, name in enumerate([CHANNEL] if isinstance(operation, Publish) else names):
                longer = too_long(self._stage.contract.parts[name])
                offered = [
                    Call(_ANYBODY, operation, call.index, instead=(position, part))
                    for part in (*HOSTILE_PARTS, *([longer] if longer else []))
                ]
                self._evidence.saw("names", len(offered))
                self._judge_all(play.ask, {_shortened(str(each)): each for each in offered})

    def keep_apart(self, tenant: str) -> None:
        """See that a valid id reads nothing of the victim's and writes its own keys only."""
        play = self._stage.open_as(tenant)
        for operation in self._stage.operations:
            call = Call(_ANYBODY, operation)
            if operation.aspect in {"read", "list"}:
                wanted = operation.effect(call, {})
                found = operation.shown(play.ask(call), wanted)
                self._evidence.saw("foreign_attempts")
                if wanted is not UNJUDGED and found != wanted:
                    where = f"{operation.capability}.open({tenant!r}), {call}, beside {VICTIM!r}"
                    self._evidence.found(where, found=found, wanted=wanted)
        for call in _writes(self._stage.operations):
            play.ask(call)
        written = self._written()
        for database, key in written:
            parsed = self._stage.contract.parse(database, key)
            if parsed is None or parsed.tenant != tenant:
                where = f"the tenant of the key {key!a} that {tenant!r} wrote"
                found = None if parsed is None else parsed.tenant
                self._evidence.found(where, found=found, wanted=tenant)
        if self._before.keys() & set(written):
            self._undo()
        else:
            self._watch.remove(written)

    def clear(self) -> None:
        """Remove all that was written."""
        self._watch.remove(self._watch.state().keys() - self._empty.keys())

    def _judge_all(self, ask: Callable[[Call], object], calls: Mapping[str, Call]) -> None:
        attempts = {where: partial(ask, call) for where, call in calls.items()}
        enough = self._hangs >= _MOST_HANGS or self._evidence.total >= EVIDENCE_LIMIT
        if not enough and not self._watch.refuses_all(list(attempts.values())):
            self._undo()
            for where, attempt in attempts.items():
                self._judge(where, attempt)

    def _judge(self, where: str, attempt: Callable[[], object]) -> None:
        if self._hangs >= _MOST_HANGS:
            return
        reaction = self._watch.reaction(attempt)
        self._hangs += reaction.hung
        if reaction.is_refusal:
            return
        keys = [key.decode(errors="backslashreplace") for _, key in self._written()]
        wrote = f", and wrote {', '.join(map(ascii, keys[:_SHOWN_KEYS]))}" if keys else ""
        self._evidence.found(where, found=f"{reaction}{wrote}", wanted=WANTED)
        self._undo()

    def _written(self) -> list[Place]:
        """Return the keys that are there now and were not, or not so."""
        now = self._watch.state()
        return sorted(
            place
            for place in now.keys() | self._before.keys()
            if now.get(place) != self._before.get(place)
        )

    def _undo(self) -> None:
        """Put the victim's things back as they were."""
        written = self._written()
        if not written:
            return
        self._watch.remove(written)
        victim = self._stage.open_as(VICTIM)
        self._watch.remove(self._before.keys() - self._empty.keys())
        for call in _writes(self._stage.operations):
            victim.ask(call)
        self._before = self._watch.state()


def _writes(operations: Sequence[Operation]) -> Iterator[Call]:
    """Yield the calls that write each entry once; for broadcasts the one that there is."""
    for operation in operations:
        if isinstance(operation, Publish):
            yield Call(_ANYBODY, operation)
        elif operation.aspect == "write":
            for index in range(len(operation.entries)):
                yield Call(_ANYBODY, operation, index)


def _call_with_names(operation: Operation) -> Call:
    """Return a call about an entry with names, where the operation has any such entry."""
    for index, entry in enumerate(operation.entries):
        if entry.parts:
            return Call(_ANYBODY, operation, index)
    return Call(_ANYBODY, operation)


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}... ({len(text)} characters)"
