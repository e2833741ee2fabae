# SPDX-License-Identifier: Apache-2.0
"""The source's own list, its validations and its tests, answered by the requirements behind it."""

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum

from kryonix_cache.reports.lines import ChecklistItem, Outcome
from kryonix_cache.reports.record import Record


class Answer(StrEnum):
    """What a record says about one item of the source's list."""

    PASSED = "passed"
    FAILED = "failed"
    ERROR = "error"
    INCONCLUSIVE = "inconclusive"
    WAIVED = "waived"
    PARTLY_JUDGED = "partly judged"
    NOT_JUDGED = "not judged"


@dataclass(frozen=True, slots=True)
class RequirementState:
    """One requirement of an item: its outcome, or why it has none."""

    id: str
    outcome: Outcome | None
    why_absent: str


@dataclass(frozen=True, slots=True)
class AnsweredItem:
    """An item with its answer and the requirements that the answer rests on."""

    item: ChecklistItem
    answer: Answer
    states: tuple[RequirementState, ...]


_WORST_FIRST = (
    (Outcome.FAIL, Answer.FAILED),
    (Outcome.ERROR, Answer.ERROR),
    (Outcome.INCONCLUSIVE, Answer.INCONCLUSIVE),
    (Outcome.WAIVED, Answer.WAIVED),
)


def answer_checklist(record: Record) -> tuple[AnsweredItem, ...]:
    """
    Answer each item of the header's checklist.

    `passed` needs every requirement of the item to be in the registry and in scope, each to
    pass or not to apply, and at least one to pass. What is missing makes the item partly or not
    judged, never passed.
    """
    registry = record.requirements
    outcomes = {result.requirement: result.outcome for result in record.results}

    def state(identifier: str) -> RequirementState:
        if identifier not in registry:
            return RequirementState(identifier, None, "not in the registry yet")
        if identifier not in outcomes:
            return RequirementState(identifier, None, "not in scope of this run")
        return RequirementState(identifier, outcomes[identifier], "")

    answered = []
    for item in record.header.checklist:
        states = tuple(state(identifier) for identifier in item.requirements)
        answered.append(AnsweredItem(item, _answer([s.outcome for s in states]), states))
    return tuple(answered)


def _answer(outcomes: Collection[Outcome | None]) -> Answer:
    for outcome, answer in _WORST_FIRST:
        if outcome in outcomes:
            return answer
    if Outcome.PASS not in outcomes:
        return Answer.NOT_JUDGED
    settled = all(outcome in (Outcome.PASS, Outcome.NOT_APPLICABLE) for outcome in outcomes)
    return Answer.PASSED if settled else Answer.PARTLY_JUDGED
