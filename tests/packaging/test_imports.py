# SPDX-License-Identifier: Apache-2.0
"""Who may import whom: the rules hold, and each rule catches the import that it forbids."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.packaging.tree import ROOT, copy_to, packaged, tool

if TYPE_CHECKING:
    from pathlib import Path

VIOLATIONS = [
    ("reference_impl/bulk.py", "reports.record", "The reference implementation stands alone"),
    ("reports/verdict.py", "reference_impl.bulk", "Reports read files only"),
    ("fixtures/powers.py", "conformance.registry", "Fixtures know the reference implementation"),
    ("conformance/registry.py", "load", "Conformance never touches load"),
    ("load/__init__.py", "fixtures.powers", "Load never touches conformance or fixtures"),
]


PACKAGE, COPY = "kryonix_cache", "kryonix_copy"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Lay the five folders out as a package, and the configuration beside it.

    The package has another name, because the linter would look into the installed one.
    """
    copy_to(tmp_path / COPY, packaged())
    shutil.copy(ROOT / "pyproject.toml", tmp_path / "pyproject.toml")
    for path in (tmp_path / "pyproject.toml", *(tmp_path / COPY).rglob("*.py")):
        path.write_text(path.read_text(encoding="utf-8").replace(PACKAGE, COPY), encoding="utf-8")
    return tmp_path


def lint(tree: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [tool("lint-imports"), "--no-cache", "--config", tree / "pyproject.toml"],
        cwd=tree,
        env=os.environ | {"PYTHONPATH": str(tree), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_the_import_rules_are_kept(tree: Path) -> None:
    done = lint(tree)
    assert done.returncode == 0, done.stdout
    assert f"{len(VIOLATIONS)} kept, 0 broken" in done.stdout


@pytest.mark.parametrize(("module", "imported", "rule"), VIOLATIONS)
def test_a_forbidden_import_is_caught(tree: Path, module: str, imported: str, rule: str) -> None:
    with (tree / COPY / module).open("a", encoding="utf-8") as file:
        file.write(f"\nimport {COPY}.{imported}\n")
    done = lint(tree)
    assert done.returncode == 1
    broken = [line for line in done.stdout.splitlines() if line.endswith("BROKEN")]
    assert [line for line in broken if line.startswith(rule)], done.stdout
