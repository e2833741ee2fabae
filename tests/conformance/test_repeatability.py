# SPDX-License-Identifier: Apache-2.0
"""The same seed gives the same run."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from kryonix_cache.fixtures.faults.catalogue import PACKAGE
from tests.conformance.runs import conformance

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conformance.runs import Run

LEAKY = ("--system", f"{PACKAGE}.isolation:looks_next_door")
VARIES = {"started", "finished", "seconds", "sha256", "address", "run"}


def comparable(run: Run) -> str:
    """Return the record without ids, addresses and times."""
    lines = []
    for line in (run.folder / "record.jsonl").read_text().splitlines():
        text = line.replace(run.record.header.run, "RUN")
        text = text.replace(run.record.header.target.address, "ADDRESS")
        lines.append(without(json.loads(text)))
    return json.dumps(lines, indent=1)


def without(value: object) -> object:
    """Drop what differs from run to run, at every depth."""
    if isinstance(value, dict):
        return {name: without(each) for name, each in value.items() if name not in VARIES}
    if isinstance(value, list):
        return [without(each) for each in value]
    return value


def test_the_command_that_reproduces_a_finding_gives_the_same_record(tmp_path: Path) -> None:
    """The breach is found by the same example, and shrinks to the same one."""
    first = conformance(
        *("--target", "embedded", "--select", "isolation.read", "--seed", "7", *LEAKY),
        out=tmp_path / "first",
    )
    words = first.result("isolation.read").reproduce.split()
    assert words[:2] == ["kryonix-cache", "conformance"]
    second = conformance(*words[2:], out=tmp_path / "second")
    assert first.code == second.code == 1
    assert first.result("isolation.read").evidence
    assert comparable(first) == comparable(second)


def test_another_seed_gives_other_programs(tmp_path: Path) -> None:
    runs = [
        conformance(
            *("--target", "embedded", "--select", "isolation.read", "--seed", seed),
            out=tmp_path / seed,
        )
        for seed in ("1", "2")
    ]
    first, second = (run.result("isolation.read") for run in runs)
    assert first.outcome == second.outcome == "pass"
    assert first.operations != second.operations
