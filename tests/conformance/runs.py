# SPDX-License-Identifier: Apache-2.0
"""Runs of the real command, and what they left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kryonix_cache.reports.record import read_record

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kryonix_cache.reports.lines import Result
    from kryonix_cache.reports.record import Record

SECONDS = 120


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
    return kept | {"COLUMNS": "200"} | dict(variables)


def start(
    *arguments: str, out: Path, cwd: Path | None = None, **variables: str
) -> subprocess.Popen[str]:
    """Start a conformance run in a process group of its own."""
    return subprocess.Popen(
        command_line(["conformance", "--out", str(out), *arguments]),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=cwd,
        env=surroundings(variables),
        start_new_session=True,
        # A build system may start the tests with Ctrl-C ignored, and children inherit that.
        preexec_fn=_heed_ctrl_c,  # noqa: PLW1509 (the tests start no threads before)
    )


def _heed_ctrl_c() -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def finish(process: subprocess.Popen[str], out: Path) -> Run:
    """Wait for a run that was started."""
    output, errors = process.communicate(timeout=SECONDS)
    return Run(process.returncode, output, errors, out)


def conformance(*arguments: str, out: Path, cwd: Path | None = None, **variables: str) -> Run:
    """Run `kryonix-cache conformance` to its end."""
    return finish(start(*arguments, out=out, cwd=cwd, **variables), out)


def command(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run another of the commands."""
    return subprocess.run(
        command_line(arguments),
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
        env=surroundings(variables),
    )
