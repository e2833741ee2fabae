# SPDX-License-Identifier: Apache-2.0
"""A cached value: whose it is, which written value it is, and how old it is (E14)."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from kryonix_cache.reference_impl.errors import FormatError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from kryonix_cache.reference_impl.contract.model import Family, TenantId

MILLISECOND = timedelta(milliseconds=1)
SKEW = timedelta(seconds=60)
"""A value may be cached so far ahead of a run's moment without a word: a run takes time."""

_CACHED_AT, _TENANT, _DATA = "cached_at", "tenant_id", "data"


@dataclass(frozen=True, slots=True)
class CachedValue:
    """One written value.

    `digest` names the bytes. `identity` names the written value: its `cached_at` as it is written,
    else the digest; two values of one key with the same `cached_at` are taken for the same one,
    which errs on the side of extending too little. `cached_at` is None where that is no valid
    time. `envelope` is the JSON object, None for everything else. `fault` says what is wrong.
    """

    digest: str
    identity: str
    cached_at: datetime | None
    envelope: Mapping[str, object] | None
    fault: str | None = None

    def is_foreign_to(self, tenant: TenantId) -> bool:
        """Say whether the value names another tenant."""
        named = None if self.envelope is None else self.envelope.get(_TENANT)
        return named is not None and named != tenant

    def cached_before(self, now: datetime) -> datetime | None:
        """Return when the value was cached, None if that is unknown or lies ahead of `now`."""
        return None if self.cached_at is None or self.cached_at > now else self.cached_at

    def fault_at(self, now: datetime) -> str | None:
        """Say in words why the age has to be taken from the first sight, if that is a fault."""
        if self.cached_at is not None and self.cached_at > now + SKEW:
            ahead = (self.cached_at - now) // timedelta(seconds=1)
            return f"its cached_at lies {ahead} s ahead, so its age counts from its first sight"
        return self.fault

    def data(self, largest_bytes: int) -> bytes:
        """Return the answer's `data` as JSON; raise ValueError, in words, if that cannot be."""
        if self.envelope is None or _DATA not in self.envelope:
            raise ValueError("it holds no data")
        return packed(self.envelope[_DATA], largest_bytes)


def digest_of(raw: bytes) -> str:
    """Return the name of some bytes."""
    return f"sha256:{hashlib.sha256(raw).hexdigest()}"


def packed(data: object, largest_bytes: int) -> bytes:
    """Return `data` as JSON; raise ValueError, in words, where it is none or too large."""
    try:
        raw = json.dumps(data, allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError):
        raise ValueError("it is no JSON") from None
    if len(raw) > largest_bytes:
        raise ValueError(f"it has {len(raw)} bytes, and {largest_bytes} are allowed")
    return raw


def read_value(raw: bytes, family: Family) -> CachedValue:
    """Read a value of the family of answers; it may be anything."""
    digest = digest_of(raw)
    try:
        envelope = json.loads(raw)
    except (ValueError, RecursionError):
        envelope = None
    if not isinstance(envelope, dict):
        wrong = "it is no JSON object, so its age counts from its first sight"
        return CachedValue(digest, digest, None, None, wrong)
    written = envelope.get(_CACHED_AT)
    cached_at = _time(written, family)
    if cached_at is None:
        # What says nothing of its age is no fault: first sights are there for that.
        wrong = "its cached_at is no valid time, so its age counts from its first sight"
        fault = None if written is None else wrong
        return CachedValue(digest, digest, None, envelope, fault)
    return CachedValue(digest, str(written), cached_at, envelope)


def _time(written: object, family: Family) -> datetime | None:
    if not isinstance(written, str):
        return None
    try:
        moment = family.all_fields[_CACHED_AT].format.parse(written)
    except FormatError:
        return None
    return moment  # type: ignore[return-value] # the contract's format of the field is a time


def age_ms(since: datetime | None, now: datetime) -> int:
    """Return the milliseconds since then, rounded up; 0 for what was never seen before."""
    if since is None or since >= now:
        return 0
    return -((since - now) // MILLISECOND)
