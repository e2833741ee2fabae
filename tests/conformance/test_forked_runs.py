# SPDX-License-Identifier: Apache-2.0
"""What the tests' own way to run the command must have in common with the installed script."""

from __future__ import annotations

import json
import os
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from kryonix_cache.fixtures.faults.catalogue import PACKAGE
from tests.conformance.processes import HungRunError, LeftProcessesError
from tests.conformance.runs import (
    command,
    conformance,
    finish,
    installed_command,
    installed_conformance,
    start,
)
from tests.conformance.test_repeatability import comparable, programs_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conformance.runs import Run

EMBEDDED = ("--target", "embedded")
HANG_SECONDS = 8.0
"""Twenty times what a forked run needs to come to where it hangs."""

ONE = (*EMBEDDED, "--select", "isolation.key-builder")
HANGING = (*ONE, "--system", "hanging:waits_for_ever")
HANGS = """
import pathlib, subprocess, sys, threading

def waits_for_ever(surroundings):
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    pathlib.Path("child").write_text(str(child.pid))
    pathlib.Path("hangs").touch()
    threading.Event().wait()
"""
LEAVES = """
import pathlib, subprocess, sys
from kryonix_cache.fixtures.faults.plain import plain_system

def leaves_a_process(surroundings):
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], **quiet)
    pathlib.Path("child").write_text(str(child.pid))
    child.returncode = 0  # Python would warn of it.
    return plain_system(surroundings)
"""
REMEMBERS = """
import json, os, pathlib, random, sys
from hypothesis import core
from kryonix_cache.fixtures.faults.plain import plain_system
from kryonix_cache.reference_impl.contract.loader import default_contract

def plays(surroundings):
    with pathlib.Path("seen").open("a") as file:
        state = {
            "marked": hasattr(sys, "marked"),
            "variable": os.environ.get("KRYONIX_MARK"),
            "random": random.random(),
            "seed": core.global_force_seed,
            "recursion": sys.getrecursionlimit(),
            "group": os.getpgrp(),
        }
        print(json.dumps(state), file=file)
    sys.marked = True
    os.environ["KRYONIX_MARK"] = "set"
    sys.setrecursionlimit(4321)
    return plain_system(surroundings)
"""


@pytest.mark.parametrize(
    ("select", "system"),
    [
        ("isolation.list", "plain:plain_system"),
        ("isolation.list", "isolation:lists_by_prefix"),
        ("isolation.list", "wiring:offers_nothing"),
        ("isolation.key-builder,seeding.idempotent", "wiring:offers_no_seeding"),
    ],
)
def test_a_forked_run_leaves_what_a_run_of_the_script_leaves(
    select: str, system: str, tmp_path: Path
) -> None:
    """Exit code, output, reports, record and counterexample, but for ids, addresses and times."""
    arguments = (*EMBEDDED, "--select", select, "--system", f"{PACKAGE}.{system}")
    forked = conformance(*arguments, out=tmp_path / "forked")
    installed = installed_conformance(*arguments, out=tmp_path / "installed")
    assert (forked.code, forked.errors) == (installed.code, installed.errors)
    assert comparable(forked) == comparable(installed)
    assert programs_of(forked) == programs_of(installed)
    names = [sorted(each.name for each in run.folder.iterdir()) for run in (forked, installed)]
    assert names[0] == names[1]
    assert anonymous(forked.output) == anonymous(installed.output)


def anonymous(output: str) -> str:
    """Return the output without what differs from run to run."""
    output = re.sub(r"[0-9]{8}t[0-9]{6}-[0-9a-f]{6}", "RUN", output)
    output = re.sub(r"127\.0\.0\.1:[0-9]+", "ADDRESS", output)
    output = re.sub(r"[0-9.]+ ?s\b", "SECONDS", output)
    output = re.sub(r"\S*/(forked|installed)/", "", output)
    return re.sub(r"[ =─-]+", " ", output)


