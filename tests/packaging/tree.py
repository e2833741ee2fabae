# SPDX-License-Identifier: Apache-2.0
"""The files of the checkout that belong to the project, and copies of them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("conformance", "fixtures", "load", "reference_impl", "reports")


def files() -> list[str]:
    """Return every file that git tracks or would track; skip where there is no checkout."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode != 0:
        missing(f"no git checkout: {listed.stderr.strip()}")
    return sorted(name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file())


def packaged() -> list[str]:
    """Return the files of the five folders that ship."""
    return [name for name in files() if name.split("/")[0] in FOLDERS]


def copy_to(folder: Path, names: list[str]) -> None:
    """Copy files of the checkout to `folder`, with their paths."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)


def tool(name: str) -> Path:
    """Return a command of the environment that runs the tests."""
    path = Path(sys.executable).with_name(name)
    if not path.exists():
        missing(f"{name} is not installed")
    return path


def missing(reason: str) -> None:
    """Fail in CI and skip elsewhere: what is missing in CI is missing for good."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)
