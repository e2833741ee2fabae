# SPDX-License-Identifier: Apache-2.0
"""A child of this process that goes on with what its parent has open."""

from __future__ import annotations

import json
import os
import select
import signal
import time
import warnings
from typing import TYPE_CHECKING, NoReturn, Self

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

_CHUNK = 1 << 16


class Child:
    """A forked process that does one piece of work and says what came of it, as JSON.

    `pid` is its process id. It waits for `start`, so that parent and child can work at the same
    time. It leaves without any cleaning up, which is its parent's. Use it as a context manager.
    """

    def __init__(self, work: Callable[[], object]) -> None:
        self._work = work

    def __enter__(self) -> Self:
        begin, self._begin = os.pipe()
        self._said, say = os.pipe()
        with warnings.catch_warnings():
            # Python 3.12 warns where the process has threads. What they hold, such as the lock
            # of a module, is not needed by calls that were made before.
            warnings.simplefilter("ignore", DeprecationWarning)
            self.pid = os.fork()
        if self.pid == 0:
            self._be_the_child(begin, say)
        os.close(begin)
        os.close(say)
        return self

    def _be_the_child(self, begin: int, say: int) -> NoReturn:
        try:
            os.close(self._begin)
            os.close(self._said)
            if os.read(begin, 1):
                text = json.dumps(self._work()).encode()
                while text:
                    text = text[os.write(say, text) :]
        finally:
            os._exit(0)

    def start(self) -> None:
        """Let the child work."""
        os.write(self._begin, b"!")

    def result(self, seconds: float) -> object:
        """Return what the work came to; None if the child said nothing in time."""
        text, deadline = b"", time.monotonic() + seconds
        while True:
            left = max(0.0, deadline - time.monotonic())
            if not select.select([self._said], [], [], left)[0]:
                return None
            data = os.read(self._said, _CHUNK)
            if not data:
                break
            text += data
        return json.loads(text) if text else None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # It has ended where it said something; otherwise nothing more is expected of it.
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self._begin)
        os.close(self._said)
