# SPDX-License-Identifier: Apache-2.0
"""The installed command, and the places of the examples."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
SECONDS = 120


def run(
    *arguments: str | Path, ends_with: int = 0, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run `kryonix-cache`, from the folder of the checkout, with more variables."""
    result = subprocess.run(
        [Path(sys.executable).with_name("kryonix-cache"), *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, "COLUMNS": "200", **environment},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert result.returncode == ends_with, result.stdout + result.stderr
    return result
