# SPDX-License-Identifier: Apache-2.0
"""Real values for items: the loader's, else copies of the tenant's own answers (E16)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import redis

from kryonix_cache.reference_impl.optimiser.errors import BookkeepingUnusableError
from kryonix_cache.reference_impl.optimiser.rules import remaining, seconds
from kryonix_cache.reference_impl.optimiser.sightings import Sightings
from kryonix_cache.reference_impl.optimiser.sights import look
from kryonix_cache.reference_impl.optimiser.values import MILLISECOND
from kryonix_cache.reference_impl.scan import reader
from kryonix_cache.reference_impl.tenant.families import ANSWERS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from kryonix_cache.reference_impl.optimiser.items import Item
    from kryonix_cache.reference_impl.optimiser.loading import TimedLoader
    from kryonix_cache.reference_impl.optimiser.sights import Sight, View
    from kryonix_cache.reference_impl.optimiser.turn import Done, Turn


@dataclass(frozen=True, slots=True)
class Offer:
    """A real value for an item: JSON, where it is from, and when it becomes too old."""

    item: Item
    value: bytes
    source: str
    end: datetime


class Offering:
    """Finds values for the items of one tenant."""

    def __init__(self, turn: Turn, loader: TimedLoader, database: int) -> None:
        """Take the number of the database that the items lie in, for problems to name."""
        self._turn = turn
        self._loader = loader
        self._database = database
        self._answers = turn.contract.family(ANSWERS).databases[0]

    def offers(self, needed: Sequence[Item], done: Done) -> list[Offer]:
        """Return values for those items that there are any for; note why there is none."""
        offers, missing = [], []
        for item in needed:
            # What a loader returns may be as old as the call.
            asked_at = self._turn.clock.now()
            loaded = self._loader.load(self._turn.tenant, item.name)
            if loaded.fault is not None:
                done.note(self._database, item.key, loaded.fault)
            if loaded.value is None:
                missing.append(item)
            else:
                offers.append(self._offer(item, loaded.value, "from the loader", asked_at))
        return [*offers, *self._copies(missing, done)]

    def _offer(self, item: Item, value: bytes, source: str, since: datetime) -> Offer:
        end = since + timedelta(seconds=self._turn.rule.oldest_value_s)
        return Offer(item, value, source, end)

    def _copies(self, missing: Sequence[Item], done: Done) -> Iterator[Offer]:
        view = self._look(missing, done) if missing else None
        if view is None:
            return
        for item in missing:
            sight = view.sights[item.answer]
            try:
                yield self._copy(item, sight, view)
            except ValueError as error:
                what = f"nothing is written: no loader gave it, and {sight.key.decode()} {error}"
                done.note(self._database, item.key, what)

    def _copy(self, item: Item, sight: Sight, view: View) -> Offer:
        turn, value = self._turn, sight.value
        if value is None:
            raise ValueError(f"cannot be copied: {sight.fault}" if sight.fault else "is not there")
        if value.is_foreign_to(turn.tenant):
            raise ValueError("names another tenant")
        try:
            data = value.data(turn.rule.largest_value_bytes)
        except ValueError as error:
            raise ValueError(f"cannot be copied: {error}") from None
        age_ms = sight.standing(view.now).age_ms
        if remaining(turn.rule, age_ms, None) <= 0:
            raise ValueError(f"is {seconds(age_ms)} s old already")
        source = f"copied from {sight.key.decode()}, {seconds(age_ms)} s old"
        return self._offer(item, data, source, view.now - age_ms * MILLISECOND)

    def _look(self, missing: Sequence[Item], done: Done) -> View | None:
        """Look at the live answers, and note when they were first seen."""
        turn, marks = self._turn, Sightings(self._turn.contract, self._turn.tenant)
        try:
            with reader(turn.clients[self._answers], untouched=True) as connection:
                view = look(connection, turn, list({item.answer: None for item in missing}))
                first = () if view.full else view.unmarked
                if noted := marks.note(turn.clock.at, (("seen", *it) for it in first)):
                    turn.commit(connection, noted)
        except (redis.ResponseError, BookkeepingUnusableError) as error:
            done.note(self._answers, marks.key, f"no answer can be copied: {error}")
            return None
        for sight in view.sights.values():
            if sight.value is not None and (fault := sight.value.fault_at(view.now)):
                done.note(self._answers, sight.key, fault)
        return view
