# SPDX-License-Identifier: Apache-2.0
"""An exception that comes out of a signal handler, in the middle of a call that blocks."""

from __future__ import annotations

import signal
import threading
import time
from typing import TYPE_CHECKING, TypeVar

from kryonix_cache.conformance.accidents.standstill import look_at_threads, standing

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

_AGAIN_SECONDS = 0.002


class Interruption(BaseException):
    """What the handler raises, as a Ctrl-C or the time limit of a worker would."""


class _Call:
    """How far the call is. Plain flags: a handler that takes a lock may find it taken below it."""

    begun = False
    over = False
    waited = False
    raised = False


def interrupted(
    call: Callable[[], T],
    reached: Callable[[Callable[[], bool]], bool],
    landed: Callable[[], object] = lambda: None,
) -> T:
    """Make a call in the main thread, and interrupt it once `reached` says so and it waits.

    `reached` runs in another thread; it is given a function that says whether the call is over,
    and returns False if that is so. Returns what the call returns where it was over before.
    `landed` is called afterwards if the call was hit while it waited: a client closes its
    connection where it is hit between two steps, and what is lost is then lost for sure.

    Raises Interruption, or what the call makes of it.
    """
    state = _Call()
    main = threading.main_thread()

    def raise_in_call(*_: object) -> None:
        if state.begun and not state.over and not state.raised:
            state.raised = True
            raise Interruption

    def is_over() -> bool:
        return state.over

    def wait() -> None:
        if not reached(is_over):
            return
        state.waited = standing(lambda: look_at_threads([main]), is_over)
        while not state.over:
            # More than once: one that comes just before the call blocks does not wake it.
            signal.pthread_kill(main.ident or 0, signal.SIGALRM)
            time.sleep(_AGAIN_SECONDS)

    previous = signal.signal(signal.SIGALRM, raise_in_call)
    watcher = threading.Thread(target=wait)
    try:
        watcher.start()
        try:
            state.begun = True
            return call()
        finally:
            state.over = True
    finally:
        # The signal may have come between the call's end and the note that it is over.
        state.over = True
        watcher.join()
        signal.signal(signal.SIGALRM, previous)
        if state.waited and state.raised:
            landed()
