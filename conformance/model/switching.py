# SPDX-License-Identifier: Apache-2.0
"""
Switching: other threads get their turn between two lines of the system under test.

Python switches threads where they wait for a server, and else so seldom that a call is over
before: what threads spoil between two lines would never show. `sys.setswitchinterval` does not
do it: the shortest wait of a thread for its turn is still longer than most of these lines take.
"""

from __future__ import annotations

import random
import sys
import time
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

_SHARE = 1 / 10
"""Of so many lines each is one before which another thread has its turn, whichever they are: a
number of lines could be that of one turn of a loop, so that it is always the same line."""

_TURN_SECONDS = 1e-5
_OF_NO_SYSTEM = (
    "redis",
    "hiredis",
    "kryonix_cache.conformance",
    "kryonix_cache.fixtures.powers",
    "kryonix_cache.fixtures.commands",
    "kryonix_cache.fixtures.journal",
    "kryonix_cache.reference_impl.connection",
    "kryonix_cache.reference_impl.packing",
    "kryonix_cache.reference_impl.forbidden",
)

_chance = random.Random(0)  # noqa: S311 (no secret)


@contextmanager
def switching() -> Iterator[None]:
    """Let other threads have their turn between lines, in what this thread calls meanwhile."""
    before = sys.gettrace()
    sys.settrace(_enter)
    try:
        yield
    finally:
        sys.settrace(before)


def _enter(frame: FrameType, event: str, arg: Any) -> Any:
    del event, arg
    return _pass if _is_of_a_system(frame.f_globals.get("__name__", "")) else None


def _pass(frame: FrameType, event: str, arg: Any) -> Any:
    del frame, arg
    if event == "line" and _chance.random() < _SHARE:
        time.sleep(_TURN_SECONDS)
    return _pass


@cache
def _is_of_a_system(module: str) -> bool:
    """Say whether a module is neither Python's, nor the client library's, nor the suite's."""
    if module.partition(".")[0] in sys.stdlib_module_names:
        return False
    return not any(module == each or module.startswith(f"{each}.") for each in _OF_NO_SYSTEM)
