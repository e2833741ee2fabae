# SPDX-License-Identifier: Apache-2.0
"""The rules on answers that are there: each extended once for each written value (E14)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kryonix_cache.reference_impl.optimiser.report import Change
from kryonix_cache.reference_impl.optimiser.rules import FOR_EVER, GONE, extension, is_short
from kryonix_cache.reference_impl.optimiser.sightings import Sightings
from kryonix_cache.reference_impl.optimiser.sights import look
from kryonix_cache.reference_impl.optimiser.trail import Entry, Trail
from kryonix_cache.reference_impl.optimiser.turn import Done, settle
from kryonix_cache.reference_impl.optimiser.values import MILLISECOND
from kryonix_cache.reference_impl.scan import reader
from kryonix_cache.reference_impl.tenant.families import ANSWERS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from kryonix_cache.reference_impl.connection import Command, GuardedConnection
    from kryonix_cache.reference_impl.optimiser.facts import TenantFacts
    from kryonix_cache.reference_impl.optimiser.report import Rule
    from kryonix_cache.reference_impl.optimiser.rules import Lifetime
    from kryonix_cache.reference_impl.optimiser.sights import Sight, View
    from kryonix_cache.reference_impl.optimiser.turn import Turn
    from kryonix_cache.reference_impl.optimiser.values import CachedValue

TOO_MANY_MARKS = "it holds too many marks, so no answer of this tenant was extended"
_NEWEST = 100
FOREIGN = "it names another tenant, and was left alone"


@dataclass(frozen=True, slots=True)
class Wanted:
    """An answer that a rule would extend."""

    rule: Rule
    key: bytes
    why: str


@dataclass(frozen=True, slots=True)
class _Extended:
    entry: Entry
    value: CachedValue

    @property
    def command(self) -> Command:
        moment = b"%d" % self.entry.server_expiry_ms
        return (b"PEXPIREAT", self.entry.change.key, moment)


def wanted_by(turn: Turn, facts: TenantFacts, fires: Mapping[Rule, str]) -> list[Wanted]:
    """Return the answers that the rules look at; one that two rules want belongs to the first."""
    wanted: dict[bytes, Wanted] = {}
    for rule, why in fires.items():
        for key in _keys(turn, facts, rule):
            wanted.setdefault(key, Wanted(rule, key, why))
    return list(wanted.values())


def _keys(turn: Turn, facts: TenantFacts, rule: Rule) -> Iterator[bytes]:
    if rule == "ttl":
        yield from (each.key for each in facts.hottest[: turn.rule.hottest_keys])
    elif rule == "api":
        for hot in turn.rule.hot:
            yield turn.contract.key(
                ANSWERS, tenant=turn.tenant, module=hot.module, endpoint=hot.endpoint
            )


def _within(wanted: Sequence[Wanted], places: int) -> list[Wanted]:
    """Return what the TTL rule has places for, the hottest first, and all that others want."""
    short = [each for each in wanted if each.rule == "ttl"][: max(places, 0)]
    return [each for each in wanted if each.rule != "ttl"] + short


class Extending:
    """Extends answers of one tenant."""

    def __init__(self, turn: Turn) -> None:
        self._turn = turn
        family = turn.contract.family(ANSWERS)
        self._database = family.databases[0]
        self._most_s = family.ttl.max_seconds
        self._trail = Trail(turn.contract, turn.tenant, self._database)
        self._marks = Sightings(turn.contract, turn.tenant)

    def extend(self, wanted: Sequence[Wanted]) -> Done:
        """Extend what may be extended; changes, marks and trail in one transaction."""
        if not wanted:
            return Done()
        return settle(self._attempt, wanted, lambda each: (self._database, each.key))

    def _attempt(self, wanted: Sequence[Wanted]) -> Done | None:
        turn = self._turn
        with reader(turn.clients[self._database], untouched=True) as connection:
            keys = [each.key for each in wanted]
            view = look(connection, turn, keys, trail=self._trail.key)
            done = Done()
            if view.full:
                done.note(self._database, self._marks.key, TOO_MANY_MARKS)
                return done if turn.commit(connection, ()) else None
            places = turn.rule.hottest_keys - len(self._grown(connection, wanted, view))
            extended = list(self._plan(_within(wanted, places), view, done))
            commands = self._commands(view, extended)
            return done if turn.commit(connection, commands) else None

    def _grown(
        self, connection: GuardedConnection, wanted: Sequence[Wanted], view: View
    ) -> set[bytes]:
        """Return extended answers that are among the hottest, and live no longer shortly.

        Each keeps its place: a second run right after the first would extend the next ones.
        """
        short = {each.key for each in wanted if each.rule == "ttl"}
        if not short:
            return set()
        (newest,) = self._turn.accepted(connection.exchange([self._trail.newest(_NEWEST)]))
        entries = self._trail.entries(newest)
        grown = list({it.change.key for _, it in entries if self._may_live_on(it, view)} - short)
        replies = connection.exchange([(b"PTTL", key) for key in grown]) if grown else []
        return {
            key
            for key, ttl in zip(grown, replies, strict=True)
            if isinstance(ttl, int) and not is_short(self._turn.rule, ttl)
        }

    def _may_live_on(self, entry: Entry, view: View) -> bool:
        left = (entry.change.expires_after - view.now) // MILLISECOND
        return entry.undone_at is None and not is_short(self._turn.rule, left)

    def _commands(self, view: View, extended: Sequence[_Extended]) -> list[Command]:
        # The trail first: should one of them fail all the same, something is recorded that was
        # not done, and never the reverse.
        marks = [("extended", it.entry.change.key, it.value) for it in extended]
        first = [("seen", key, value) for key, value in view.unmarked]
        return [
            *self._trail.append(it.entry for it in extended),
            *self._marks.note(self._turn.clock.at, [*first, *marks]),  # type: ignore[list-item] # marks are literals
            *(it.command for it in extended),
        ]

    def _plan(self, wanted: Sequence[Wanted], view: View, done: Done) -> Iterator[_Extended]:
        for each in wanted:
            sight = view.sights[each.key]
            fault = self._fault(sight, view)
            if fault:
                done.note(self._database, sight.key, fault)
            value = sight.value
            if value is None or value.is_foreign_to(self._turn.tenant):
                continue
            standing = sight.standing(view.now)
            lifetime = extension(
                self._turn.rule, each.rule, standing, most_s=self._most_s, why=each.why
            )
            if lifetime is not None:
                entry = self._entry(each, sight, value, view, lifetime)
                done.changes.append(entry.change)
                yield _Extended(entry, value)

    def _fault(self, sight: Sight, view: View) -> str | None:
        if sight.value is None:
            return sight.fault
        if sight.value.is_foreign_to(self._turn.tenant):
            return FOREIGN
        if sight.ttl_ms in {GONE, FOR_EVER}:
            return None
        return sight.value.fault_at(view.now)

    def _entry(
        self, wanted: Wanted, sight: Sight, value: CachedValue, view: View, lifetime: Lifetime
    ) -> Entry:
        change = Change(
            rule=wanted.rule,
            action="extended",
            database=self._database,
            key=sight.key,
            expires_before=view.now + sight.ttl_ms * MILLISECOND,
            expires_after=view.now + lifetime.ttl_ms * MILLISECOND,
            reason=lifetime.reason,
        )
        turn = self._turn
        server_expiry_ms = view.server_ms + lifetime.ttl_ms
        return Entry(turn.run, turn.tenant, turn.clock.at, change, value.digest, server_expiry_ms)
