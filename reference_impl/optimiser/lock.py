# SPDX-License-Identifier: Apache-2.0
"""
The lock of the optimiser: one run at a time, with an owner and an end (E20).

It is taken by SET NX PX, and renewed and released by compare-and-set, so that nobody's lock is ever
touched by somebody else: a run that slept past its lock stops, and leaves the next one's alone.
"""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Self

import redis

from kryonix_cache.reference_impl.connection import bulk
from kryonix_cache.reference_impl.optimiser.errors import (
    LockLostError,
    LockRefusedError,
    OptimiserBusyError,
    StrayLockError,
)
from kryonix_cache.reference_impl.scan import told

if TYPE_CHECKING:
    from types import TracebackType

    from kryonix_cache.reference_impl.bulk import Reply
    from kryonix_cache.reference_impl.connection import Clients, Command
    from kryonix_cache.reference_impl.contract import Contract

FAMILY = "optimiser-lock"
ATTEMPTS = 5

_SECOND = 1000
_LONGEST_LOCK_BYTES = 1000


class OptimiserLock:
    """Held from entering to leaving; `renew` it often enough.

    Raises:
        OptimiserBusyError: on entering, if another run holds it.
        StrayLockError: on entering, if something else stands there.
        LockRefusedError: the server refuses what the lock needs.
        ScanLostError: the server went away.

    """

    def __init__(self, clients: Clients, contract: Contract, owner: str) -> None:
        family = contract.family(FAMILY)
        self._client = clients[family.databases[0]]
        self._database = family.databases[0]
        self._key = contract.key(FAMILY)
        self._read = (b"GETRANGE", self._key, b"0", b"%d" % _LONGEST_LOCK_BYTES)
        assert family.ttl.max_seconds is not None
        self._lifetime = b"%d" % (family.ttl.max_seconds * _SECOND)
        self.owner = owner
        self._value = b""

    def __enter__(self) -> Self:
        since = datetime.now(UTC).isoformat(timespec="microseconds")
        self._value = json.dumps({"owner": self.owner, "since": since}).encode()
        take = (b"SET", self._key, self._value, b"NX", b"PX", self._lifetime)
        for _ in range(ATTEMPTS):
            if self._ask(take)[0] is not None:
                return self
            self._refuse()
        raise OptimiserBusyError("unknown", "a moment ago", 0)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # What ended the run matters more than a lock that ends by itself.
        with suppress(*((Exception,) if error is not None else ())):
            self._change((b"DEL", self._key))

    def renew(self) -> None:
        """Let the lock live anew.

        Raises:
            LockLostError: it is gone, or belongs to another run.
            ScanLostError: the server went away.

        """
        if not self._change((b"PEXPIRE", self._key, self._lifetime)):
            raise LockLostError(self.owner)

    def _refuse(self) -> None:
        """Say who holds the lock; return if it went away meanwhile."""
        kind, left = self._ask((b"TYPE", self._key), (b"PTTL", self._key))
        if kind == b"none":
            return
        if kind != b"string":
            raise StrayLockError(self._key.decode(), "holds no lock")
        (value,) = self._ask(self._read)
        if not isinstance(left, int) or left == -1:
            raise StrayLockError(self._key.decode(), "never expires")
        if not value or left < 0:
            return
        owner, since = _holder(value)
        raise OptimiserBusyError(owner, since, -(-left // _SECOND))

    def _change(self, command: Command) -> bool:
        """Change the lock if it is ours still, and say whether it is."""
        with told(self._client, self._database), bulk(self._client) as connection:
            watched, value = connection.exchange([(b"WATCH", self._key), self._read])
            self._accepted(watched)
            if value != self._value:
                connection.exchange([(b"UNWATCH",)])
                return False
            replies = connection.exchange([(b"MULTI",), command, (b"EXEC",)])
            return [self._accepted(reply) for reply in replies][-1] is not None

    def _ask(self, *commands: Command) -> list[Reply]:
        with told(self._client, self._database), bulk(self._client) as connection:
            return [self._accepted(reply) for reply in connection.exchange(commands)]

    def _accepted(self, reply: Reply) -> Reply:
        if isinstance(reply, redis.ResponseError):
            raise LockRefusedError(self._key.decode(), str(reply))
        return reply


def _holder(value: Reply) -> tuple[str, str]:
    assert isinstance(value, bytes)
    with suppress(ValueError, RecursionError):
        lock = json.loads(value)
        if isinstance(lock, dict):
            return str(lock.get("owner", "unknown")), str(lock.get("since", "an unknown time"))
    return "unknown", "an unknown time"
