# SPDX-License-Identifier: Apache-2.0
"""Callers and witness: a wrong reply is found, trouble is excused, doubt is allowed."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
import redis

from kryonix_cache.conformance.accidents import callers, witness
from kryonix_cache.conformance.accidents.callers import AsyncCaller, Call, Caller
from kryonix_cache.conformance.accidents.cells import tag_of_answer, tag_of_fields
from kryonix_cache.conformance.accidents.ledger import HALF
from kryonix_cache.conformance.accidents.witness import Witness
from kryonix_cache.conformance.evidence import Evidence
from tests.accidents.dictionaries import Answers, async_cell, cell

if TYPE_CHECKING:
    from collections.abc import Callable

SLUGS = ("a-0", "ab-0", "a-1")


class Asked:
    """One way of asking: blocking or in an event loop."""

    def __init__(self, *, looped: bool, in_process: bool = True) -> None:
        self.answers = Answers()
        self.evidence = Evidence()
        self.witness = Witness(self.evidence, in_process=in_process)
        self.blocking = Caller([cell(self.answers, slug) for slug in SLUGS], self.witness)
        self.awaited = AsyncCaller([async_cell(self.answers, slug) for slug in SLUGS], self.witness)
        self._looped = looped

    def renew(self) -> None:
        if self._looped:
            asyncio.run(self.awaited.renew())
        else:
            self.blocking.renew()

    def check(self) -> None:
        if self._looped:
            asyncio.run(self.awaited.check())
        else:
            self.blocking.check()

    def perform(self, call: Call) -> str | None:
        if self._looped:
            return asyncio.run(self.awaited.perform(call))
        return self.blocking.perform(call)

    @property
    def found(self) -> list[tuple[str, str, str]]:
        return [(each.where, each.found, each.wanted) for each in self.evidence.findings]


@pytest.fixture(params=["blocking", "in a loop"])
def asked(request: pytest.FixtureRequest) -> Asked:
    return Asked(looped=request.param == "in a loop")


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(witness, "RECOVERY_SECONDS", 0.2)
    monkeypatch.setattr(witness, "HURRY_SECONDS", 0.05)


def test_right_replies_are_counted_and_nothing_is_found(asked: Asked) -> None:
    asked.renew()
    asked.check()
    assert asked.found == []
    assert asked.evidence.observations == {"replies": len(SLUGS)}


def test_the_value_of_another_cell_is_found_with_the_story(asked: Asked) -> None:
    asked.renew()
    asked.answers["ab-0"] = asked.answers["a-0"]
    asked.witness.story += ["one thing happened", "and another"]
    asked.check()
    ((where, found, wanted),) = asked.found
    assert where == "read(ab-0), after: one thing happened; and another"
    assert found == asked.answers["a-0"]
    assert wanted.startswith("ab-0-")


def test_an_older_value_of_the_same_cell_is_found(asked: Asked) -> None:
    asked.renew()
    old = asked.answers["a-0"]
    asked.renew()
    asked.answers["a-0"] = old
    asked.check()
    assert [found for _, found, _ in asked.found] == [old]


@pytest.mark.parametrize(
    "error", [redis.ConnectionError("gone"), redis.TimeoutError("late"), ConnectionResetError()]
)
def test_errors_of_the_connection_are_excused_until_it_is_back(
    asked: Asked, error: Exception
) -> None:
    asked.renew()
    asked.answers.errors = [error, error]
    asked.check()
    assert asked.found == []
    assert asked.evidence.observations["replies"] == len(SLUGS)


def test_errors_that_never_end_are_found(asked: Asked) -> None:
    asked.renew()
    asked.answers.errors = [redis.ConnectionError("gone")] * 10_000
    asked.check()
    assert len(asked.found) == len(SLUGS)
    assert asked.found[0][1] == "ConnectionError: gone"


@pytest.mark.parametrize(
    "error", [ValueError("no JSON"), redis.ResponseError("WRONGTYPE"), SystemExit(0)]
)
def test_a_reply_that_cannot_be_understood_is_found_at_once(
    asked: Asked, error: BaseException
) -> None:
    """It is often the reply to another call."""
    asked.renew()
    asked.answers.errors = [error]
    asked.check()
    assert [found for _, found, _ in asked.found] == [f"{type(error).__name__}: {error}"]


def test_a_system_in_another_process_may_put_trouble_into_errors_of_its_own() -> None:
    asked = Asked(looped=False, in_process=False)
    asked.renew()
    asked.answers.errors = [ValueError("503")]
    asked.check()
    assert asked.found == []


def test_trouble_may_stand_in_the_chain_of_another_error(asked: Asked) -> None:
    caused, handled = ValueError("down"), KeyError("down")
    caused.__cause__ = redis.ConnectionError("gone")
    handled.__context__ = caused
    handled.__suppress_context__ = True
    asked.renew()
    asked.answers.errors = [caused, handled]
    asked.check()
    assert asked.found == []


def test_a_chain_of_errors_that_ends_in_itself_is_found(asked: Asked) -> None:
    first, second = ValueError("first"), ValueError("second")
    first.__cause__, second.__cause__ = second, first
    asked.renew()
    asked.answers.errors = [first]
    asked.check()
    assert [found for _, found, _ in asked.found] == ["ValueError: first"]


def test_a_miss_is_excused_for_a_while_and_then_found(asked: Asked) -> None:
    asked.renew()
    kept = asked.answers.pop("a-1")
    asked.check()
    assert [(where, found) for where, found, _ in asked.found] == [
        ("read(a-1), after: no accident", "nothing")
    ]
    assert asked.found[0][2] == kept


@pytest.mark.parametrize("arrives", [True, False])
def test_an_interrupted_write_is_allowed_either_way(asked: Asked, *, arrives: bool) -> None:
    asked.renew()
    before = dict(asked.answers)
    asked.answers.errors = [redis.TimeoutError("late")]
    with pytest.raises(redis.TimeoutError):
        asked.perform(Call(0, "write"))
    if arrives:
        (doubt,) = {
            tag
            for tag in asked.witness.ledger.possible("a-0")
            if tag not in (None, HALF, before["a-0"])
        }
        asked.answers["a-0"] = str(doubt)
    asked.check()
    assert asked.found == []


def test_a_call_that_never_ends_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(callers, "ANSWER_SECONDS", 0.05)
    asked = Asked(looped=True)
    (first, *_) = asked.awaited.cells

    async def never() -> str | None:
        await asyncio.sleep(60)
        return None

    object.__setattr__(first, "read", never)
    asked.check()
    assert [found.partition(":")[0] for _, found, _ in asked.found] == ["TimeoutError"]


@pytest.mark.parametrize(("found", "findings"), [(None, 0), ("a-0-right", 0), ("ab-0-foreign", 1)])
def test_a_reply_during_an_accident_may_be_missing_but_not_wrong(
    found: str | None, findings: int
) -> None:
    asked = Asked(looped=False)
    with asked.witness.ledger.writing("a-0", "a-0-right"):
        pass
    asked.blocking.glance(cell(asked.answers, "a-0", read=lambda: found))
    assert len(asked.found) == findings


@pytest.mark.parametrize(
    ("tag", "reply", "read"),
    [
        ("x", {"tag": "x"}, tag_of_answer),
        (None, None, tag_of_answer),
        ("{'n': 1}", {"n": 1}, tag_of_answer),
        ("True", True, tag_of_answer),
        ("x", {"user_id": "x", "tenant_id": "a"}, tag_of_fields),
        (None, {}, tag_of_fields),
        (HALF, {"platform": "ios"}, tag_of_fields),
    ],
)
def test_whatever_is_answered_reads_as_a_tag(
    tag: str | None, reply: object, read: Callable[[object], str | None]
) -> None:
    """An answer that the suite never wrote reads as what it is, and so is never allowed."""
    assert read(reply) == tag
