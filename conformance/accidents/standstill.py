# SPDX-License-Identifier: Apache-2.0
"""
Standstill: threads and processes that wait for something, seen from outside.

What has reached the server says nothing of the client: it may still be on its way out of the
send, or may not have its turn of the processor. Only who waits can be hit while it waits.
"""

from __future__ import annotations

import gc
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from threading import Thread

LOOK_SECONDS = 0.001
MOST_SECONDS = 1.0
"""How long a standstill is waited for; what asks again and again without a pause has none."""

_LOOKS = 3

Look = object


def look_at_threads(threads: Iterable[Thread]) -> Look | None:
    """Return where threads of this process stand; None if one has not come to a stop.

    One that waits for Python's lock looks as if it had stopped. Between two looks the lock is
    free, so that it runs, and another look is another one.
    """
    stands = []
    places = _places()
    for thread in threads:
        place = places.get(thread.ident or 0)
        if place is None:
            continue
        if not _sleeps(f"self/task/{thread.native_id}"):
            return None
        stands.append((thread.ident, place))
    return tuple(stands)


def look_at_process(pid: int) -> Look | None:
    """Return the same of the first thread of another process; one that has ended has no stand."""
    return "asleep" if _sleeps(str(pid)) else None


def standing(
    look: Callable[[], Look | None],
    over: Callable[[], bool],
    *,
    looks: int = _LOOKS,
    seconds: float = MOST_SECONDS,
) -> bool:
    """Wait until so many looks in a row are the same; False if `over` says so, or in vain."""
    until = time.monotonic() + seconds
    last, alike = None, 0
    while not over() and time.monotonic() < until:
        seen = look()
        alike = alike + 1 if seen is not None and seen == last else 1
        last = seen
        if seen is not None and alike >= looks:
            return True
        time.sleep(LOOK_SECONDS)
    return False


def _places() -> dict[int, tuple[int, int]]:
    """Return the frame and the instruction at which each thread of this process is.

    Before Python 3.11.9 the whole process stands still for ever if garbage is collected while
    the frames are listed, and another thread ends meanwhile (CPython issue 106883).
    """
    collecting = gc.isenabled()
    gc.disable()
    try:
        return {
            thread: (id(frame), frame.f_lasti)
            for thread, frame in sys._current_frames().items()  # noqa: SLF001 (no other way)
        }
    finally:
        if collecting:
            gc.enable()


def _sleeps(which: str) -> bool:
    """Say whether a thread waits; where no /proc tells, being at the same place must do."""
    try:
        stat = Path(f"/proc/{which}/stat").read_text()
    except OSError:
        return True
    return stat.rpartition(")")[2].split()[0] not in {"R", "D", "Z", "X"}
