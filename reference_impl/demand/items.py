# SPDX-License-Identifier: Apache-2.0
"""The names of what is read: items of families, and the hours in which they are read."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, cast

from kryonix_cache.reference_impl.contract.model import SEPARATOR
from kryonix_cache.reference_impl.demand.errors import DemandNotKeptError
from kryonix_cache.reference_impl.demand.series import HOURS_OF_DAY
from kryonix_cache.reference_impl.errors import FormatError

if TYPE_CHECKING:
    from kryonix_cache.reference_impl.contract import Contract
    from kryonix_cache.reference_impl.contract.model import OptimiserRule

COUNTERS = "access-counters"
"""The family of one tenant's reads of one day, counted by item and hour."""

HISTORY = "access-history"
"""The family of one tenant's reads of the last days."""

LARGEST_COUNT = 1_000_000_000
"""More reads of one item in one hour than this are no count but a mistake or an attack."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def rule_of(contract: Contract) -> OptimiserRule:
    """Return what the contract says of kept reads; raise DemandNotKeptError if it says nothing."""
    if contract.optimiser is None:
        raise DemandNotKeptError(contract.name)
    return contract.optimiser


def most_members(contract: Contract) -> int:
    """Return how many counters of one day are kept: as many as the items of the history need."""
    return HOURS_OF_DAY * rule_of(contract).history_items


def hour_of(moment: datetime) -> int:
    """Return the hour of a moment, in whole hours since 1970 (UTC)."""
    return int((moment - _EPOCH) / timedelta(hours=1) // 1)


def moment_of(hour: int) -> datetime:
    """Return the moment (UTC) at which an hour begins."""
    return _EPOCH + timedelta(hours=hour)


def day_of(hour: int) -> str:
    """Return the day (UTC) of an hour as the keys of counters have it."""
    return moment_of(hour).strftime("%Y%m%d")


def counter_key(contract: Contract, tenant: str, hour: int) -> bytes:
    """Return the key of the counters of the day in which an hour lies."""
    return contract.key(COUNTERS, tenant=tenant, day=day_of(hour))


def counter_of(hour: int, item: str) -> str:
    """Return the member that counts reads of ``<family>:<item>`` in one hour of its day."""
    return f"{hour % HOURS_OF_DAY:02d}{SEPARATOR}{item}"


def item_of(family: str, *parts: str) -> str:
    """Return the name of an item among those of all families, by the parts of its key.

    An answer is named as `Answer.item` has it.
    """
    return f"{family}{SEPARATOR}{'.'.join(parts)}"


class CounterReader:
    """Reads the members of counters by the contract's format for them."""

    def __init__(self, contract: Contract) -> None:
        """Raise UnknownFamilyError for a contract without counters."""
        value = contract.family(COUNTERS).value
        if value is None:
            raise DemandNotKeptError(contract.name)
        self._format = value.format

    def read(self, member: bytes) -> tuple[int, str] | None:
        """Return the hour of the day and the item that a member counts; None if it is no member."""
        try:
            value = cast("tuple[int, str, str]", self._format.parse(member.decode("ascii")))
        except (FormatError, UnicodeDecodeError):
            return None
        hour, family, name = value
        return hour, item_of(family, name)

    def names(self, item: str) -> bool:
        """Say whether `item` can be counted."""
        try:
            return self.read(counter_of(0, item).encode()) == (0, item)
        except UnicodeEncodeError:
            return False
