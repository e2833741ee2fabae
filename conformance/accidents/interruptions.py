# SPDX-License-Identifier: Apache-2.0
"""An exception that comes out of a signal handler, in the middle of a call that blocks."""

from __future__ import annotations

import signal
import threading
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


class Interruption(BaseException):
    """What the handler raises, as a Ctrl-C or the time limit of a worker would."""


def interrupted(call: Callable[[], T], reached: Callable[[Callable[[], bool]], bool]) -> T:
    """Make a call in the main thread, and interrupt it once `reached` says so.

    `reached` runs in another thread; it is given a function that says whether the call is over,
    and returns False if that is so. Returns what the call returns where it was over before.

    Raises Interruption, or what the call makes of it.
    """
    over = threading.Event()
    main = threading.main_thread().ident or 0

    def raise_in_call(*_: object) -> None:
        if not over.is_set():
            raise Interruption

    def wait() -> None:
        if reached(over.is_set) and not over.is_set():
            signal.pthread_kill(main, signal.SIGALRM)

    previous = signal.signal(signal.SIGALRM, raise_in_call)
    watcher = threading.Thread(target=wait)
    try:
        watcher.start()
        try:
            return call()
        finally:
            over.set()
    finally:
        # The signal may have come between the call's end and the note that it is over.
        over.set()
        watcher.join()
        signal.signal(signal.SIGALRM, previous)
