# SPDX-License-Identifier: Apache-2.0
"""
Ctrl-C and SIGTERM end a run, even where the exception that they raise is lost.

Python drops a KeyboardInterrupt that is raised in a destructor or in a callback of the garbage
collector or of a weak reference, asyncio makes a cancellation of it, and a system under test may
take it for an error of its own. So the signal is noted before anything is raised, and looked for
after each phase of a test.
"""

from __future__ import annotations

import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from kryonix_cache.conformance.run import STOPPING

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator


class Stopping:
    """The pytest plugin that knows whether the run was told to stop."""

    def __init__(self) -> None:
        self.asked = False
        self._held_back = False

    def heed(self) -> None:
        """Take the signals over; those that came while they were blocked come now.

        asyncio puts a handler of its own in the place of Python's only, so none in this one's.
        """
        # A shell lets what runs in the background ignore Ctrl-C.
        heeded = {each for each in STOPPING if signal.getsignal(each) is not signal.SIG_IGN}
        for number in heeded:
            signal.signal(number, self._stop)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)

    @contextmanager
    def held_back(self) -> Iterator[None]:
        """Let nothing be interrupted for a while; the signals are noted."""
        before, self._held_back = self._held_back, True
        try:
            yield
        finally:
            self._held_back = before

    def _stop(self, number: int, _: object) -> None:
        again, self.asked = self.asked, True
        # A build system may send SIGTERM often. A Ctrl-C that was lost can be given once more.
        if not self._held_back and not (again and number == signal.SIGTERM):
            raise KeyboardInterrupt

    def _stop_if_asked(self) -> None:
        if self.asked:
            raise KeyboardInterrupt

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self) -> None:
        """Stop before the first test if the signal came before."""
        self._stop_if_asked()

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(
        self,
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Stop after a phase of a test in which the signal came, however that ended."""
        self._stop_if_asked()
        return (yield)

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self) -> None:
        """Let nothing interrupt the cleaning up of a run that was told to stop."""
        self._held_back = self.asked
