# SPDX-License-Identifier: Apache-2.0
"""The processes that the tests start share the byte-code of what they import."""

from __future__ import annotations

import os
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest


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
