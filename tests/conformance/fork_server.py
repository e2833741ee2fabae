# SPDX-License-Identifier: Apache-2.0
"""
Forks runs of the command from one process that has imported what each of them imports.

To import the suite, pytest and what they need takes a run a second, and the tests make hundreds of
runs. What a run computes is its own: this process only imports, so a run starts from modules as
they are after their import, as a new process does. Two things differ, and tests that are about
them start the installed script: the runs of one server share the seed of Python's hashes, and the
arguments of their processes, as the system lists them, are those of this one.

The command starts pytest in a process of its own. That one is forked before the command begins, and
waits, so that it has seen nothing of the command's work.
"""

from __future__ import annotations

import ast
import gc
import importlib
import json
import os
import runpy
import signal
import socket
import sys
import threading
from importlib import resources
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Self

from _pytest.config import default_plugins

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PYTEST = ["-P", "-m", "pytest"]
LONGEST_ORDER = 1_000_000


def import_all() -> None:
    """
    Import what a run's conftest.py and tests import, and what the command needs of others.

    No module of ours more, so that a run finds imported what it would find without a fork. These
    files themselves are pytest's to import, as it rewrites their assertions.
    """
    # As the command does before numpy is imported, which reads it then.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    for name in default_plugins:
        importlib.import_module(f"_pytest.{name}")
    folder = resources.files("kryonix_cache.conformance")
    for path in sorted(Path(str(folder)).glob("*.py")):
        if path.name.startswith(("test_", "conftest")):
            import_as(path)
    for path in sorted(Path(str(folder), "cli").glob("*.py")):
        import_as(path, but_not="kryonix_cache")


def import_as(path: Path, but_not: str = " ") -> None:
    """Do the imports of a module's outermost level, but those of what begins with `but_not`."""
    tree = ast.parse(path.read_bytes())
    tree.body = [
        node
        for node in tree.body
        if isinstance(node, ast.Import)
        or (isinstance(node, ast.ImportFrom) and not (node.module or "").startswith(but_not))
    ]
    exec(compile(tree, path, "exec"), {})


class Pytest:
    """The process that becomes the pytest of a run; stands where the command starts one."""

    def __init__(self, pid: int, channel: socket.socket) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._channel = channel

    def __call__(self, command: Sequence[str], *, env: Mapping[str, str]) -> Self:
        """Start it, as Popen does."""
        if list(command[:4]) != [sys.executable, *PYTEST]:
            raise ValueError(f"this is not how a run starts pytest: {command}")
        blocked = [int(each) for each in signal.pthread_sigmask(signal.SIG_BLOCK, ())]
        order = {"arguments": command[4:], "environment": dict(env), "blocked": blocked}
        self._channel.sendall(json.dumps(order).encode())
        self._channel.close()
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.wait()

    def send_signal(self, number: int) -> None:
        """Send a signal unless it has ended."""
        if self.returncode is None:
            os.kill(self.pid, number)

    def wait(self) -> int:
        """Return its exit code when it has ended."""
        if self.returncode is None:
            _, status = os.waitpid(self.pid, 0)
            self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def dismiss(self) -> None:
        """Let it end if it was not started."""
        self._channel.close()
        self.wait()


def run_pytest(channel: socket.socket) -> None:
    """Wait for the order to start, and do what `python -P -m pytest` does."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    with channel, channel.makefile("rb") as lines:
        text = lines.read()
    if not text:
        # Nobody started it, so nothing may be done at its end either.
        os._exit(0)
    order = json.loads(text)
    replace_environment(order["environment"])
    sys.argv = ["pytest", *order["arguments"]]
    blocked = {signal.Signals(each) for each in order["blocked"]}
    signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
    runpy.run_module("pytest", run_name="__main__", alter_sys=True)


def run_command(order: Mapping[str, Any], output: int, errors: int) -> None:
    """Do what the installed script does with these arguments, and end with its exit code."""
    os.setsid()
    # A build system may start the tests with Ctrl-C ignored, and children inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.dup2(output, 1)
    os.dup2(errors, 2)
    os.close(output)
    os.close(errors)
    os.chdir(order["folder"])
    replace_environment(order["environment"])
    ours, theirs = socket.socketpair()
    pid = os.fork()
    if pid == 0:
        ours.close()
        run_pytest(theirs)
        return
    theirs.close()
    pytest = Pytest(pid, ours)
    sys.argv = order["command"]
    sys.path.insert(0, os.path.dirname(sys.argv[0]))  # noqa: PTH120 (Python does the same)
    command = importlib.import_module("kryonix_cache.conformance.cli.conformance")
    vars(command)["subprocess"] = SimpleNamespace(Popen=pytest)
    try:
        importlib.import_module("kryonix_cache.conformance.cli.main").main()
    finally:
        pytest.dismiss()


def replace_environment(variables: Mapping[str, str]) -> None:
    """Let this process have these variables only."""
    os.environ.clear()
    os.environ.update(variables)


def serve(control: socket.socket) -> None:
    """Fork one run after the other; return in the forked process when its run is over.

    Each order is answered by the run's process id, and at its end by its exit code.
    """
    while (order := socket.recv_fds(control, LONGEST_ORDER, 2))[0]:
        text, (output, errors), *_ = order
        pid = os.fork()
        if pid == 0:
            control.close()
            run_command(json.loads(text), output, errors)
            return
        os.close(output)
        os.close(errors)
        control.send(str(pid).encode())
        _, status = os.waitpid(pid, 0)
        control.send(str(os.waitstatus_to_exitcode(status)).encode())


def main() -> None:
    """Import, and serve the socket whose number is the argument."""
    import_all()
    # A fork copies the thread that forks, and leaves the locks of the others as they are.
    if threading.active_count() > 1 or len(os.listdir("/proc/self/task")) > 1:  # noqa: PTH208 (faster)
        raise RuntimeError("an import started a thread, so nothing can be forked")
    # What is imported stays; without this each run would look through it and copy its pages.
    gc.freeze()
    serve(socket.socket(fileno=int(sys.argv[1])))


if __name__ == "__main__":
    main()
