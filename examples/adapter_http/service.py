# SPDX-License-Identifier: Apache-2.0
"""
The example service: a tenant cache over HTTP, in a process of its own.

    python -m adapter_http.service

TENANT_CACHE_REDIS, TENANT_CACHE_USERNAME, TENANT_CACHE_PASSWORD and TENANT_CACHE_CA_FILE say
which Redis it works on. It prints its port, and ends when its standard input does, so that it
never outlives whoever started it. TENANT_CACHE_BUG=memory plants a bug for the suite to find.

    GET              /tenants/T                  204, or 400 for an id that it refuses
    GET              /tenants/T/answers          [[module, endpoint], ...]
    GET PUT DELETE   /tenants/T/answers/M/E      {"data": ..., "ttl": seconds}
    GET              /tenants/T/sessions         [session, ...]
    GET PUT DELETE   /tenants/T/sessions/S       {field: value, ...}
"""

from __future__ import annotations

import json
import os
import sys
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, cast
from urllib.parse import unquote

from redis.exceptions import RedisError

from adapter_http.cache import Memory, RefusedNameError, TenantCache
from kryonix_cache.reference_impl.connection import Endpoint, Pools

if TYPE_CHECKING:
    from collections.abc import Mapping

HOST = "127.0.0.1"
Answer = tuple[HTTPStatus, object]


class Service(ThreadingHTTPServer):
    """The HTTP server, and the Redis that it works on."""

    daemon_threads = True
    # The default is 5: of more clients at once some would wait a second for their second try.
    request_queue_size = 128

    def __init__(self, environ: Mapping[str, str]) -> None:
        super().__init__((HOST, 0), Requests)
        authority = environ.get("TENANT_CACHE_CA_FILE")
        endpoint = Endpoint.parse(
            environ["TENANT_CACHE_REDIS"],
            username=environ.get("TENANT_CACHE_USERNAME"),
            password=environ.get("TENANT_CACHE_PASSWORD"),
            ca_file=Path(authority) if authority else None,
        )
        self._pools = Pools(endpoint, name="tenant-cache")
        self._memory: Memory | None = {} if environ.get("TENANT_CACHE_BUG") == "memory" else None

    def cache(self, tenant: str) -> TenantCache:
        """Return the cache of one tenant."""
        return TenantCache(self._pools, tenant, self._memory)


class Requests(BaseHTTPRequestHandler):
    """One request: a path names a tenant and what of it, the method what to do."""

    def do_GET(self) -> None:
        """Read or list."""
        self._answer()

    def do_PUT(self) -> None:
        """Write."""
        self._answer()

    def do_DELETE(self) -> None:
        """Drop."""
        self._answer()

    def log_message(self, *_: object) -> None:
        """Write no log: tenants and sessions stand in the paths."""

    def _answer(self) -> None:
        try:
            status, body = self._routed()
        except RefusedNameError as error:
            status, body = HTTPStatus.BAD_REQUEST, str(error)
        except RedisError:
            status, body = HTTPStatus.SERVICE_UNAVAILABLE, "the cache does not answer"
        payload = b"" if status == HTTPStatus.NO_CONTENT else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)

    def _routed(self) -> Answer:
        words = [unquote(word) for word in self.path.removeprefix("/").split("/")]
        match words:
            case ["tenants", tenant]:
                cast("Service", self.server).cache(tenant)
                return HTTPStatus.NO_CONTENT, None
            case ["tenants", tenant, "answers", *names]:
                return self._answers(cast("Service", self.server).cache(tenant), names)
            case ["tenants", tenant, "sessions", *names]:
                return self._sessions(cast("Service", self.server).cache(tenant), names)
        return HTTPStatus.NOT_FOUND, "no such path"

    def _answers(self, cache: TenantCache, names: list[str]) -> Answer:
        match self.command, names:
            case "GET", []:
                return HTTPStatus.OK, cache.answers()
            case "GET", [module, endpoint]:
                return HTTPStatus.OK, {"data": cache.get(module, endpoint)}
            case "PUT", [module, endpoint]:
                body = self._body()
                cache.put(module, endpoint, body["data"], cast("int", body["ttl"]))
                return HTTPStatus.NO_CONTENT, None
            case "DELETE", [module, endpoint]:
                return HTTPStatus.OK, cache.delete(module, endpoint)
        return HTTPStatus.NOT_FOUND, "no such path"

    def _sessions(self, cache: TenantCache, names: list[str]) -> Answer:
        match self.command, names:
            case "GET", []:
                return HTTPStatus.OK, cache.sessions()
            case "GET", [session]:
                return HTTPStatus.OK, cache.read_session(session)
            case "PUT", [session]:
                cache.start_session(session, cast("dict[str, str]", self._body()))
                return HTTPStatus.NO_CONTENT, None
            case "DELETE", [session]:
                return HTTPStatus.OK, cache.end_session(session)
        return HTTPStatus.NOT_FOUND, "no such path"

    def _body(self) -> dict[str, object]:
        body: dict[str, object] = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        return body


def main() -> None:
    """Serve until standard input ends."""
    service = Service(os.environ)
    Thread(target=service.serve_forever, daemon=True).start()
    sys.stdout.write(f"{service.server_port}\n")
    sys.stdout.flush()
    sys.stdin.read()


if __name__ == "__main__":
    main()
