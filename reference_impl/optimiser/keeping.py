# SPDX-License-Identifier: Apache-2.0
"""The rules that keep items ready: real values with an end, beside their trail (E16)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, cast

import redis

from kryonix_cache.reference_impl.connection import bulk
from kryonix_cache.reference_impl.optimiser import rules
from kryonix_cache.reference_impl.optimiser.items import Items
from kryonix_cache.reference_impl.optimiser.offering import Offering
from kryonix_cache.reference_impl.optimiser.report import Change
from kryonix_cache.reference_impl.optimiser.sights import check_type, milliseconds
from kryonix_cache.reference_impl.optimiser.trail import Entry, Trail, written
from kryonix_cache.reference_impl.optimiser.turn import Done, settle
from kryonix_cache.reference_impl.optimiser.values import MILLISECOND, digest_of
from kryonix_cache.reference_impl.tenant.families import ANSWERS, PRELOADED

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from kryonix_cache.reference_impl.bulk import Reply
    from kryonix_cache.reference_impl.connection import Command, GuardedConnection
    from kryonix_cache.reference_impl.optimiser.analysis import Analysis
    from kryonix_cache.reference_impl.optimiser.items import Item
    from kryonix_cache.reference_impl.optimiser.loading import TimedLoader
    from kryonix_cache.reference_impl.optimiser.offering import Offer
    from kryonix_cache.reference_impl.optimiser.report import Rule
    from kryonix_cache.reference_impl.optimiser.turn import Turn

_CACHED_FOR = "preload"


@dataclass(frozen=True, slots=True)
class _Moment:
    """What stood under the keys at one moment of the run's clock and of the server's."""

    now: datetime
    server_ms: int
    present_ms: Mapping[bytes, int]


@dataclass(frozen=True, slots=True)
class _Write:
    entry: Entry
    value: bytes

    @property
    def command(self) -> Command:
        moment = b"%d" % self.entry.server_expiry_ms
        return (b"SET", self.entry.change.key, self.value, b"PXAT", moment)


class Keeping:
    """Keeps items of one tenant ready."""

    def __init__(self, turn: Turn, loader: TimedLoader) -> None:
        self._turn = turn
        self._answers = turn.contract.family(ANSWERS).databases[0]
        self._database = turn.contract.family(PRELOADED).databases[0]
        self._offering = Offering(turn, loader, self._database)
        self._trail = Trail(turn.contract, turn.tenant, self._database)

    def keep(self, analysis: Analysis, fires: Mapping[Rule, str]) -> Done:
        """Write what is missing or ends soon; values, expiry and trail in one transaction."""
        items = Items(self._turn)
        wanted = [*items.essentials(fires["mobile"])] if "mobile" in fires else []
        if "preload" in fires:
            wanted += items.predicted(analysis)
        done = Done(problems=items.problems)
        if not wanted:
            return done
        needed = self._needed(wanted, done)
        essentials = [item for item in needed if item.rule == "mobile"]
        predicted = [item for item in needed if item.rule == "preload"]
        # No connection is held and no key watched while the loader works.
        offers = self._offering.offers(essentials, done)
        offers += self._within_budget(predicted, done)
        if offers:
            done.add(settle(self._attempt, offers, lambda it: (self._database, it.item.key)))
        return done

    def _within_budget(self, predicted: Sequence[Item], done: Done) -> list[Offer]:
        """Return values of the likeliest items, as many as may be preloaded still.

        An item that nobody has a value of takes no other one's place.
        """
        offers: list[Offer] = []
        places, first = self._places() if predicted else 0, 0
        while len(offers) < places and first < len(predicted):
            last = first + places - len(offers)
            offers += self._offering.offers(predicted[first:last], done)
            first = last
        return offers

    def _places(self) -> int:
        """Return how many items may be preloaded: those of an interval, less what has been.

        By half an interval, for no two runs are exactly one apart. A run right after another has
        no budget of its own, so that it changes nothing more.
        """
        turn, budget = self._turn, self._turn.rule.preload_items
        window = timedelta(seconds=turn.rule.interval_s / 2)
        # Each preloaded answer is two changes; the trail's newest are its last.
        newest = 2 * budget + len(turn.rule.essentials)
        with bulk(turn.clients[self._database]) as connection:
            (raws,) = connection.exchange([self._trail.newest(newest)])
        recent: set[bytes] = set()
        for _, entry in self._trail.entries(raws):
            if entry.undone_at is not None:
                continue
            if abs(turn.clock.at - entry.at) >= window:
                break
            if self._is_preload(entry.change.key):
                recent.add(entry.change.key)
        return max(budget - len(recent), 0)

    def _is_preload(self, key: bytes) -> bool:
        parsed = self._turn.contract.parse(self._database, key)
        return parsed is not None and parsed.family.name == PRELOADED

    def _needed(self, wanted: Sequence[Item], done: Done) -> list[Item]:
        """Return the items that do not live long enough already."""
        kept = self._lives(self._database, [item.key for item in wanted])
        live = self._lives(self._answers, [item.answer for item in wanted])
        needed = []
        for item, kept_ms, live_ms in zip(wanted, kept, live, strict=True):
            if not isinstance(kept_ms, int):
                done.note(self._database, item.key, f"it cannot be read ({kept_ms!s})")
            elif not self._is_ready(item, kept_ms, live_ms):
                needed.append(item)
        return needed

    def _is_ready(self, item: Item, kept_ms: int, live_ms: Reply) -> bool:
        if item.rule != "preload":
            return rules.is_fresh(self._turn.rule, kept_ms)
        warm = isinstance(live_ms, int) and rules.is_warm(item.lifetime_s, live_ms)
        return warm or not rules.is_due(self._turn.rule, kept_ms)

    def _lives(self, database: int, keys: Sequence[bytes]) -> Sequence[Reply]:
        with bulk(self._turn.clients[database]) as connection:
            return connection.exchange([(b"PTTL", key) for key in keys])

    def _attempt(self, offers: Sequence[Offer]) -> Done | None:
        keys = [key for offer in offers for key in _keys(offer.item)]
        done = Done()
        with bulk(self._turn.clients[self._database]) as connection:
            moment = self._look(connection, keys, done)
            writes = [it for offer in offers for it in self._writes(offer, moment, done)]
            done.changes += [write.entry.change for write in writes]
            commands = [
                *self._trail.append(write.entry for write in writes),
                *(write.command for write in writes),
            ]
            return done if self._turn.commit(connection, commands) else None

    def _look(self, connection: GuardedConnection, keys: Sequence[bytes], done: Done) -> _Moment:
        turn, trail = self._turn, self._trail.key
        before = [*turn.watch(*keys, trail), (b"TIME",), (b"TYPE", trail)]
        asked = [command for key in keys for command in ((b"TYPE", key), (b"PTTL", key))]
        replies = connection.exchange([*before, *asked])
        now = turn.clock.now()
        server, kind = turn.accepted(replies[: len(before)])[-2:]
        check_type(trail, kind, b"list")
        present = {}
        found = replies[len(before) :]
        for key, kind, ttl in zip(keys, found[::2], found[1::2], strict=True):
            fault = _fault(kind, ttl)
            if fault is None:
                present[key] = cast("int", ttl)
            else:
                done.note(self._database, key, fault)
        return _Moment(now, milliseconds(server), present)

    def _writes(self, offer: Offer, moment: _Moment, done: Done) -> Iterator[_Write]:
        item = offer.item
        ttl_ms = min(item.lifetime_s * rules.SECOND, (offer.end - moment.now) // MILLISECOND)
        if ttl_ms < rules.LEAST_GAIN:
            done.note(self._database, item.key, f"nothing is written: too old, {offer.source}")
            return
        if not self._gains(item.key, ttl_ms, moment):
            return
        yield self._write(offer, item.key, offer.value, ttl_ms, moment)
        if item.warming is not None and self._gains(item.warming, ttl_ms, moment):
            value = self._warming(offer)
            yield self._write(offer, item.warming, value, ttl_ms, moment)

    def _gains(self, key: bytes, ttl_ms: int, moment: _Moment) -> bool:
        return key in moment.present_ms and rules.gains(moment.present_ms[key], ttl_ms)

    def _warming(self, offer: Offer) -> bytes:
        turn = self._turn
        record = {
            "tenant_id": turn.tenant,
            "warmed_at": written(turn.clock.at),
            "cached_for": _CACHED_FOR,
            "data": json.loads(offer.value),
        }
        return json.dumps(record).encode()

    def _write(
        self, offer: Offer, key: bytes, value: bytes, ttl_ms: int, moment: _Moment
    ) -> _Write:
        turn, present_ms = self._turn, moment.present_ms[key]
        change = Change(
            rule=offer.item.rule,
            action="written",
            database=self._database,
            key=key,
            expires_before=moment.now + present_ms * MILLISECOND if present_ms > 0 else None,
            expires_after=moment.now + ttl_ms * MILLISECOND,
            reason=f"{offer.item.why}: kept for {rules.seconds(ttl_ms)} s, {offer.source}",
        )
        ends = moment.server_ms + ttl_ms
        return _Write(
            Entry(turn.run, turn.tenant, turn.clock.at, change, digest_of(value), ends), value
        )


def _keys(item: Item) -> tuple[bytes, ...]:
    return (item.key,) if item.warming is None else (item.key, item.warming)


def _fault(kind: Reply, ttl: Reply) -> str | None:
    for reply in (kind, ttl):
        if isinstance(reply, redis.ResponseError):
            return f"it cannot be read ({reply})"
    if kind not in {b"none", b"string"}:
        return f"it is a {cast('bytes', kind).decode()}, and was left alone"
    return None
