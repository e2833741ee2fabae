# SPDX-License-Identifier: Apache-2.0
"""
The state machine: any sequence of calls by several tenants, threads, tasks and time among them.

What a rule does is a step, and a step is data (`steps`): the machine draws and plays them, a lens
says what of it is judged, so that each requirement finds what is its own and nothing else.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from functools import partial
from itertools import permutations
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from hypothesis import seed
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from kryonix_cache.conformance.model.entries import projected
from kryonix_cache.conformance.model.operations import UNJUDGED, Call
from kryonix_cache.conformance.model.programs import NUMBERS, PAUSES, TENANT_NAMES
from kryonix_cache.conformance.model.scripts import scripts
from kryonix_cache.conformance.model.shortening import shortened
from kryonix_cache.conformance.model.snippet import RaiseShown, ReplyShown, TraceShown, ValueShown
from kryonix_cache.conformance.model.steps import AtOnce, Pause, Single
from kryonix_cache.conformance.model.traces import foreign_traces
from kryonix_cache.conformance.outcomes import RequirementNotMetError, SystemRaisedError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    from hypothesis import settings

    from kryonix_cache.conformance.model.entries import Entry
    from kryonix_cache.conformance.model.operations import Aspect, Operation
    from kryonix_cache.conformance.model.play import Play
    from kryonix_cache.conformance.model.snippet import Origin, Shown
    from kryonix_cache.conformance.model.stage import IsolationStage
    from kryonix_cache.conformance.model.steps import Step, Turn

T = TypeVar("T")

_CROWDS = [crowd for size in (2, 3, 4) for crowd in permutations(TENANT_NAMES, size)]
_MOST_AT_ONCE = 8
_ATTEMPTS = 5
"""How often steps are played that may show a breach one time and not another."""
_ASYNC = "async_tenant_store"
_LOOKS = {"read", "list"}
_PLACES = 6
"""How many places of entries calls are drawn for: each is met where there are 2 or 3."""
_MOST_DRAWN = 2**24 - 1
"""Numbers up to this are drawn evenly by Hypothesis, of larger ones more often the small."""
_REMEMBERED = (
    "the system runs in another process, so what it remembers of earlier steps may be part of it"
)


@dataclass(frozen=True, slots=True)
class Lens:
    """What one requirement looks at.

    `replies` are the aspects whose replies are judged; operations of other aspects are drawn
    only where they `matter`. `values` and `presence` look at the server behind the system.
    """

    replies: frozenset[Aspect] = frozenset()
    matter: frozenset[Aspect] = frozenset({"write", "delete"})
    values: bool = False
    presence: bool = False

    def draws(self, operation: Operation) -> bool:
        """Say whether the machine makes such calls."""
        return operation.aspect in self.replies | self.matter


READ = Lens(replies=frozenset({"read"}))
LIST = Lens(replies=frozenset({"list"}))
WRITE = Lens(values=True)
DELETE = Lens(replies=frozenset({"delete"}), presence=True)
WHOLE = Lens(replies=frozenset({"read", "list", "write", "delete"}), values=True, presence=True)
"""For an area of which one requirement speaks as a whole."""


class Referee:
    """Plays the steps of one example after another and judges them through a lens.

    After a breach it plays no more: what Hypothesis still draws is let go. A breach that comes
    and goes, as one between threads may, would otherwise be an inconsistency of the machine.
    """

    def __init__(self, stage: IsolationStage, lens: Lens, origin: Origin) -> None:
        self._stage = stage
        self._lens = lens
        self._origin = origin
        self._play: Play
        self._error: BaseException | None = None
        self.operations = tuple(each for each in stage.operations if lens.draws(each))

    def begin(self) -> None:
        """Start an example on an empty stage."""
        if self._error is None:
            self._remembering(self._begin)

    def take(self, *steps: Step) -> None:
        """Play steps unless there was a breach."""
        for step in steps:
            if self._error is None:
                self._remembering(partial(self._take, step))

    def end(self) -> None:
        """Look at everything once more, where after the steps only a part was looked at."""
        if self._error is None:
            self._remembering(self._end)

    def age(self, seconds: int, write: Call) -> None:
        """Let time pass; where nobody holds anything, for what is written first."""
        if self._error is None and not any(self._play.models.values()):
            self.take(Single(write))
        self.take(Pause(seconds))

    def settle(self) -> None:
        """Raise what went wrong; for a breach, with the findings of the shortest steps."""
        __tracebackhide__ = True
        if self._error is None:
            return
        if not isinstance(self._error, RequirementNotMetError):
            raise self._error
        shortest = shortened(self._play.steps, self._shows)
        try:
            for _ in range(_ATTEMPTS):
                self._replay(shortest)
        except RequirementNotMetError as error:
            if self._stage.forgets:
                raise
            raise RequirementNotMetError(f"{error.reason}; {_REMEMBERED}") from None
        raise RequirementNotMetError(
            f"{self._error.reason}; it did not show each time that the same steps were played"
        )

    def _remembering(self, do: Callable[[], None]) -> None:
        try:
            do()
        except Exception as error:  # noqa: BLE001 (it is raised when the machine has ended)
            self._error = error

    def _shows(self, steps: Sequence[Step]) -> bool:
        attempts = _ATTEMPTS if any(isinstance(step, AtOnce) for step in steps) else 1
        for _ in range(attempts):
            try:
                self._replay(steps)
            except RequirementNotMetError:
                return True
        return False

    def _replay(self, steps: Sequence[Step]) -> None:
        self._begin()
        for step in steps:
            self._take(step)
        self._end()

    def _begin(self) -> None:
        self._play = self._stage.begin()

    def _take(self, step: Step) -> None:
        """Play a step; raise RequirementNotMetError, with findings, for what must not be."""
        evidence = self._stage.evidence
        evidence.saw("steps", len(step.calls) or 1)
        try:
            turns = self._play.take(step)
        except SystemRaisedError:
            evidence.snippet = self._origin.snippet(self._play.steps, RaiseShown())
            raise
        for turn in turns:
            self._count(turn.call)
            if turn.call.operation.aspect in self._lens.replies:
                self._judge_reply(turn)
        self._judge_server(self._stage.homes_of(step))
        evidence.settle()

    def _end(self) -> None:
        self._judge_server(None)
        self._stage.evidence.settle()

    def _judge_reply(self, turn: Turn) -> None:
        if turn.wanted is UNJUDGED:
            return
        if self._differs(str(turn.call), turn.found, turn.wanted):
            self._show(ReplyShown(turn.call, turn.wanted))
            return
        prefix, tenant = self._stage.run_prefix, turn.call.tenant
        traces = foreign_traces(turn.reply, tenant, prefix)
        if self._differs(f"{turn.call}, what it tells of others", traces, []):
            self._show(TraceShown(turn.call))

    def _judge_server(self, homes: Collection[int] | None) -> None:
        """Judge what lies in these databases; in all of them for None."""
        if not (self._lens.values or self._lens.presence):
            return
        for (name, entry), found in self._stage.held(homes).items():
            wanted = self._play.models[name].get(entry)
            if self._lens.values and wanted is not None:
                self._judge_value(name, entry, found, wanted.value)
            if self._lens.presence and self._differs(
                f"there is {name}'s {entry}", found is not None, wanted is not None
            ):
                self._show(ValueShown(name, entry, wanted is not None, "presence"))

    def _judge_value(self, name: str, entry: Entry, found: object, value: object) -> None:
        value = list(value) if isinstance(value, list) else value
        where = f"the key of {name}'s {entry}"
        if self._differs(where, projected(found, value), value):
            self._show(ValueShown(name, entry, value))
            return
        traces = foreign_traces(found, name, self._stage.run_prefix)
        if self._differs(f"{where}, what it tells of others", traces, []):
            self._show(ValueShown(name, entry, [], "traces"))

    def _differs(self, what: str, found: object, wanted: object) -> bool:
        return self._stage.compare(what, found, wanted, self._play.steps)

    def _show(self, shown: Shown) -> None:
        evidence = self._stage.evidence
        evidence.snippet = evidence.snippet or self._origin.snippet(self._play.steps, shown)

    def _count(self, call: Call) -> None:
        """Count a call that would show another tenant's entry if the two were not kept apart."""
        evidence, models = self._stage.evidence, self._play.models
        others = [models[name] for name in TENANT_NAMES if name != call.tenant]
        entry = call.entry
        evidence.saw(
            "foreign_attempts", any(other if entry is None else entry in other for other in others)
        )
        if entry is not None and call.operation.aspect == "write":
            kind = {"queue": "jobs", "connection": "connections"}.get(entry.kind, "values")
            evidence.saw(kind)


