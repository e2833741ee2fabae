# SPDX-License-Identifier: Apache-2.0
"""Disposable servers that a run sees as live ones, because it gets no more than their URL."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, cast
from urllib.parse import quote

from kryonix_cache.reference_impl.connection import connect
from kryonix_cache.reference_impl.contract import default_contract

if TYPE_CHECKING:
    from kryonix_cache.reference_impl.connection import Endpoint

DIGEST_ALLOWED = {"enable-debug-command": "yes"}


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
