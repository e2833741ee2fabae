# SPDX-License-Identifier: Apache-2.0
"""The adapter: `--system adapter_http.adapter:system` judges the service over HTTP."""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import sys
from functools import cache
from http import HTTPStatus
from typing import TYPE_CHECKING, cast
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import ProxyHandler, Request, build_opener

from kryonix_cache.fixtures.system import System
from kryonix_cache.reference_impl.errors import InvalidTenantIdError, KeyPartError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from kryonix_cache.fixtures.system import Surroundings
    from kryonix_cache.reference_impl.endpoint import Endpoint

TIMEOUT_SECONDS = 10


def system(surroundings: Surroundings) -> System:
    """Return the service on the server that the suite names; it offers a tenant store only."""
    service = Service(_address_of_service_on(surroundings.endpoint))
    # The service's commands do not pass the guard, and the suite has to know it.
    return System(name="tenant cache over HTTP", tenant_store=Store(service), in_process=False)


@cache
def _address_of_service_on(endpoint: Endpoint) -> str:
    """Start the service on this server once; it ends with this process."""
    environment = {
        **os.environ,
        "TENANT_CACHE_REDIS": f"{endpoint.scheme}://{endpoint.host_and_port}",
        "TENANT_CACHE_USERNAME": endpoint.username or "",
        "TENANT_CACHE_PASSWORD": endpoint.password or "",
        "TENANT_CACHE_CA_FILE": str(endpoint.ca_file or ""),
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "adapter_http.service"],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    atexit.register(_end, process)
    port = process.stdout.readline().strip() if process.stdout else ""
    if not port:
        raise RuntimeError("the service did not start")
    return f"http://127.0.0.1:{port}"


def _end(process: subprocess.Popen[str]) -> None:
    process.terminate()
    process.communicate()


class Service:
    """Sends requests; None stands for an empty answer."""

    def __init__(self, address: str) -> None:
        self._address = address
        # Variables such as http_proxy are not meant for a service of this machine.
        self._opener = build_opener(ProxyHandler({}))

    def send(self, method: str, *path: str, body: object = None) -> object:
        """Send a request to the path of these words; raise HTTPError for a refusal."""
        request = Request(  # noqa: S310 (the address is http)
            "/".join([self._address, *(quote(word, safe="") for word in path)]),
            data=None if body is None else json.dumps(body).encode(),
            method=method,
        )
        with self._opener.open(request, timeout=TIMEOUT_SECONDS) as response:
            payload = response.read()
        return json.loads(payload) if payload else None


class Store:
    """Capability `tenant_store`."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def open(self, tenant: str) -> Handle:
        """Return the handle of a tenant whose id the service accepts."""
        try:
            self._service.send("GET", "tenants", tenant)
        except HTTPError as error:
            if error.code == HTTPStatus.BAD_REQUEST:
                raise InvalidTenantIdError("The service refuses this id of a tenant.") from None
            raise
        return Handle(self._service, tenant)


class Handle:
    """What one tenant can do, each method one request."""

    def __init__(self, service: Service, tenant: str) -> None:
        self._service = service
        self._tenant = tenant

    def put(self, module: str, endpoint: str, data: object, *, ttl: int) -> None:
        """Cache an answer."""
        self._send("PUT", "answers", module, endpoint, body={"data": data, "ttl": ttl})

    def get(self, module: str, endpoint: str) -> object | None:
        """Return the cached data, or None."""
        return cast("dict[str, object]", self._send("GET", "answers", module, endpoint))["data"]

    def list(self) -> Collection[tuple[str, str]]:
        """Return (module, endpoint) of each answer."""
        found = cast("list[list[str]]", self._send("GET", "answers"))
        return [(module, endpoint) for module, endpoint in found]

    def delete(self, module: str, endpoint: str) -> bool:
        """Drop an answer."""
        return bool(self._send("DELETE", "answers", module, endpoint))

    def start_session(self, session: str, fields: Mapping[str, str]) -> None:
        """Write a session."""
        self._send("PUT", "sessions", session, body=dict(fields))

    def read_session(self, session: str) -> Mapping[str, str]:
        """Return the fields of a session."""
        return cast("dict[str, str]", self._send("GET", "sessions", session))

    def list_sessions(self) -> Collection[str]:
        """Return the ids of the sessions."""
        return cast("list[str]", self._send("GET", "sessions"))

    def end_session(self, session: str) -> bool:
        """Drop a session."""
        return bool(self._send("DELETE", "sessions", session))

    def _send(self, method: str, *path: str, body: object = None) -> object:
        try:
            return self._service.send(method, "tenants", self._tenant, *path, body=body)
        except HTTPError as error:
            if error.code == HTTPStatus.BAD_REQUEST:
                raise KeyPartError("The service refuses one of the names.") from None
            raise
