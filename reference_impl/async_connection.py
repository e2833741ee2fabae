# SPDX-License-Identifier: Apache-2.0
"""Redis clients for asyncio, guarded as those of `connection` are, and as bound to one database.

A cancelled call closes its connection: the reply that is still under way must reach nobody.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Protocol, cast
from weakref import WeakKeyDictionary

import redis
import redis.asyncio
from redis.asyncio.connection import (
    AbstractConnection,
    BlockingConnectionPool,
    Connection,
    SSLConnection,
    UnixDomainSocketConnection,
)
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from kryonix_cache.reference_impl.connection import PROTOCOL, transport_options
from kryonix_cache.reference_impl.contract import default_contract
from kryonix_cache.reference_impl.errors import UncheckedBytesError
from kryonix_cache.reference_impl.packing import CheckedBytes, CommandPolicy, GuardedPacker

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Sequence

    from kryonix_cache.reference_impl.bulk import Reply
    from kryonix_cache.reference_impl.contract.model import ClientRule
    from kryonix_cache.reference_impl.endpoint import Endpoint


class AsyncGuardedConnection(AbstractConnection):
    """A connection that sends nothing unchecked; the transport comes from the second base."""

    def __init__(
        self, *, policy: CommandPolicy | None = None, name: str | None = None, **options: Any
    ) -> None:
        self._packer = GuardedPacker(policy, options.get("db", 0))
        self._name = name
        super().__init__(**options)

    async def on_connect_check_health(self, check_health: bool = True) -> None:  # noqa: FBT001, FBT002 (redis-py's signature)
        """Authenticate, select the database, and give the connection its name."""
        self._packer.setting_up = True
        try:
            await super().on_connect_check_health(check_health)
            await self._give_name()
        except BaseException:
            await self.disconnect(nowait=True)
            raise
        finally:
            self._packer.setting_up = False

    async def _give_name(self) -> None:
        if self._name is None:
            return
        await self.send_command("CLIENT", "SETNAME", self._name, check_health=False)
        try:
            await self.read_response()
        except redis.ResponseError:
            # An ACL may deny it; see the twin.
            return

    def pack_command(self, *args: Any) -> list[bytes]:
        """Check and pack one command."""
        return self._packer.pack(*args)

    def pack_commands(self, commands: Iterable[Iterable[Any]]) -> list[bytes]:
        """Check the commands of a pipeline together, then pack them."""
        return self._packer.pack_batch([tuple(command) for command in commands])

    async def send_packed_command(self, command: Any, check_health: bool = True) -> None:  # noqa: FBT001, FBT002 (redis-py's signature)
        """Send what this connection packed.

        Raises:
            UncheckedBytesError: the bytes came from elsewhere.

        """
        if not isinstance(command, CheckedBytes):
            raise UncheckedBytesError
        if not self.is_connected:
            await self.connect_check_health(check_health=False)
        if check_health:
            await self.check_health()
        # Not redis-py's own method: it uses asyncio.wait_for, which before Python 3.12 loses a
        # cancellation that comes just when the sending ends, so that the caller waits on.
        try:
            async with asyncio.timeout(self.socket_timeout):
                await self._send_packed_command(command)
        except TimeoutError:
            await self.drop()
            raise redis.TimeoutError(f"Timeout writing to {self._host_error()}") from None
        except OSError as error:
            await self.drop()
            raise redis.ConnectionError(f"{self._host_error()}: {error}") from error
        except BaseException:
            await self.drop()
            raise

    async def exchange(
        self, commands: Sequence[Sequence[bytes]], *, wait: float = 0
    ) -> list[Reply]:
        """Send a pipeline and return its replies; an error reply stands in its place.

        `wait` are the seconds that the server itself may take its time (BLPOP), beyond the
        socket's time-out.
        """
        try:
            await self.send_packed_command(self._packer.pack_batch(commands))
            async with asyncio.timeout((self.socket_timeout or 0) + wait):
                return [await self._reply() for _ in commands]
        except TimeoutError:
            await self.drop()
            raise redis.TimeoutError(f"no reply from {self._host_error()}") from None
        except BaseException:
            await self.drop()
            raise

    async def drop(self) -> None:
        """Close at once, so that no reply that is under way reaches the next user."""
        await self.disconnect(nowait=True)

    async def _reply(self) -> Reply:
        try:
            # Without an end of its own: the caller's covers all replies.
            reply = await self.read_response(disable_decoding=True, timeout=float("inf"))
        except redis.ResponseError as error:
            return error
        return cast("Reply", reply)


class _TcpConnection(AsyncGuardedConnection, Connection):
    """Plain TCP."""


class _TlsConnection(AsyncGuardedConnection, SSLConnection):
    """TLS with a verified certificate."""


class _UnixConnection(AsyncGuardedConnection, UnixDomainSocketConnection):
    """A socket in the file system."""


_CLASSES: dict[str, type[AsyncGuardedConnection]] = {
    "redis": _TcpConnection,
    "rediss": _TlsConnection,
    "unix": _UnixConnection,
}


def connect_async(
    endpoint: Endpoint,
    database: int = 0,
    *,
    policy: CommandPolicy | None = None,
    name: str | None = None,
    timeout: float = 5.0,
    max_connections: int = 16,
    sockets: ClientRule | None = None,
) -> redis.asyncio.Redis:
    """Make a client of one database for the event loop in which it is first used.

    The arguments are those of `connection.connect`. Close it with `aclose`.
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
        retry=Retry(NoBackoff(), 0),
        driver_info=None,
        policy=policy,
        name=name,
        **transport_options(endpoint, sockets or default_contract().client),
    )
    return redis.asyncio.Redis.from_pool(pool)


class AsyncClients(Protocol):
    """A client for each database, bound to it for life; `AsyncPools` is one."""

    def __getitem__(self, database: int, /) -> redis.asyncio.Redis:
        """Return the client of one database; called inside the event loop that uses it."""
        ...


class AsyncPools:
    """One client for each database and event loop, made when it is first asked for.

    Call `aclose` at the end, inside the event loop whose clients are to be closed.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        policy: CommandPolicy | None = None,
        name: str | None = None,
        timeout: float = 5.0,
        max_connections: int = 16,
        sockets: ClientRule | None = None,
    ) -> None:
        self.endpoint = endpoint
        self._options: dict[str, Any] = {
            "policy": policy,
            "name": name,
            "timeout": timeout,
            "max_connections": max_connections,
            "sockets": sockets,
        }
        self._clients: WeakKeyDictionary[
            asyncio.AbstractEventLoop, dict[int, redis.asyncio.Redis]
        ] = WeakKeyDictionary()

    def __getitem__(self, database: int) -> redis.asyncio.Redis:
        clients = self._clients.setdefault(asyncio.get_running_loop(), {})
        if database not in clients:
            clients[database] = connect_async(self.endpoint, database, **self._options)
        return clients[database]

    async def aclose(self) -> None:
        """Close the clients of the running event loop; a later use opens them again."""
        for client in self._clients.pop(asyncio.get_running_loop(), {}).values():
            await client.aclose()


@asynccontextmanager
async def lease(client: redis.asyncio.Redis) -> AsyncIterator[AsyncGuardedConnection]:
    """Take one connection of the client's pool; whoever leaves it out of step drops it."""
    pool = client.connection_pool
    connection = cast("AsyncGuardedConnection", await pool.get_connection())
    try:
        yield connection
    finally:
        await pool.release(connection)
