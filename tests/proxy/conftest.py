# SPDX-License-Identifier: Apache-2.0
"""Real servers, and a proxy before one of them."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from kryonix_cache.fixtures.proxy.process import ProxyProcess
from kryonix_cache.reference_impl.endpoint import Endpoint
from tests.targets.servers import redis_binary, server, valkey_binary

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from kryonix_cache.fixtures.targets.server import ServerProcess

__all__ = ["redis_binary", "server", "valkey_binary"]


@pytest.fixture(scope="session")
def binary(redis_binary: Path) -> Path:
    return redis_binary


@pytest.fixture
def proxy(server: ServerProcess) -> Iterator[ProxyProcess]:
    with ProxyProcess(server.endpoint) as running:
        yield running


class Echo:
    """A server that sends back what it gets, and says goodbye when its client has finished."""

    GOODBYE = b" and goodbye"

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.endpoint = Endpoint("redis", "127.0.0.1", self.listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                taken, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(taken,), daemon=True).start()

    def _serve(self, taken: socket.socket) -> None:
        with taken, suppress(OSError):
            while data := taken.recv(1 << 16):
                taken.sendall(data)
            taken.sendall(self.GOODBYE)


@pytest.fixture
def echo() -> Iterator[Echo]:
    server = Echo()
    yield server
    server.listener.close()


@pytest.fixture
def before_echo(echo: Echo) -> Iterator[ProxyProcess]:
    with ProxyProcess(echo.endpoint) as running:
        yield running