def calls(
    operations: Sequence[Operation], tenants: Sequence[str] = TENANT_NAMES
) -> st.SearchStrategy[Call]:
    """Draw calls of these operations by any of the tenants."""
    # One number for all of a call: each that Hypothesis draws costs as much as a call.
    many = len(tenants) * len(operations) * _PLACES * (NUMBERS + 1)

    def call(drawn: int) -> Call:
        drawn, number = divmod(drawn, NUMBERS + 1)
        drawn, index = divmod(drawn, _PLACES)
        tenant, operation = divmod(drawn, len(operations))
        return Call(tenants[tenant], operations[operation], index, number)

    return st.integers(0, many - 1).map(call)


def play_machine(stage: IsolationStage, lens: Lens, origin: Origin, how_much: settings) -> None:
    """Play the scripts and random sequences of steps on the stage; judge them through the lens.

    Raises RequirementNotMetError with the findings of the shortest sequence that shows a breach.
    """
    __tracebackhide__ = True
    referee = Referee(stage, lens, origin)
    for script in scripts(referee.operations):
        referee.begin()
        referee.take(*script)
        referee.end()
    run_state_machine_as_test(seed(origin.seed)(_machine(referee)), settings=how_much)
    referee.settle()


def _machine(referee: Referee) -> type[RuleBasedStateMachine]:
    in_threads = _of(referee, but={_ASYNC})
    in_tasks = _of(referee, only={_ASYNC})

    class Tenants(RuleBasedStateMachine):
        def __init__(self) -> None:
            super().__init__()
            referee.begin()

        @rule(call=calls(referee.operations))
        def one_call(self, call: Call) -> None:
            referee.take(Single(call))

        @rule(call=calls(referee.operations), tenants=st.sampled_from(_CROWDS))
        def the_same_by_several(self, call: Call, tenants: tuple[str, ...]) -> None:
            for tenant in tenants:
                referee.take(Single(Call(tenant, call.operation, call.index, call.number)))

        @_where(in_threads)
        @rule(batch=_batches(in_threads))
        def at_once_by_threads(self, batch: list[Call]) -> None:
            referee.take(AtOnce(tuple(batch), "threads"))

        @_where(in_tasks)
        @rule(batch=_batches(in_tasks))
        def at_once_by_tasks(self, batch: list[Call]) -> None:
            referee.take(AtOnce(tuple(batch), "tasks"))

        @rule(scene=_scenes(referee.operations))
        def about_one_entry(self, scene: Scene) -> None:
            referee.take(*scene.steps())

        @rule(call=calls(_writes(referee.operations)), seconds=st.sampled_from(PAUSES))
        def time_passes(self, call: Call, seconds: int) -> None:
            referee.age(seconds, call)

        def teardown(self) -> None:
            referee.end()

    return Tenants


