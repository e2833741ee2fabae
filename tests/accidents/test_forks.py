# SPDX-License-Identifier: Apache-2.0
"""A forked child works when it is told to, says what came of it, and leaves nothing behind."""

from __future__ import annotations

import os
import signal
import time

import pytest

from kryonix_cache.conformance.accidents.forks import Child

PATIENCE = 20.0


def is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_a_child_says_what_its_work_came_to() -> None:
    here = os.getpid()
    with Child(
        lambda: {"pid": os.getpid(), "parent": os.getppid(), "long": "x" * 200_000}
    ) as child:
        child.start()
        said = child.result(PATIENCE)
    assert said == {"pid": child.pid, "parent": here, "long": "x" * 200_000}
    assert is_gone(child.pid)


@pytest.mark.parametrize("way", ["raises", "exits", "is killed"])
def test_a_child_that_dies_says_nothing(way: str) -> None:
    def die() -> object:
        if way == "raises":
            raise RuntimeError
        if way == "exits":
            raise SystemExit(0)
        os.kill(os.getpid(), signal.SIGKILL)
        return None

    with Child(die) as child:
        child.start()
        assert child.result(PATIENCE) is None
    assert is_gone(child.pid)


def test_a_child_that_works_for_too_long_is_ended() -> None:
    with Child(lambda: time.sleep(60)) as child:
        child.start()
        assert child.result(0.1) is None
    assert is_gone(child.pid)


def test_a_child_that_is_not_told_to_work_is_ended() -> None:
    with Child(lambda: 1) as child:
        pass
    assert is_gone(child.pid)
