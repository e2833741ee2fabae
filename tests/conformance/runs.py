# SPDX-License-Identifier: Apache-2.0
"""
Runs of the command, and what they left.

`conformance` and `command` fork it from a process that has imported the suite (`fork_server.py`).
`start`, `start_command`, `installed_conformance` and `installed_command` start the installed
script, as a user does: tests of exit codes, signals, kills and of what the system lists of a
process need that, and those of what two processes have in common.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kryonix_cache.reports.record import read_record
from tests.conformance.forks import GIVEN, fork_server
from tests.conformance.processes import LAST_SECONDS, HungRunError, end, leaves_none

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kryonix_cache.reports.lines import Result
    from kryonix_cache.reports.record import Record

SECONDS = 300.0
"""How long a run may take: ten times what the longest takes on a machine that does nothing else."""


@dataclass(frozen=True, slots=True)
class Run:
    """One finished run of the command."""

    code: int
    output: str
    errors: str
    out: Path

    @property
    def folder(self) -> Path:
        """The one run folder."""
        (folder,) = self.out.iterdir()
        return folder

    @property
    def record(self) -> Record:
        """The run's record, checked as `verify` checks it."""
        return read_record(self.folder / "record.jsonl")

    def result(self, requirement: str) -> Result:
        """Return the result of one requirement."""
        return next(r for r in self.record.results if r.requirement == requirement)

    @property
    def outcomes(self) -> dict[str, str]:
        """The outcome of each requirement that was judged."""
        return {r.requirement: r.outcome.value for r in self.record.results}


def command_line(arguments: Sequence[str]) -> list[str]:
    """Return the command as a process's arguments."""
    return [str(Path(sys.executable).with_name("kryonix-cache")), *arguments]


def surroundings(variables: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a run: ours without what would choose a target for it."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("KRYONIX_", "GITHUB_STEP", "PYTEST_"))
    }
    # What hangs shows its stacks when it is ended.
    return kept | {"COLUMNS": "200", "PYTHONFAULTHANDLER": "1"} | dict(variables)


# --- forked from a process that has imported everything ---


def conformance(
    *arguments: str,
    out: Path,
    cwd: Path | None = None,
    seconds: float = SECONDS,
    **variables: str,
) -> Run:
    """Run `kryonix-cache conformance` to its end."""
    done = _made(["conformance", "--out", str(out), *arguments], variables, cwd, seconds)
    return Run(done.returncode, done.stdout, done.stderr, out)


def command(
    *arguments: str, cwd: Path | None = None, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run another of the commands."""
    return _made(arguments, variables, cwd)


def _made(
    arguments: Sequence[str],
    variables: Mapping[str, str],
    cwd: Path | None = None,
    seconds: float = SECONDS,
) -> subprocess.CompletedProcess[str]:
    line, environment = command_line(arguments), surroundings(variables)
    # Forking without an exec is not safe on macOS.
    if sys.platform != "linux" or not all(name.startswith(GIVEN) for name in variables):
        return _finished(_started(line, environment, cwd), seconds)
    return fork_server(environment).run(line, cwd=cwd, env=environment, seconds=seconds)


# --- as they are installed ---


def start(
    *arguments: str, out: Path, cwd: Path | None = None, **variables: str
) -> subprocess.Popen[str]:
    """Start a conformance run in a process group of its own."""
    return start_command("conformance", "--out", str(out), *arguments, cwd=cwd, **variables)


def start_command(
    *arguments: str, cwd: Path | None = None, **variables: str
) -> subprocess.Popen[str]:
    """Start any of the commands so."""
    return _started(command_line(arguments), surroundings(variables), cwd)


def finish(process: subprocess.Popen[str], out: Path, seconds: float = SECONDS) -> Run:
    """Wait for a run that was started; raise HungRunError when it takes too long."""
    done = _finished(process, seconds)
    return Run(done.returncode, done.stdout, done.stderr, out)


def installed_conformance(
    *arguments: str, out: Path, cwd: Path | None = None, **variables: str
) -> Run:
    """Run the installed `kryonix-cache conformance` to its end."""
    return finish(start(*arguments, out=out, cwd=cwd, **variables), out)


def installed_command(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run another of the installed commands."""
    return _finished(_started(command_line(arguments), surroundings(variables)), SECONDS)


def _started(
    line: Sequence[str], environment: Mapping[str, str], cwd: Path | None = None
) -> subprocess.Popen[str]:
    return subprocess.Popen(
        line,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=cwd,
        env=environment,
        start_new_session=True,
        # A build system may start the tests with Ctrl-C ignored, and children inherit that.
        preexec_fn=_heed_ctrl_c,  # noqa: PLW1509 (the tests start no threads before)
    )


def _heed_ctrl_c() -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _finished(process: subprocess.Popen[str], seconds: float) -> subprocess.CompletedProcess[str]:
    try:
        output, errors = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        end(process.pid)
        output, errors = process.communicate(timeout=LAST_SECONDS)
        raise HungRunError(process.args, seconds, output, errors) from None
    leaves_none(process.pid)
    return subprocess.CompletedProcess(process.args, process.returncode, output, errors)
