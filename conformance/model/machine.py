# SPDX-License-Identifier: Apache-2.0
"""
The state machine: any sequence of calls by several tenants, threads, tasks and time among them.

What a rule does is a step, and a step is data (`steps`): the machine draws and plays them, a lens
says what of it is judged, so that each requirement finds what is its own and nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from kryonix_cache.conformance.model.entries import projected
from kryonix_cache.conformance.model.operations import UNJUDGED, Call
from kryonix_cache.conformance.model.programs import NUMBERS, PAUSES, TENANT_NAMES
from kryonix_cache.conformance.model.shortening import shortened
from kryonix_cache.conformance.model.snippet import RaiseShown, ReplyShown, ValueShown
from kryonix_cache.conformance.model.steps import AtOnce, Pause, Single
from kryonix_cache.conformance.outcomes import RequirementNotMetError, SystemRaisedError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    from hypothesis import settings

    from kryonix_cache.conformance.model.operations import Aspect, Operation
    from kryonix_cache.conformance.model.play import Play
    from kryonix_cache.conformance.model.snippet import Origin, Shown
    from kryonix_cache.conformance.model.stage import IsolationStage
    from kryonix_cache.conformance.model.steps import Step, Turn

_MOST_AT_ONCE = 8
_ATTEMPTS = 5
"""How often steps are played that may show a breach one time and not another."""
_ASYNC = "async_tenant_store"
_LOOKS = {"read", "list"}
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

    def take(self, step: Step) -> None:
        """Play a step unless there was a breach."""
        if self._error is None:
            self._remembering(lambda: self._take(step))

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
        if self._lens.values or self._lens.presence:
            self._judge_server()
        evidence.settle()

    def _judge_reply(self, turn: Turn) -> None:
        if turn.wanted is not UNJUDGED and self._stage.compare(
            str(turn.call), turn.found, turn.wanted, self._play.steps
        ):
            self._show(ReplyShown(turn.call, turn.wanted))

    def _judge_server(self) -> None:
        held = self._stage.held()
        for name in TENANT_NAMES:
            model = self._play.models[name]
            for entry in self._stage.entries:
                found, wanted = held[name, entry], model.get(entry)
                if self._lens.values and wanted is not None:
                    value = wanted.value if entry.kind != "queue" else list(wanted.value)
                    where = f"the key of {name}'s {entry}"
                    if self._differs(where, projected(found, value), value):
                        self._show(ValueShown(name, entry, value))
                if self._lens.presence and self._differs(
                    f"there is {name}'s {entry}", found is not None, wanted is not None
                ):
                    self._show(ValueShown(name, entry, wanted is not None, presence_only=True))

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
    return st.builds(
        Call,
        tenant=st.sampled_from(tenants),
        operation=st.sampled_from(operations),
        index=st.integers(0, 5),
        number=st.integers(0, NUMBERS),
    )


def play_machine(stage: IsolationStage, lens: Lens, origin: Origin, how_much: settings) -> None:
    """Play random sequences of steps on the stage, and judge them through the lens.

    Raises RequirementNotMetError with the findings of the shortest sequence that shows a breach.
    """
    __tracebackhide__ = True
    referee = Referee(stage, lens, origin)
    run_state_machine_as_test(_machine(referee), settings=how_much)
    referee.settle()


def _machine(referee: Referee) -> type[RuleBasedStateMachine]:
    in_threads = _of(referee, but={_ASYNC})
    in_tasks = _of(referee, only={_ASYNC})
    crowd = st.lists(st.sampled_from(TENANT_NAMES), min_size=2, max_size=4, unique=True)

    class Tenants(RuleBasedStateMachine):
        def __init__(self) -> None:
            super().__init__()
            referee.begin()

        @rule(call=calls(referee.operations))
        def one_call(self, call: Call) -> None:
            referee.take(Single(call))

        @rule(call=calls(referee.operations), tenants=crowd)
        def the_same_by_several(self, call: Call, tenants: list[str]) -> None:
            for tenant in tenants:
                referee.take(Single(Call(tenant, call.operation, call.index, call.number)))

        @precondition(lambda _: bool(in_threads))
        @rule(batch=_batches(in_threads))
        def at_once_by_threads(self, batch: list[Call]) -> None:
            referee.take(AtOnce(tuple(batch), "threads"))

        @precondition(lambda _: bool(in_tasks))
        @rule(batch=_batches(in_tasks))
        def at_once_by_tasks(self, batch: list[Call]) -> None:
            referee.take(AtOnce(tuple(batch), "tasks"))

        @rule(scene=_scenes(referee.operations))
        def about_one_entry(self, scene: Scene) -> None:
            for step in scene.steps():
                referee.take(step)

        @rule(seconds=st.sampled_from(PAUSES))
        def time_passes(self, seconds: int) -> None:
            referee.take(Pause(seconds))

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


@st.composite
def _scenes(draw: st.DrawFn, operations: Sequence[Operation]) -> Scene:
    kinds = list(dict.fromkeys(each.entries[0].kind for each in operations if each.entries))
    kind = draw(st.sampled_from(kinds))
    about = [each for each in operations if each.entries and each.entries[0].kind == kind]
    tenants = draw(st.permutations(TENANT_NAMES))[:2]
    index = draw(st.integers(0, 5))
    writes = [each for each in about if each.aspect == "write"]
    first = [calls(writes, [name]).map(lambda call: replace(call, index=index)) for name in tenants]
    drawn = calls(writes * 2 + about, tenants).map(lambda call: replace(call, index=index))
    return Scene(
        calls=(*map(draw, first), *draw(st.lists(drawn, max_size=4))),
        by=draw(st.sampled_from(["turns", "turns", "threads", "tasks"])),
        seconds=draw(st.sampled_from((0, *PAUSES[:-1]))),
        looks=tuple(
            Call(name, each, index) for each in about for name in tenants if each.aspect in _LOOKS
        ),
    )


def _of(
    referee: Referee, *, but: Collection[str] = (), only: Collection[str] = ()
) -> tuple[Operation, ...]:
    return tuple(
        each
        for each in referee.operations
        if each.capability not in but and (not only or each.capability in only)
    )


def _batches(operations: Sequence[Operation]) -> st.SearchStrategy[list[Call]]:
    if not operations:
        return st.nothing()
    return st.lists(calls(operations), min_size=2, max_size=_MOST_AT_ONCE)