@pytest.mark.parametrize(
    "arguments",
    [
        ("--version",),
        ("no-such-command",),
        ("conformance", "--select", "config.aoff"),
        ("conformance", "--list"),
        ("verify", "/nonexistent"),
        ("audit", "--target", "redis://127.0.0.1:1"),
    ],
)
def test_a_forked_command_says_what_the_script_says(arguments: tuple[str, ...]) -> None:
    forked, installed = command(*arguments), installed_command(*arguments)
    assert forked.returncode == installed.returncode
    assert (forked.stdout, forked.stderr) == (installed.stdout, installed.stderr)
    assert forked.stdout or forked.stderr


def test_a_forked_run_knows_nothing_of_the_one_before(tmp_path: Path) -> None:
    (tmp_path / "remembering.py").write_text(REMEMBERS)
    for seed in ("1", "2"):
        run = conformance(
            *(*EMBEDDED, "--select", "isolation.list", "--seed", seed),
            *("--system", "remembering:plays"),
            out=tmp_path / seed,
            cwd=tmp_path,
        )
        assert run.code == 0, run.output + run.errors
    seen = [json.loads(line) for line in (tmp_path / "seen").read_text().splitlines()]
    groups = list(dict.fromkeys(each["group"] for each in seen))
    assert len(groups) == 2
    first, second = (next(s for s in seen if s["group"] == group) for group in groups)
    for name, value in (("marked", False), ("variable", None), ("recursion", first["recursion"])):
        assert first[name] == second[name] == value
    assert (first["seed"], second["seed"]) == (1, 2)
    assert first["random"] != second["random"]
    assert os.getpgrp() not in groups


def test_a_forked_run_begins_in_its_folder(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("raise ZeroDivisionError('while it was imported')\n")
    run = conformance(*EMBEDDED, "--system", "broken:system", out=tmp_path / "out", cwd=tmp_path)
    assert (run.code, "while it was imported" in run.errors) == (4, True)


def test_variables_that_python_reads_at_its_start_reach_a_run(tmp_path: Path) -> None:
    """Such a run is the installed script, since a fork would not read them."""
    (tmp_path / "elsewhere.py").write_text("from kryonix_cache.fixtures.faults.plain import *\n")
    select = (*ONE, "--system", "elsewhere:plain_system")
    run = conformance(*select, out=tmp_path / "out", PYTHONPATH=str(tmp_path))
    assert run.code == 0, run.output + run.errors


def test_a_forked_run_that_hangs_shows_where_and_is_ended(tmp_path: Path) -> None:
    """Neither the run nor what it started is left, and the next run is made."""
    (tmp_path / "hanging.py").write_text(HANGS)
    with pytest.raises(HungRunError) as caught:
        conformance(*HANGING, out=tmp_path / "out", cwd=tmp_path, seconds=HANG_SECONDS)
    shows_where(str(caught.value))
    assert not alive(int((tmp_path / "child").read_text()))
    assert conformance(*ONE, out=tmp_path / "next").code == 0


def test_an_installed_run_that_hangs_shows_where_and_is_ended(tmp_path: Path) -> None:
    (tmp_path / "hanging.py").write_text(HANGS)
    process = start(*HANGING, out=tmp_path / "out", cwd=tmp_path)
    while not (tmp_path / "hangs").exists():
        assert process.poll() is None
        time.sleep(0.05)
    with pytest.raises(HungRunError) as caught:
        finish(process, tmp_path / "out", seconds=1.0)
    shows_where(str(caught.value))
    assert not alive(int((tmp_path / "child").read_text()))


def shows_where(sentence: str) -> None:
    """Check that the stack of the hung process is shown."""
    assert "Fatal Python error: Aborted" in sentence
    assert re.search(r"hanging\.py\"?, line [0-9]+ in waits_for_ever", sentence), sentence


@pytest.mark.parametrize("make", [conformance, installed_conformance])
def test_a_process_that_a_run_leaves_is_told_of_and_ended(
    make: Callable[..., Run], tmp_path: Path
) -> None:
    (tmp_path / "leaving.py").write_text(LEAVES)
    with pytest.raises(LeftProcessesError, match="time\\.sleep"):
        make(*ONE, "--system", "leaving:leaves_a_process", out=tmp_path / "out", cwd=tmp_path)
    assert not alive(int((tmp_path / "child").read_text()))


def alive(pid: int) -> bool:
    """Say whether a process lives; one that ended and that nobody asked about does not."""
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
