# SPDX-License-Identifier: Apache-2.0
"""
Sightings: when a value that does not tell its age was first seen, and which were extended.

One sorted set for each tenant beside its answers, so that a mark can be set in one transaction with
what it is about. A member names key and written value by a digest: members stay small, and the
set says nothing of what is cached. A mark is needed as long as its value can live, which is the
bound on ages at most; it is kept twice as long.
"""

from __future__ import annotations

import hashlib
import math
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

from kryonix_cache.reference_impl.tenant.families import ANSWERS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kryonix_cache.reference_impl.connection import Command
    from kryonix_cache.reference_impl.contract import Contract
    from kryonix_cache.reference_impl.contract.model import TenantId
    from kryonix_cache.reference_impl.optimiser.values import CachedValue

FAMILY = "value-sightings"
MOST = 5000
"""Marks of one tenant. When there are more, nothing is extended until old ones are gone: to forget
one early would let a value be extended twice."""

Mark = Literal["seen", "extended"]

_DIGEST_BYTES = 16
_TIMES_KEPT = 2


class Sightings:
    """The marks of one tenant, as commands to ask and to set them."""

    def __init__(self, contract: Contract, tenant: TenantId) -> None:
        assert contract.optimiser is not None
        family = contract.family(FAMILY)
        assert contract.family(ANSWERS).databases[0] in family.databases
        self.key = contract.key(FAMILY, tenant=tenant)
        self._lifetime = family.ttl.max_seconds
        self._kept = _TIMES_KEPT * contract.optimiser.oldest_value_s

    def ask(self, key: bytes, value: CachedValue) -> Command:
        """Return the command that asks for first sight and extension of a value."""
        return (b"ZMSCORE", self.key, *(_member(mark, key, value) for mark in ("seen", "extended")))

    def note(
        self, at: datetime, marks: Iterable[tuple[Mark, bytes, CachedValue]]
    ) -> tuple[Command, ...]:
        """Return the commands that set marks, forget old ones, and let the set live."""
        score = b"%d" % math.floor(at.timestamp())
        members = [part for mark in marks for part in (score, _member(*mark))]
        if not members:
            return ()
        oldest = b"(%d" % (math.floor(at.timestamp()) - self._kept)
        noted: tuple[Command, ...] = (
            (b"ZADD", self.key, b"NX", *members),
            (b"ZREMRANGEBYSCORE", self.key, b"-inf", oldest),
        )
        if self._lifetime is None:
            return noted
        return (*noted, (b"EXPIRE", self.key, b"%d" % self._lifetime))

    def forget(self, at: datetime) -> Command:
        """Return the command that takes away the marks of a run of that moment."""
        score = b"%d" % math.floor(at.timestamp())
        return (b"ZREMRANGEBYSCORE", self.key, score, score)


def moment_of(score: object) -> datetime | None:
    """Return the moment of a mark; None for what is not marked."""
    if not isinstance(score, bytes):
        return None
    try:
        return datetime.fromtimestamp(float(score), UTC)
    except (ValueError, OverflowError, OSError):
        return None


def _member(mark: Mark, key: bytes, value: CachedValue) -> bytes:
    named = hashlib.blake2b(key, digest_size=_DIGEST_BYTES)
    named.update(b"\0" + value.identity.encode(errors="surrogatepass"))
    return f"{mark}:{named.hexdigest()}".encode()
