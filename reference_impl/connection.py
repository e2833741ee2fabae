# SPDX-License-Identifier: Apache-2.0
"""The only place of the project that makes Redis clients; `async_connection` is its twin.

Each client is bound to one database for life (E12), retries nothing, waits for nothing
without a limit, and lets no command reach the wire that `forbidden` or the client's own
policy refuses. The check sits in the connection, below pipelines, transactions, Pub/Sub
and bulk reads, so that no way around it is left.
"""

from __future__ import annotations

import socket
from contextlib import contextmanager, suppress
from threading import Lock
from typing import TYPE_CHECKING, Any, Protocol, Self, cast

import hiredis
import redis
from redis.backoff import NoBackoff
from redis.connection import (
    AbstractConnection,
    BlockingConnectionPool,
    Connection,
    SSLConnection,
    UnixDomainSocketConnection,
)
from redis.retry import Retry

from kryonix_cache.reference_impl.bulk import KeyTemplate, Reply
from kryonix_cache.reference_impl.contract import default_contract
from kryonix_cache.reference_impl.endpoint import Endpoint
from kryonix_cache.reference_impl.errors import (
    UncheckedBytesError,
)
from kryonix_cache.reference_impl.forbidden import FORBIDDEN, Command
from kryonix_cache.reference_impl.packing import CheckedBytes, CommandPolicy, GuardedPacker

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from types import TracebackType

    from kryonix_cache.reference_impl.contract.model import ClientRule

__all__ = [
    "FORBIDDEN",
    "Clients",
    "Command",
    "CommandPolicy",
    "Endpoint",
    "GuardedConnection",
    "KeyTemplate",
    "Pools",
    "Reply",
    "bulk",
    "connect",
    "lease",
]

# RESP2 needs no HELLO, which an ACL of Redis 6.2 may deny, works behind every proxy, and
# brings no push messages between the replies of a bulk read.
PROTOCOL = 2
_UNFINISHED = object()
_CHUNK = 1 << 16


