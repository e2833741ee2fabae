# SPDX-License-Identifier: Apache-2.0
"""Connections of tenants' own users, and single commands over them."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import redis

from kryonix_cache.conformance.cli.secret_files import Place
from kryonix_cache.reference_impl.connection import Pools, bulk

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kryonix_cache.reference_impl.access import Login
    from kryonix_cache.reference_impl.bulk import Reply
    from kryonix_cache.reference_impl.endpoint import Endpoint

PLACE = Place("redis://127.0.0.1:6379", "first-run")
"""A server that a secret file may be for."""


@contextmanager
def logged_in(endpoint: Endpoint, login: Login) -> Iterator[Pools]:
    """Give clients of a tenant's own user."""
    account = replace(endpoint, username=login.username, password=login.password)
    with Pools(account) as own:
        yield own


def ask(client: redis.Redis, *words: bytes | str) -> Reply:
    """Send one command and return its reply, an error as it is.

    A connection that may not enter its database gets the same answer as a command of no permission.
    """
    command = [word if isinstance(word, bytes) else word.encode() for word in words]
    try:
        with bulk(client) as connection:
            (reply,) = connection.exchange([command])
    except redis.exceptions.NoPermissionError as error:
        return redis.ResponseError(f"NOPERM {error}")
    return reply


def denied(reply: Reply) -> bool:
    """Say whether the server refused for lack of a permission."""
    return isinstance(reply, redis.ResponseError) and str(reply).startswith("NOPERM")


def may_enter(endpoint: Endpoint, login: Login) -> bool:
    """Say whether a new connection can be made with this account."""
    try:
        with logged_in(endpoint, login) as own:
            own[0].ping()
    except redis.AuthenticationError:
        return False
    return True