@dataclass(frozen=True, slots=True)
class Scene:
    """Calls of two tenants that are all about one entry, then time, then a look at it by both.

    Random calls seldom meet in one place in the order that matters; these do.
    """

    calls: tuple[Call, ...]
    by: Literal["turns", "threads", "tasks"]
    seconds: int
    looks: tuple[Call, ...]

    def steps(self) -> Iterator[Step]:
        """Yield the steps."""
        yield from self._played(self.calls)
        if self.seconds:
            yield Pause(self.seconds)
        yield from self._played(self.looks)

    def _played(self, calls: Sequence[Call]) -> Iterator[Step]:
        if self.by == "turns":
            yield from map(Single, calls)
            return
        fit = [c for c in calls if (c.operation.capability == _ASYNC) == (self.by == "tasks")]
        if fit:
            yield AtOnce(tuple(fit), self.by)


def _scenes(operations: Sequence[Operation]) -> st.SearchStrategy[Scene]:
    return _by_chance(lambda chance: _scene(operations, chance))


def _by_chance(make: Callable[[random.Random], T]) -> st.SearchStrategy[T]:
    """Draw one number, and whatever is made of it: Hypothesis need not make it smaller."""
    return st.integers(0, _MOST_DRAWN).map(lambda drawn: make(random.Random(drawn)))  # noqa: S311 (repeatable, no secret)


def _call(chance: random.Random, operations: Sequence[Operation], names: Sequence[str]) -> Call:
    return Call(
        chance.choice(names),
        chance.choice(operations),
        chance.randrange(_PLACES),
        chance.randint(0, NUMBERS),
    )


def _scene(operations: Sequence[Operation], chance: random.Random) -> Scene:
    kinds = list(dict.fromkeys(each.entries[0].kind for each in operations if each.entries))
    kind = chance.choice(kinds)
    about = [each for each in operations if each.entries and each.entries[0].kind == kind]
    tenants = chance.sample(TENANT_NAMES, 2)
    writes = _writes(about)
    drawn = [_call(chance, writes, [name]) for name in tenants]
    drawn += [_call(chance, writes * 2 + about, tenants) for _ in range(chance.randint(0, 4))]
    index = chance.randrange(_PLACES)
    return Scene(
        calls=tuple(replace(call, index=index) for call in drawn),
        by=chance.choice(("turns", "turns", "threads", "tasks")),
        seconds=chance.choice((0, *PAUSES[:-1])),
        looks=tuple(
            Call(name, each, index) for each in about for name in tenants if each.aspect in _LOOKS
        ),
    )


def _writes(operations: Sequence[Operation]) -> list[Operation]:
    return [each for each in operations if each.aspect == "write"]


def _of(
    referee: Referee, *, but: Collection[str] = (), only: Collection[str] = ()
) -> tuple[Operation, ...]:
    return tuple(
        each
        for each in referee.operations
        if each.capability not in but and (not only or each.capability in only)
    )


def _where(operations: Sequence[Operation]) -> Callable[[Any], Any]:
    """Leave a rule out where there are no such operations."""
    return precondition(lambda _: bool(operations))


def _batches(operations: Sequence[Operation]) -> st.SearchStrategy[list[Call]]:
    if not operations:
        return st.nothing()
    return _by_chance(
        lambda chance: [
            _call(chance, operations, TENANT_NAMES) for _ in range(chance.randint(2, _MOST_AT_ONCE))
        ]
    )