class GuardedConnection(AbstractConnection):
    """A connection that sends nothing unchecked; the transport comes from the second base.

    Where `silent` is set its set-up sends nothing but credentials, database and name, so that
    the first words of the server can be heard.
    """

    def __init__(
        self, *, policy: CommandPolicy | None = None, name: str | None = None, **options: Any
    ) -> None:
        self._packer = GuardedPacker(policy, options.get("db", 0))
        self._name = name
        self._reader = _reader()
        self.silent = False
        super().__init__(command_packer=cast("Any", self._packer), **options)

    def on_connect_check_health(self, check_health: bool = True) -> None:  # noqa: FBT001, FBT002 (redis-py's signature)
        """Authenticate, select the database, and give the connection its name."""
        self._reader = _reader()
        self._packer.setting_up = True
        try:
            super().on_connect_check_health(check_health)
            self._give_name()
            if not self.silent:
                self._settle()
        except BaseException:
            self.disconnect()
            raise
        finally:
            self._packer.setting_up = False

    def _settle(self) -> None:
        """Wait for what the transport itself still sends; nothing by default."""

    def _give_name(self) -> None:
        if self._name is None:
            return
        self.send_command("CLIENT", "SETNAME", self._name, check_health=False)
        try:
            self.read_response()
        except redis.ResponseError:
            # A name only helps whoever reads CLIENT LIST; an ACL may deny it, and does so
            # with every CLIENT subcommand on Redis 6.2.
            return

    def pack_command(self, *args: Any) -> list[bytes]:
        """Check and pack one command."""
        return self._packer.pack(*args)

    def pack_commands(self, commands: Iterable[Sequence[Any]]) -> list[bytes]:
        """Check the commands of a pipeline together, then pack them."""
        return self._packer.pack_batch(commands)

    def send_packed_command(self, command: Any, check_health: bool = True) -> None:  # noqa: FBT001, FBT002 (redis-py's signature)
        """Send what this connection packed.

        Raises:
            UncheckedBytesError: the bytes came from elsewhere.

        """
        if not isinstance(command, CheckedBytes):
            raise UncheckedBytesError
        super().send_packed_command(command, check_health)

    def exchange(self, commands: Sequence[Sequence[bytes]], *, wait: float = 0) -> list[Reply]:
        """Send a pipeline and return its replies; an error reply stands in its place.

        `wait` are the seconds that the server itself may take its time (BLPOP), beyond the
        socket's time-out. Costs a tenth of a redis-py pipeline: replies are neither converted
        nor decoded.
        """
        try:
            self.send_packed_command(self._packer.pack_batch(commands))
            with self._patient(wait):
                return self.read_replies(len(commands))
        except BaseException:
            # Replies may be under way, also where a signal came between sending and reading.
            self.disconnect()
            raise

    @contextmanager
    def _patient(self, wait: float) -> Iterator[None]:
        sock, usual = self._get_socket(), self.socket_timeout
        if not wait or sock is None or usual is None:
            yield
            return
        sock.settimeout(usual + wait)
        try:
            yield
        finally:
            sock.settimeout(usual)

    def exchange_keys(self, template: KeyTemplate, keys: Sequence[bytes]) -> list[Reply]:
        """Run the read commands of a template for each key; replies in the order sent."""
        self.send_keys(template, keys)
        return self.read_replies(len(keys) * len(template))

    def send_keys(self, template: KeyTemplate, keys: Sequence[bytes]) -> None:
        """Send without reading, so that the server works while the caller does.

        Follow it with `read_replies(len(keys) * len(template))`.
        """
        if keys:
            self.send_packed_command(self._packer.pack_bulk(template, keys))

    def send_batch(self, commands: Sequence[Sequence[bytes]]) -> None:
        """Send a pipeline without reading; follow it with `read_replies(len(commands))`."""
        if commands:
            self.send_packed_command(self._packer.pack_batch(commands))

    def read_replies(self, count: int) -> list[Reply]:
        """Read so many replies as they are on the wire.

        Raises:
            redis.ConnectionError: the server closed the connection.
            redis.TimeoutError: the server sent nothing within the socket time-out.

        """
        replies: list[Reply] = []
        gets = self._reader.gets
        try:
            while len(replies) < count:
                reply = gets()
                if reply is _UNFINISHED:
                    self._reader.feed(self._received())
                else:
                    replies.append(reply)
        except BaseException:
            # Replies are still under way: the next user would take them for his own.
            self.disconnect()
            raise
        return replies

    def _received(self) -> bytes:
        sock = self._get_socket()
        if sock is None:
            raise redis.ConnectionError("the connection is closed")
        try:
            data = sock.recv(_CHUNK)
        except TimeoutError:
            raise redis.TimeoutError(f"no reply from {self._host_error()}") from None
        except OSError as error:
            raise redis.ConnectionError(f"{self._host_error()}: {error}") from error
        if not data:
            raise redis.ConnectionError(f"{self._host_error()} closed the connection")
        return data

    def drop(self) -> None:
        """Close at once, so that no reply that is under way reaches the next user."""
        self.disconnect()

    def socket_option(self, level: int, option: int) -> int:
        """Read an integer option back from the open socket (E02)."""
        self.connect()
        sock = self._get_socket()
        if sock is None:
            raise redis.ConnectionError("the connection is closed")
        return sock.getsockopt(level, option)


class _TcpConnection(GuardedConnection, Connection):
    """Plain TCP."""


class _TlsConnection(GuardedConnection, SSLConnection):
    """TLS with a verified certificate."""

    def _settle(self) -> None:
        # Under TLS 1.3 session tickets follow the handshake. Without a round trip that reads
        # them, redis-py's pool takes them for the rest of an earlier reply and drops the
        # connection. What PING is answered does not matter, a refusal included.
        self.send_command("PING")
        with suppress(redis.ResponseError, redis.AuthenticationError):
            self.read_response()


class _UnixConnection(GuardedConnection, UnixDomainSocketConnection):
    """A socket in the file system."""


def connect(
    endpoint: Endpoint,
    database: int = 0,
    *,
    policy: CommandPolicy | None = None,
    name: str | None = None,
    timeout: float = 5.0,
    max_connections: int = 16,
    decode: bool = False,
    sockets: ClientRule | None = None,
) -> redis.Redis:
    """Make a client of one database; nothing is sent before its first command.

    `timeout` limits, in seconds, the wait for a connection to be made, for one of the pool
    to be free, and for each reply. `endpoint.database` is not looked at: what the client is
    bound to stands in the call. `sockets` are the options of each TCP socket, those of the
    project's own contract by default (E02). Close the client to close its pool.
    """
    pool = BlockingConnectionPool(
        max_connections=max_connections,
        timeout=timeout,
        connection_class=_CLASSES[endpoint.scheme],
        db=database,
        username=endpoint.username,
        password=endpoint.password,
        protocol=PROTOCOL,
        socket_timeout=timeout,
        socket_connect_timeout=timeout,
        decode_responses=decode,
        retry=Retry(NoBackoff(), 0),
        driver_info=None,
        policy=policy,
        name=name,
        **transport_options(endpoint, sockets or default_contract().client),
    )
    return redis.Redis.from_pool(pool)


