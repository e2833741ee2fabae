# SPDX-License-Identifier: Apache-2.0
"""`kryonix-cache evaluate` on a command line."""

from __future__ import annotations

import json
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest

COMMAND = Path(sys.executable).with_name("kryonix-cache")


def evaluate(*arguments: str | Path, python: str | None = None) -> subprocess.CompletedProcess[str]:
    command = [str(COMMAND)] if python is None else [sys.executable, "-c", python]
    return subprocess.run(
        [*command, "evaluate", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture(scope="module")
def series(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("demand") / "shop.csv"
    hours = np.arange(14 * 24)
    requests = np.random.default_rng(1).poisson(60 + 50 * np.cos(2 * np.pi * hours / 24))
    moments = np.datetime64("2025-01-06T00") + hours
    lines = [f"{moment}:00:00,{number}" for moment, number in zip(moments, requests, strict=True)]
    path.write_text("hour,requests\n" + "\n".join(lines) + "\n")
    return path


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("log") / "reads.csv"
    chance = np.random.default_rng(2)
    first = np.datetime64("2025-01-06T00:00:00")
    with path.open("w") as file:
        file.write("time,tenant,module,endpoint\n")
        for minute in range(0, 14 * 24 * 60, 7):
            moment = first + np.timedelta64(minute, "m")
            file.write(f"{moment}+00:00,acme,crm,e{int(chance.zipf(1.6)) % 40}\n")
    return path


def test_a_series_is_evaluated_and_checked_on_a_real_server(series: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = evaluate("--demand", series, "--seed", "1", "--seed", "2", "--out", out)
    assert result.returncode == 0, result.stderr
    assert "Keys and popularity are synthetic" in result.stdout
    assert "Simulator and real server agree" in result.stdout
    assert "shop" in result.stdout
    figures = json.loads((out / "evaluation.json").read_text())
    assert figures["seeds"] == [1, 2]
    assert all(one["agrees"] for one in figures["replay"])
    page = (out / "evaluation.html").read_text()
    assert "Keys and popularity are synthetic" in page
    for name in ("saved", "confidence"):
        assert (out / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        drawing = (out / f"{name}.svg").read_text()
        ET.fromstring(drawing)
        assert "keys and popularity are synthetic" in " ".join(drawing.split())


def test_json_is_all_that_is_printed_and_follows_from_the_seed(series: Path) -> None:
    first, again = (
        evaluate("--demand", series, "--seed", "7", "--no-replay", "--json", "--ttl", "1800")
        for _ in range(2)
    )
    figures = json.loads(first.stdout)
    assert first.stdout == again.stdout
    assert figures["replay"] is None
    assert figures["setting"]["lifetime_s"] == 1800
    assert figures["synthetic"][0].startswith("Keys and popularity are synthetic")
    assert "The simulator was not checked against a real server." in figures["sentences"]


def test_an_access_log_is_evaluated_as_it_is(log: Path) -> None:
    result = evaluate("--log", log, "--no-replay", "--json")
    assert result.returncode == 0, result.stderr
    figures = json.loads(result.stdout)
    assert {line["series"] for line in figures["lines"]} == {"acme", "all"}
    assert figures["synthetic"] == ["For an access log the oracle knows what was then asked for."]
    assert figures["seeds"] == [1]


def test_without_a_file_made_up_demand_is_evaluated() -> None:
    result = evaluate("--seed", "1", "--no-replay", "--json")
    assert result.returncode == 0, result.stderr
    figures = json.loads(result.stdout)
    assert figures["synthetic"][0].startswith("The demand, too, is made up")
    assert {"bursts", "gaps", "tiny", "huge"} <= {line["series"] for line in figures["lines"]}


def test_plots_without_their_library_end_in_one_sentence(series: Path, tmp_path: Path) -> None:
    """The check comes before the work."""
    hidden = (
        "import sys; sys.modules['matplotlib'] = None\n"
        "from kryonix_cache.conformance.cli.main import main; main()"
    )
    result = evaluate("--demand", series, "--out", tmp_path / "out", python=hidden)
    assert result.returncode == 4
    assert result.stderr.strip() == (
        "Error: Plots need matplotlib, which is not installed: "
        "pip install 'kryonix-cache-conformance[plots]', or leave --out away."
    )
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("option", ["--demand", "--log"])
def test_a_broken_file_ends_in_one_sentence(option: str, tmp_path: Path) -> None:
    path = tmp_path / "broken.csv"
    path.write_text("nothing,of,this\n1,2,3\n")
    result = evaluate(option, path, "--no-replay")
    assert result.returncode == 4
    assert "Traceback" not in result.stderr
    assert "broken.csv" in result.stderr
