# SPDX-License-Identifier: Apache-2.0
"""The first contact with a server: what it is, or one sentence about why it cannot be used."""

from __future__ import annotations

import os
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

import redis

from kryonix_cache.reference_impl.connection import bulk, connect
from kryonix_cache.reference_impl.errors import (
    ClusterError,
    DatabaseUnavailableError,
    LoadingError,
    NotARedisServerError,
    ReplicaError,
    TargetRefusedError,
    TargetUnreachableError,
    TlsFailureError,
    WrongPasswordError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kryonix_cache.reference_impl.connection import CommandPolicy, Endpoint

_NOT_INFO = "an answer that is not Redis protocol"


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """What the server says about itself; None where this user may not know.

    `info` holds the fields of INFO as text, empty where INFO is denied.
    """

    product: str
    version: str
    role: str | None
    cluster: bool | None
    info: Mapping[str, str]


def reach(
    endpoint: Endpoint,
    *,
    policy: CommandPolicy | None = None,
    timeout: float = 5.0,
    replica_allowed: bool = False,
) -> ServerFacts:
    """Make the first contact and say what answers.

    Raises:
        TargetUnreachableError: nothing answers, or not within `timeout` seconds.
        WrongPasswordError: credentials are missing or wrong.
        TlsFailureError: the certificate is not trusted, or one side does not speak TLS.
        NotARedisServerError: something else answers, or a Sentinel.
        DatabaseUnavailableError: the server does not have `endpoint.database`.
        TargetRefusedError: protected mode, the limit of clients, and the like.
        LoadingError: the server is still reading its data.
        ReplicaError: the server is a replica and `replica_allowed` is false.
        ClusterError: the server runs in cluster mode.

    """
    client = connect(endpoint, endpoint.database, policy=policy, timeout=timeout)
    try:
        facts = _facts(client)
    except redis.RedisError as error:
        _explain(error, endpoint, timeout)
    finally:
        client.close()
    _refuse_unfit(facts, endpoint, replica_allowed=replica_allowed)
    return facts


def _facts(client: redis.Redis) -> ServerFacts:
    with bulk(client) as connection:
        ping, info, role = connection.exchange([(b"PING",), (b"INFO",), (b"ROLE",)])
    for reply in (ping, info):
        if isinstance(reply, redis.ResponseError) and not _denied(reply):
            raise reply
    fields = _fields(info) if isinstance(info, bytes) else {}
    if isinstance(info, bytes) and not fields:
        raise redis.InvalidResponse(_NOT_INFO)
    named = role[0] if isinstance(role, list) and role else None
    product, version = product_of(fields)
    return ServerFacts(
        product=product,
        version=version,
        role=fields.get("role") or (named.decode() if isinstance(named, bytes) else None),
        cluster=_flag(fields.get("cluster_enabled")),
        info=fields,
    )


def _denied(reply: redis.ResponseError) -> bool:
    return str(reply).startswith("NOPERM")


def _fields(info: bytes) -> dict[str, str]:
    lines = info.decode(errors="replace").splitlines()
    pairs = (line.partition(":") for line in lines if not line.startswith("#"))
    return {name: value for name, colon, value in pairs if colon}


def product_of(fields: Mapping[str, str]) -> tuple[str, str]:
    """Return name and version of a server from its INFO fields, 'unknown' where they are absent."""
    # Valkey keeps redis_version for old clients, so its own field is asked first.
    for product in ("valkey", "dragonfly", "redis"):
        version = fields.get(f"{product}_version")
        if version:
            return product, version
    return "unknown", "unknown"


def _flag(text: str | None) -> bool | None:
    return None if text is None else text == "1"


def _refuse_unfit(facts: ServerFacts, endpoint: Endpoint, *, replica_allowed: bool) -> None:
    info = facts.info
    if info.get("redis_mode") == "sentinel" or facts.role == "sentinel":
        raise NotARedisServerError(endpoint.address, "it is a Sentinel; give the primary's address")
    if info.get("loading") == "1":
        raise LoadingError(endpoint.address)
    if facts.cluster:
        raise ClusterError(endpoint.address)
    if facts.role == "slave" and not replica_allowed:
        primary = f"{info.get('master_host', 'another server')}:{info.get('master_port', '?')}"
        raise ReplicaError(endpoint.address, primary)


def _explain(error: redis.RedisError, endpoint: Endpoint, timeout: float) -> NoReturn:
    """Raise the error of this project that says what the client's error means."""
    address, text = endpoint.address, str(error)
    cause = _first_cause(error)
    if isinstance(cause, ssl.SSLError):
        raise TlsFailureError(address, _tls_reason(cause)) from error
    if endpoint.scheme == "rediss" and isinstance(cause, FileNotFoundError | PermissionError):
        raise TlsFailureError(address, f"{_unusable_file(endpoint)}: {cause.strerror}") from error
    if isinstance(cause, TimeoutError) and "handshake" in str(cause):
        reason = f"no handshake within {timeout:g} s, as from a server without TLS"
        raise TlsFailureError(address, reason) from error
    if isinstance(error, redis.InvalidResponse):
        raise NotARedisServerError(address, _NOT_INFO) from error
    if isinstance(error, redis.BusyLoadingError) or text.startswith("LOADING"):
        raise LoadingError(address) from error
    if isinstance(error, redis.AuthenticationError) or text.startswith(("WRONGPASS", "NOAUTH")):
        raise WrongPasswordError(address, given=bool(endpoint.password)) from error
    if "DB index" in text or _denies_select(error, endpoint):
        raise DatabaseUnavailableError(address, endpoint.database, _short(text)) from error
    if isinstance(error, redis.ResponseError) or "max number of clients" in text:
        raise TargetRefusedError(address, _short(text)) from error
    if isinstance(error, redis.TimeoutError):
        raise TargetUnreachableError(address, f"no answer within {timeout:g} s") from error
    reason = (cause.strerror if isinstance(cause, OSError) else None) or _short(text)
    raise TargetUnreachableError(address, reason) from error


def _denies_select(error: redis.RedisError, endpoint: Endpoint) -> bool:
    return endpoint.database > 0 and isinstance(error, redis.exceptions.NoPermissionError)


def _first_cause(error: BaseException) -> BaseException:
    while error.__cause__ or error.__context__:
        error = error.__cause__ or error.__context__ or error
    return error


def _tls_reason(error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the certificate is not trusted: {error.verify_message.rstrip('.')}"
    if "RECORD_LAYER" in str(error) or "WRONG_VERSION" in str(error):
        return "the server does not speak TLS on this port"
    return (error.reason or "the handshake failed").lower().replace("_", " ")


def _unusable_file(endpoint: Endpoint) -> str:
    # The error of the TLS library does not say which of the files it could not read.
    files = (endpoint.ca_file, endpoint.cert_file, endpoint.key_file)
    unusable = [str(file) for file in files if file and not os.access(file, os.R_OK)]
    return ", ".join(unusable) or "a PEM file"


def _short(text: str) -> str:
    """Return the first sentence of a server's reply, which may run to a page."""
    return text.splitlines()[0].split(". ")[0].rstrip(".")[:200] if text else "no reason given"
