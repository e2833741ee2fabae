# SPDX-License-Identifier: Apache-2.0
"""Which values an audit reads: all, none, or those of some tenants."""

from __future__ import annotations

from binascii import crc32
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from kryonix_cache.reference_impl.contract import Family

Reading = Literal["all", "sample", "none"]

SAMPLED_VALUES = 20_000
"""About so many values are read of a keyspace that holds more."""

_SPACE = 1 << 32


@dataclass(frozen=True, slots=True)
class Sample:
    """Chooses whole tenants, so that what families say of one tenant can be compared.

    A tenant is in the sample when its checksum is below `threshold`, which makes the choice
    the same each time. The system's lasting keys are always read; its expiring ones, such as
    codes sent to phones, can be as many as users, and are chosen by their own names.
    """

    reading: Reading
    threshold: int

    @property
    def is_whole(self) -> bool:
        """Say whether every value is read."""
        return self.threshold >= _SPACE

    def wants_tenant(self, tenant: bytes) -> bool:
        """Say whether the values of a tenant are to be read."""
        return crc32(tenant) < self.threshold

    def wants_system_key(self, key: bytes, family: Family) -> bool:
        """Say whether the value of a key of the system is to be read."""
        if self.reading == "none":
            return False
        return family.ttl.max_seconds is None or crc32(key) < self.threshold


def sample_of(reading: Reading, keys: int) -> Sample:
    """Return the sample for a keyspace of so many keys."""
    if reading == "none":
        return Sample(reading, 0)
    if reading == "all" or keys <= SAMPLED_VALUES:
        return Sample(reading, _SPACE)
    return Sample(reading, _SPACE * SAMPLED_VALUES // keys)
