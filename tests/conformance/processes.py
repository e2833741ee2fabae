# SPDX-License-Identifier: Apache-2.0
"""The processes of a run that was started as a session of its own, and how they are ended."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

LAST_SECONDS = 10.0
"""How long the processes of a run may take to end once nothing but their end is due."""

LEFT_SECONDS = 3.0
"""How long they may live when the run is over: they were told to end, or end with it."""


class HungRunError(AssertionError):
    """A run took too long, and was ended."""

    def __init__(self, arguments: object, seconds: float, output: str, errors: str) -> None:
        super().__init__(
            f"{arguments} was not over after {seconds:g} s; where its processes were "
            f"stands in its errors.\nOutput:\n{output}\nErrors:\n{errors}"
        )


class LeftProcessesError(AssertionError):
    """A run was over, and something that it had started was not."""


def members(group: int) -> Iterator[int]:
    """Yield the processes of a group that live."""
    with suppress(ProcessLookupError):
        os.killpg(group, 0)
        for entry in Path("/proc").iterdir():
            with suppress(OSError):
                if entry.name.isdigit():
                    state, _, its_group = (
                        (entry / "stat").read_text().rpartition(")")[2].split()[:3]
                    )
                    if int(its_group) == group and state != "Z":
                        yield int(entry.name)


def end(group: int) -> None:
    """End the processes of a group, and let those show their stacks that can.

    Python writes them on SIGABRT, as PYTHONFAULTHANDLER and pytest tell it to.
    """
    for number in (signal.SIGABRT, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(group, number)
        if ended(group):
            return


def ended(group: int, seconds: float = LAST_SECONDS) -> bool:
    """Wait until no process of the group lives any more; say whether it came to that."""
    deadline = time.monotonic() + seconds
    while any(members(group)):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def leaves_none(group: int) -> None:
    """Raise LeftProcessesError for a process of a run that is over; it is ended."""
    if not ended(group, LEFT_SECONDS):
        left = {pid: Path(f"/proc/{pid}/cmdline").read_text() for pid in members(group)}
        end(group)
        raise LeftProcessesError(f"a run is over, and these processes of it are not: {left}")