class Clients(Protocol):
    """A client for each database, bound to it for life; `Pools` is one."""

    def __getitem__(self, database: int, /) -> redis.Redis:
        """Return the client of one database."""
        ...


class Pools:
    """One client for each database, made when it is first asked for.

    Safe to share between threads. Use it as a context manager, or call `close`.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        policy: CommandPolicy | None = None,
        name: str | None = None,
        timeout: float = 5.0,
        max_connections: int = 16,
        decode: bool = False,
        sockets: ClientRule | None = None,
    ) -> None:
        self.endpoint = endpoint
        self._sockets = sockets
        self._policy = policy
        self._name = name
        self._timeout = timeout
        self._max_connections = max_connections
        self._decode = decode
        self._clients: dict[int, redis.Redis] = {}
        self._lock = Lock()

    def __getitem__(self, database: int) -> redis.Redis:
        with self._lock:
            if database not in self._clients:
                self._clients[database] = connect(
                    self.endpoint,
                    database,
                    policy=self._policy,
                    name=self._name,
                    timeout=self._timeout,
                    max_connections=self._max_connections,
                    sockets=self._sockets,
                    decode=self._decode,
                )
            return self._clients[database]

    def close(self) -> None:
        """Close every pool; a later use opens it again."""
        with self._lock:
            for client in self._clients.values():
                client.close()
            self._clients.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


@contextmanager
def lease(client: redis.Redis) -> Iterator[GuardedConnection]:
    """Take one connection of the client's pool; whoever leaves it out of step drops it."""
    pool = client.connection_pool
    connection = cast("_TcpConnection", pool.get_connection())
    try:
        yield connection
    finally:
        pool.release(connection)


@contextmanager
def bulk(client: redis.Redis) -> Iterator[GuardedConnection]:
    """Take one connection of the client's pool for bulk work.

    After an exception the connection is closed, because replies may still be under way.
    """
    with lease(client) as connection:
        try:
            yield connection
        except BaseException:
            connection.drop()
            raise


_CLASSES: dict[str, type[_TcpConnection | _TlsConnection | _UnixConnection]] = {
    "redis": _TcpConnection,
    "rediss": _TlsConnection,
    "unix": _UnixConnection,
}


def transport_options(endpoint: Endpoint, rule: ClientRule) -> dict[str, Any]:
    """Return what a connection class of redis-py takes to reach the endpoint."""
    if endpoint.scheme == "unix":
        return {"path": endpoint.path}
    options: dict[str, Any] = {
        "host": endpoint.host,
        "port": endpoint.port,
        "socket_keepalive": True,
        "socket_keepalive_options": _tcp_options(rule),
    }
    if endpoint.scheme == "rediss":
        options |= {
            "ssl_cert_reqs": "required",
            "ssl_check_hostname": True,
            "ssl_ca_certs": endpoint.ca_file and str(endpoint.ca_file),
            "ssl_certfile": endpoint.cert_file and str(endpoint.cert_file),
            "ssl_keyfile": endpoint.key_file and str(endpoint.key_file),
        }
    return options


def _tcp_options(rule: ClientRule) -> dict[int, int]:
    # macOS has no TCP_USER_TIMEOUT and calls the idle time TCP_KEEPALIVE.
    wanted = {
        "TCP_USER_TIMEOUT": rule.tcp_user_timeout_ms,
        "TCP_KEEPIDLE" if hasattr(socket, "TCP_KEEPIDLE") else "TCP_KEEPALIVE": (
            rule.tcp_keepalive_s
        ),
    }
    return {getattr(socket, name): value for name, value in wanted.items() if hasattr(socket, name)}


def _reader() -> hiredis.Reader:
    return hiredis.Reader(
        protocolError=redis.InvalidResponse,
        replyError=redis.ResponseError,
        notEnoughData=_UNFINISHED,
    )
