# SPDX-License-Identifier: Apache-2.0
"""The same seed gives the same run, in processes whose hashes have different seeds."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from kryonix_cache.fixtures.faults.catalogue import PACKAGE
from tests.conformance.runs import installed_conformance as conformance

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conformance.runs import Run

LEAKY = {
    "isolation.read": f"{PACKAGE}.isolation:looks_next_door",
    "isolation.delete": f"{PACKAGE}.times:cleans_up_next_door",
    "isolation.non-interference": f"{PACKAGE}.areas:counts_all_jobs",
    "isolation.pubsub": f"{PACKAGE}.areas:listens_by_prefix",
}
VARIES = {"started", "finished", "seconds", "sha256", "address", "run"}


# How many commands a faulty system sends may differ: what it looks through when threads write at
# once depends on which of them came first. What was played and what was found may not.
VARIES_AT_ONCE = {"operations", "commands", "reads", "values_read"}


def comparable(run: Run) -> str:
    """Return the record without ids, addresses and times, and what may differ between threads."""
    lines = []
    for line in (run.folder / "record.jsonl").read_text().splitlines():
        text = line.replace(run.record.header.run, "RUN")
        text = text.replace(run.record.header.target.address, "ADDRESS")
        lines.append(without(json.loads(text)))
    return json.dumps(lines, indent=1)


def without(value: object) -> object:
    """Drop what differs from run to run, at every depth."""
    if isinstance(value, dict):
        return {
            name: without(each)
            for name, each in value.items()
            if name not in VARIES | VARIES_AT_ONCE
        }
    if isinstance(value, list):
        return [without(each) for each in value]
    return value


@pytest.mark.parametrize("requirement", LEAKY)
def test_the_command_that_reproduces_a_finding_gives_the_same_record(
    requirement: str, tmp_path: Path
) -> None:
    """The breach is found by the same steps, and they are shortened to the same ones."""
    first = conformance(
        *("--target", "embedded", "--select", requirement, "--seed", "7"),
        *("--system", LEAKY[requirement]),
        out=tmp_path / "first",
    )
    words = first.result(requirement).reproduce.split()
    assert words[:2] == ["kryonix-cache", "conformance"]
    second = conformance(*words[2:], out=tmp_path / "second")
    assert first.code == second.code == 1
    assert first.result(requirement).evidence
    assert comparable(first) == comparable(second)
    assert programs_of(first) == programs_of(second)


def programs_of(run: Run) -> dict[str, str]:
    """Return the counterexamples of a run by their names, without its id."""
    return {
        file.name: file.read_text().replace(run.record.header.run, "RUN")
        for file in run.folder.glob("counterexample-*.py")
    }


@pytest.mark.parametrize("requirement", ["isolation.write", "isolation.queues"])
def test_the_same_seed_gives_the_same_steps(requirement: str, tmp_path: Path) -> None:
    """Threads and tasks among them, whose replies may come in any order."""
    runs = [
        conformance(
            *("--target", "embedded", "--select", requirement, "--seed", "3"), out=tmp_path / name
        )
        for name in ("first", "second")
    ]
    first, second = (run.result(requirement) for run in runs)
    assert first.outcome == second.outcome == "pass"
    assert first.observations == second.observations


def test_what_the_module_of_an_implementation_holds_does_not_change_the_steps(
    tmp_path: Path,
) -> None:
    """So a finding can be played again after a line of the implementation was changed."""
    numbers = [number * number + 123_457 for number in range(300)]
    plain = "from kryonix_cache.fixtures.faults.plain import plain_system\n"
    observations = []
    for name, text in (("first", plain), ("second", f"{plain}NUMBERS = {numbers}\n")):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "adapter.py").write_text(text)
        run = conformance(
            *("--target", "embedded", "--select", "isolation.list"),
            *("--system", "adapter:plain_system"),
            out=folder / "out",
            cwd=folder,
        )
        observations.append(run.result("isolation.list").observations)
    assert observations[0] == observations[1]
    assert observations[0]["steps"] > 500


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


def test_the_same_seed_replays_the_same_requests_to_an_optimiser(tmp_path: Path) -> None:
    """What came of them is told in the reason: hit rates, confidence, how often it was right."""
    first, second, other = (
        conformance(
            *("--target", "embedded", "--select", "optimiser.prediction-value", "--seed", seed),
            out=tmp_path / name,
        ).result("optimiser.prediction-value")
        for name, seed in (("first", "5"), ("second", "5"), ("other", "6"))
    )
    assert first.outcome == second.outcome == other.outcome == "pass"
    assert (first.reason, first.observations) == (second.reason, second.observations)
    assert first.reason != other.reason
