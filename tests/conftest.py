# SPDX-License-Identifier: Apache-2.0
"""How the tests are shared out, and the byte-code that the processes which they start share."""

from __future__ import annotations

import os
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from xdist.remote import Producer
    from xdist.scheduler import LoadScopeScheduling

DIVISIBLE = (
    "tests/faults/test_faulty_systems.py",
    "tests/faults/test_misconfigured_servers.py",
    "tests/conformance/test_exit_codes.py",
    "tests/conformance/test_repeatability.py",
)
"""Files of many long tests that share nothing: what is left of them at the end is shared out."""


def pytest_configure(config: pytest.Config) -> None:
    """Keep byte-code in a folder of the session, which its workers and all children inherit.

    Hundreds of tests start the command. Without this each start compiles the suite again, as
    pytest rewrites its assertions; and a cache beside the sources would change what is tested.
    """
    if hasattr(config, "workerinput"):
        return
    folder = TemporaryDirectory(prefix="kryonix-bytecode-", ignore_cleanup_errors=True)
    config.add_cleanup(folder.cleanup)
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ["PYTHONPYCACHEPREFIX"] = folder.name


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadScopeScheduling | None:
    """Give each worker a file at a time, as its tests share servers, and those of some singly.

    The single ones come last, so that no worker has nothing to do while another one has a file.
    """
    if config.getoption("dist") != "load":
        return None
    from xdist.scheduler import LoadScopeScheduling  # noqa: PLC0415 (who runs one file may lack it)

    scheduler = LoadScopeScheduling(config, log)
    scheduler._split_scope = unit_of
    return scheduler


def unit_of(nodeid: str) -> str:
    """Return what the test is given to a worker with: its file, or itself alone."""
    file = nodeid.partition("::")[0]
    return nodeid if file in DIVISIBLE else file
