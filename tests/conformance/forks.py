# SPDX-License-Identifier: Apache-2.0
"""The fork server of this process, and the runs that it is asked for."""

from __future__ import annotations

import atexit
import json
import socket
import subprocess
import sys
import threading
from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING

from tests.conformance.processes import LAST_SECONDS, HungRunError, end, leaves_none

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import IO

START_SECONDS = 180.0
"""How long the imports may take on a crowded machine that has compiled nothing yet."""

GIVEN = ("KRYONIX_", "GITHUB_STEP")
"""What the variables begin with that only a run reads, and none of its imports."""

ANSWER_BYTES = 20
SERVER = Path(__file__).with_name("fork_server.py")


class ForkServer:
    """Makes one run at a time; who wants two at once starts the installed command."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._lock = threading.Lock()
        self._control, theirs = socket.socketpair(type=socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-P", str(SERVER), str(theirs.fileno())],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                # The Ctrl-C of a terminal ends the tests, and their end is the server's.
                start_new_session=True,
            )

    def run(
        self, command: Sequence[str], *, cwd: Path | None, env: Mapping[str, str], seconds: float
    ) -> subprocess.CompletedProcess[str]:
        """Make a run; raise HungRunError when it takes longer than `seconds`."""
        with self._lock, temporary() as output, temporary() as errors:
            order = {"command": command, "folder": str(cwd or Path.cwd()), "environment": dict(env)}
            files = [output.fileno(), errors.fileno()]
            socket.send_fds(self._control, [json.dumps(order).encode()], files)
            pid = self._answer(START_SECONDS)
            try:
                code = self._answer(seconds)
            except TimeoutError:
                end(pid)
                self._answer(LAST_SECONDS)
                raise HungRunError(command, seconds, written(output), written(errors)) from None
            leaves_none(pid)
            return subprocess.CompletedProcess(command, code, written(output), written(errors))

    def close(self) -> None:
        """Let it end."""
        self._control.close()
        self._process.wait(LAST_SECONDS)

    def _answer(self, seconds: float) -> int:
        self._control.settimeout(seconds)
        number = self._control.recv(ANSWER_BYTES)
        assert number, "the fork server has ended"
        return int(number)


_servers: dict[frozenset[tuple[str, str]], ForkServer] = {}


def fork_server(environment: Mapping[str, str]) -> ForkServer:
    """Return this process's server of runs in the environment, started when first asked for.

    A server for each environment but for what is given to a run, since Python and what is imported
    read theirs once.
    """
    lasting = {name: value for name, value in environment.items() if not name.startswith(GIVEN)}
    key = frozenset(lasting.items())
    if key not in _servers:
        _servers[key] = ForkServer(lasting)
        atexit.register(_servers[key].close)
    return _servers[key]


def temporary() -> IO[str]:
    """Open what a run writes into: its end does not depend on who still holds it."""
    return TemporaryFile("w+", encoding="utf-8")


def written(file: IO[str]) -> str:
    """Return all that a file holds."""
    file.seek(0)
    return file.read()
