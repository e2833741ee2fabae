# SPDX-License-Identifier: Apache-2.0
"""Disposable servers that a run sees as live ones, because it gets no more than their URL."""

from __future__ import annotations

import time
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, cast
from urllib.parse import quote

from kryonix_cache.fixtures.targets.configuration import ServerPlan
from kryonix_cache.fixtures.targets.server import ServerProcess
from kryonix_cache.reference_impl.connection import Pools, connect
from kryonix_cache.reference_impl.contract import default_contract
from kryonix_cache.reference_impl.seeding import Seeder, SyntheticPlan, synthetic_tenant_ids

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator
    from pathlib import Path

    from kryonix_cache.reference_impl.connection import Endpoint

DIGEST_ALLOWED = {"enable-debug-command": "yes"}
POLL_SECONDS = 0.005
"""Waiting without a pause would take the time of the run that is waited for."""


def right_directives(profile: str = "ci") -> dict[str, str]:
    """Return the directives with which a server passes, by their present names."""
    return {each.name: each.value for each in default_contract().profile(profile).directives}


def url_of(endpoint: Endpoint, *, username: str | None = None, password: str | None = None) -> str:
    """Return the URL of a server with an account, by default the administrator's."""
    name = quote(username or endpoint.username or "", safe="")
    word = quote(password or endpoint.password or "", safe="")
    account = f"{name}:{word}@" if name or word else ""
    return f"redis://{account}{endpoint.host}:{endpoint.port}/{endpoint.database}"


def digest(endpoint: Endpoint) -> str:
    """Return the server's own digest of all keys, values and expiries of every database."""
    with closing(connect(endpoint, decode=True)) as client:
        return cast("str", client.execute_command("DEBUG", "DIGEST"))


@contextmanager
def seeded_server(binary: Path, tenants: int = 5) -> Iterator[ServerProcess]:
    """Start a rightly configured server with tenants that are clean by the contract."""
    with ServerProcess(
        binary, ServerPlan(directives=right_directives() | DIGEST_ALLOWED)
    ) as server:
        with Pools(server.endpoint) as clients:
            contract = default_contract()
            ids = synthetic_tenant_ids(contract, tenants, 0)
            Seeder(clients).seed(SyntheticPlan(contract, ids, 0))
        yield server


def count_keys(endpoint: Endpoint, *, expiring: bool | None = None) -> int:
    """Count all keys of a server, or those that expire, or those that never do."""
    with closing(connect(endpoint, decode=True)) as client:
        figures = client.info("keyspace").values()
    keys = sum(int(each["keys"]) for each in figures)
    expires = sum(int(each["expires"]) for each in figures)
    return keys if expiring is None else expires if expiring else keys - expires


def wait_for_own_keys(endpoint: Endpoint, process: subprocess.Popen[str]) -> None:
    """Wait until a run has written keys of its tenants, which all expire."""
    with closing(connect(endpoint, 1)) as client:
        while process.poll() is None:
            for key in client.scan_iter(match="tenant:ct-*", count=1000):
                if client.pttl(key) > 0:
                    return
            time.sleep(POLL_SECONDS)
    raise AssertionError("".join(process.communicate()))


def wait_for_disconnection(endpoint: Endpoint, seconds: float = 10) -> None:
    """Wait until the server has noticed that a killed run is gone."""
    deadline = time.monotonic() + seconds
    with closing(connect(endpoint, decode=True)) as client:
        while time.monotonic() < deadline:
            if not any(each["name"].startswith("kryonix:") for each in client.client_list()):
                return
            time.sleep(POLL_SECONDS)
    raise TimeoutError("the run is still connected")
