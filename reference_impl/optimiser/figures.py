# SPDX-License-Identifier: Apache-2.0
"""What a tenant's own hashes say: metrics, settings, registration and use of the SDK."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kryonix_cache.reference_impl.optimiser.fields import HashFields, Reading, place_of
from kryonix_cache.reference_impl.scan import reader, told
from kryonix_cache.reference_impl.tenant.families import (
    CONFIGURATION,
    METRICS,
    REGISTRATION,
    SDK_ANALYTICS,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kryonix_cache.reference_impl.connection import Clients
    from kryonix_cache.reference_impl.contract import Contract
    from kryonix_cache.reference_impl.contract.model import TenantId
    from kryonix_cache.reference_impl.optimiser.report import Problem

_ASKED = {
    METRICS: ("cache_hit_rate", "avg_response_time", "api_calls_today"),
    CONFIGURATION: (
        "business_sector", "timezone", "business_hours", "notification_preferences",
    ),
    REGISTRATION: ("modules_enabled", "subscription_status"),
    SDK_ANALYTICS: ("total_requests_today", "most_used_endpoint", "error_rate"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Figure:
    """A typed value, and the database, key and field that it comes from."""

    value: object
    source: str


@dataclass(frozen=True, slots=True)
class Figures:
    """The figures of one tenant by family and field; what is not there is unknown."""

    values: dict[tuple[str, str], Figure]
    problems: tuple[Problem, ...]

    def get(self, family: str, field: str) -> Figure | None:
        """Return a figure, None if it is unknown."""
        return self.values.get((family, field))


class FigureReader:
    """Reads the figures of some hundred tenants at a time."""

    def __init__(self, clients: Clients, contract: Contract) -> None:
        self._clients = clients
        self._contract = contract
        self._hashes = [
            HashFields(contract.family(family), names) for family, names in _ASKED.items()
        ]

    def read(self, tenants: Sequence[TenantId]) -> dict[TenantId, Figures]:
        """Return the figures of each tenant.

        Raises:
            ScanLostError: the server went away.
            ReadDeniedError: this user may not run HSTRLEN or HMGET.

        """
        values: dict[TenantId, dict[tuple[str, str], Figure]] = {each: {} for each in tenants}
        problems: dict[TenantId, list[Problem]] = {each: [] for each in tenants}
        for hashes in self._hashes:
            family = hashes.family
            (database, *_) = family.databases
            client = self._clients[database]
            keys = [self._contract.key(family.name, tenant=each) for each in tenants]
            with told(client, database), reader(client, untouched=True) as connection:
                readings = hashes.read(connection, database, keys)
            for tenant, reading in zip(tenants, readings, strict=True):
                values[tenant] |= _figures(family.name, database, reading)
                problems[tenant] += reading.problems
        return {each: Figures(values[each], tuple(problems[each])) for each in tenants}


def _figures(family: str, database: int, reading: Reading) -> dict[tuple[str, str], Figure]:
    return {
        (family, name): Figure(value, place_of(database, reading.key, name))
        for name, value in reading.values.items()
    }
