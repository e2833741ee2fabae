# SPDX-License-Identifier: Apache-2.0
"""A call is interrupted when it is to be, and nothing else is."""

from __future__ import annotations

import signal
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from kryonix_cache.conformance.accidents.interruptions import Interruption, interrupted

if TYPE_CHECKING:
    from collections.abc import Callable


def test_a_blocked_call_is_interrupted_in_the_middle() -> None:
    inside = threading.Event()

    def call() -> None:
        inside.set()
        time.sleep(30)

    def reached(over: Callable[[], bool]) -> bool:
        return inside.wait(10) and not over()

    started = time.monotonic()
    with pytest.raises(Interruption):
        interrupted(call, reached)
    assert time.monotonic() - started < 10


def test_a_call_that_ends_before_gives_its_answer() -> None:
    def reached(over: Callable[[], bool]) -> bool:
        while not over():
            time.sleep(0.001)
        return False

    assert interrupted(lambda: "answer", reached) == "answer"


def test_an_interruption_that_comes_too_late_harms_nobody() -> None:
    """The moment between the end of the call and the signal belongs to neither."""
    before = threading.active_count()
    for _ in range(200):
        with suppress(Interruption):
            assert interrupted(lambda: "answer", lambda _: True) == "answer"
        assert threading.active_count() == before


def test_the_handler_that_was_there_comes_back() -> None:
    def before(*_: object) -> None:
        pass

    usual = signal.signal(signal.SIGALRM, before)
    try:
        with pytest.raises(ZeroDivisionError):
            interrupted(lambda: 1 / 0, lambda _: False)
        assert signal.getsignal(signal.SIGALRM) is before
    finally:
        signal.signal(signal.SIGALRM, usual)


def test_only_a_call_that_waits_has_been_hit() -> None:
    """A call that is on its way to its wait closes its connection, and shows nothing."""
    landed: list[str] = []
    waits = threading.Event()

    def call() -> None:
        # It uses the processor until after the other thread says that it may be hit.
        until = time.monotonic() + 0.2
        while time.monotonic() < until:
            pass
        waits.set()
        time.sleep(30)

    with pytest.raises(Interruption):
        interrupted(
            call, lambda _: True, lambda: landed.append("waiting" if waits.is_set() else "")
        )
    assert landed == ["waiting"]


def test_a_call_that_never_waits_is_hit_in_the_end_and_does_not_count() -> None:
    landed: list[str] = []

    def call() -> None:
        while True:
            pass

    with pytest.raises(Interruption):
        interrupted(call, lambda _: True, lambda: landed.append("landed"))
    assert landed == []
