# SPDX-License-Identifier: Apache-2.0
"""The wheel, built by way of the sdist, holds the tree's files and nothing else."""

from __future__ import annotations

import configparser
import importlib.util
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

from tests.packaging.tree import FOLDERS, ROOT, copy_to, files, missing, packaged, tool

LITTER = (
    "build/lib/kryonix_cache/conformance/deleted.py",
    "conformance/__pycache__/stale.pyc",
    "reports/runs/20250101T000000Z-abcdef/record.jsonl",
    "reports/runs/latest.json",
)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build sdist and wheel of a littered copy of the checkout; return their folder."""
    if importlib.util.find_spec("build") is None:
        missing("the package build is not installed")
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("out")
    copy_to(source, files())
    for name in LITTER:
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_text("litter", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "--outdir", out, source],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return out


@pytest.fixture(scope="module")
def wheel(built: Path) -> Path:
    (path,) = built.glob("*.whl")
    return path


def content(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        return sorted(archive.namelist())


def test_the_wheel_holds_exactly_the_files_of_the_five_folders(wheel: Path) -> None:
    modules = [name for name in content(wheel) if ".dist-info/" not in name]
    assert modules == [f"kryonix_cache/{name}" for name in packaged()]


def test_nothing_but_one_import_package_lands_in_site_packages(wheel: Path) -> None:
    tops = {name.split("/")[0] for name in content(wheel)}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"kryonix_cache"}


def test_litter_of_the_tree_is_in_neither_archive(wheel: Path, built: Path) -> None:
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        shipped = [member.name.partition("/")[2] for member in archive.getmembers()]
    shipped += content(wheel)
    assert [n for n in shipped if "runs/" in n or "deleted" in n or n.endswith(".pyc")] == []


def test_the_licence_is_in_the_wheel(wheel: Path) -> None:
    assert [name for name in content(wheel) if name.endswith("licenses/LICENSE")]


def test_each_package_says_that_it_is_typed(wheel: Path) -> None:
    typed = {name.split("/")[1] for name in content(wheel) if name.endswith("/py.typed")}
    assert typed == set(FOLDERS)


def test_command_and_pytest_plugin_point_to_modules_of_the_wheel(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (n for n in archive.namelist() if n.endswith("entry_points.txt"))
        points = configparser.ConfigParser(delimiters=("=",))
        points.read_string(archive.read(name).decode())
    assert dict(points["console_scripts"]) == {
        "kryonix-cache": "kryonix_cache.conformance.cli.main:main"
    }
    assert dict(points["pytest11"]) == {"kryonix-cache": "kryonix_cache.fixtures.plugin"}
    for target in ("kryonix_cache.conformance.cli.main", "kryonix_cache.fixtures.plugin"):
        assert target.replace(".", "/") + ".py" in content(wheel)


def test_the_list_of_packages_is_that_of_the_tree() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    listed = settings["tool"]["setuptools"]["packages"]
    folders = {str(Path(name).parent) for name in packaged() if name.endswith(".py")}
    assert listed == sorted(f"kryonix_cache.{folder.replace('/', '.')}" for folder in folders)


def test_the_namespace_has_no_module_of_its_own(wheel: Path) -> None:
    """`kryonix_cache` is a namespace package: an __init__ would hide the other folders."""
    assert "kryonix_cache/__init__.py" not in content(wheel)


def test_the_wheel_has_no_known_faults(wheel: Path) -> None:
    done = subprocess.run(
        [tool("check-wheel-contents"), wheel],
        cwd=wheel.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_the_wheel_runs_alone(wheel: Path, tmp_path: Path) -> None:
    """Data files are found when nothing of the checkout is on the path."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    program = (
        "import kryonix_cache.conformance.cli.main as main, sys;"
        f"assert main.__file__.startswith({str(tmp_path)!r}), main.__file__;"
        "main.cli(['requirements', 'docs'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "# Requirements" in done.stdout
