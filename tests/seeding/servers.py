# SPDX-License-Identifier: Apache-2.0
"""The server programs that seeding is tested on."""

from __future__ import annotations

import os

import pytest

from kryonix_cache.fixtures.errors import NoServerBinaryError
from kryonix_cache.fixtures.targets.configuration import ServerPlan
from kryonix_cache.fixtures.targets.server import ServerProcess
from kryonix_cache.fixtures.targets.starters import BinaryStarter, embedded, local


def starter(product: str) -> BinaryStarter:
    """Return the program of one product; skip the test without it, or fail under CI."""
    try:
        found = local() if product == "redis" else [embedded()]
    except NoServerBinaryError:
        found = []
    if found:
        return found[0]
    reason = f"no {product} server program on this machine"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


def new_server(product: str = "redis", **directives: str) -> ServerProcess:
    """Return a server of one product, not yet started, that saves nothing by itself."""
    plan = ServerPlan(directives={"save": "", **directives}, open_access=True)
    return ServerProcess(starter(product).binary, plan)
