# SPDX-License-Identifier: Apache-2.0
"""Waivers: deviations that somebody answers for, and that nobody forgets."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import pytest

from kryonix_cache.conformance.errors import WaiverError
from kryonix_cache.conformance.registry import load_registry
from kryonix_cache.conformance.waivers import load_waivers
from kryonix_cache.fixtures.faults.catalogue import PACKAGE
from tests.conformance.runs import conformance

if TYPE_CHECKING:
    from pathlib import Path

TODAY = date(2026, 6, 1)
LEAKY = f"{PACKAGE}.isolation:separators_meet"
GOOD = """
[[waiver]]
requirement = "config.aof"
reason = "the provider keeps the file"
owner = "platform"
expires = 2026-06-01
"""


def waiver(**members: str) -> str:
    """Return a good entry with some of its members changed; an empty text drops the member."""
    lines = dict(line.split(" = ") for line in GOOD.split("\n") if " = " in line) | members
    return "[[waiver]]\n" + "".join(f"{name} = {text}\n" for name, text in lines.items() if text)


BROKEN = {
    "no toml": ("[[waiver", "not valid TOML"),
    "no entries": ("", "must hold [[waiver]] entries"),
    "a table": ("[waiver]\nrequirement = 'config.aof'", "must hold [[waiver]] entries"),
    "something else": (f"{GOOD}\n[other]\n", "must hold [[waiver]] entries"),
    "entries that are none": ("waiver = [1]", "entry 1, must have"),
    "no owner": (GOOD + waiver(owner=""), "entry 2, must have expires, owner, reason, requirement"),
    "a member more": (GOOD + waiver(ticket='"OPS-1"'), "entry 2, must have"),
    "an empty reason": (GOOD + waiver(reason='" "'), "entry 2: reason must be text"),
    "a number": (waiver(owner="1"), "entry 1: owner must be text"),
    "no day": (waiver(expires='"soon"'), "entry 1: expires must be a day"),
    "a moment": (waiver(expires="2026-06-01T00:00:00Z"), "entry 1: expires must be a day"),
    "expired": (
        GOOD + waiver(requirement='"config.databases"', expires="2026-05-31"),
        "entry 2: the waiver of config.databases expired on 2026-05-31",
    ),
    "unknown": (waiver(requirement='"config.aoff"'), "entry 1: There is no requirement"),
    "an area": (waiver(requirement='"config"'), "entry 1: There is no requirement 'config'"),
    "twice": (GOOD + GOOD, "waives config.aof twice"),
}


@pytest.mark.parametrize("form", BROKEN)
def test_a_broken_waiver_file_is_refused_by_entry(form: str, tmp_path: Path) -> None:
    text, sentence = BROKEN[form]
    path = tmp_path / "waivers.toml"
    path.write_text(text)
    with pytest.raises(WaiverError) as caught:
        load_waivers(path, load_registry(), today=TODAY)
    assert sentence in str(caught.value)
    assert str(path) in str(caught.value)
    assert caught.value.exit_code == 4


def test_a_waiver_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WaiverError, match="cannot be read"):
        load_waivers(tmp_path / "none.toml", load_registry(), today=TODAY)


def test_a_waiver_holds_on_its_last_day(tmp_path: Path) -> None:
    path = tmp_path / "waivers.toml"
    path.write_text(GOOD)
    (kept,) = load_waivers(path, load_registry(), today=TODAY)
    assert (kept.requirement, kept.owner, kept.expires) == ("config.aof", "platform", "2026-06-01")


def test_a_broken_waiver_file_ends_the_command_before_anything_starts(tmp_path: Path) -> None:
    path = tmp_path / "waivers.toml"
    path.write_text(waiver(expires="2020-01-01"))
    run = conformance("--waivers", str(path), out=tmp_path / "out")
    assert run.code == 4
    assert "entry 1: the waiver of config.aof expired on 2020-01-01" in run.errors
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "code"), [((), 10), (("--accept", "partial"), 0)], ids=["gate", "accepted"]
)
def test_a_waived_must_makes_the_run_partial(
    arguments: tuple[str, ...], code: int, tmp_path: Path
) -> None:
    """Accepting a partial run changes the exit code, and neither the verdict nor its words."""
    path = tmp_path / "waivers.toml"
    path.write_text(waiver(requirement='"isolation.read"', expires="2999-01-01"))
    run = conformance(
        *("--target", "embedded", "--select", "isolation.read", "--system", LEAKY),
        *("--waivers", str(path), *arguments),
        out=tmp_path / "out",
    )
    assert run.code == code, run.output + run.errors
    assert run.outcomes == {"isolation.read": "waived"}
    assert run.record.verdict.value == "partial"
    assert run.result("isolation.read").waiver is not None
    assert ("(accepted)" in run.output) == (code == 0)


def test_a_waiver_that_is_not_needed_fails_the_run(tmp_path: Path) -> None:
    path = tmp_path / "waivers.toml"
    path.write_text(waiver(requirement='"isolation.key-builder"', expires="2999-01-01"))
    run = conformance(
        *("--target", "embedded", "--select", "isolation.key-builder", "--waivers", str(path)),
        out=tmp_path / "out",
    )
    assert (run.code, run.outcomes) == (1, {"isolation.key-builder": "fail"})
    assert "not needed" in run.output
