# SPDX-License-Identifier: Apache-2.0
"""Handles that are opened once, so that whoever calls for a tenant shares one."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from kryonix_cache.fixtures.system import System

H = TypeVar("H")
H_co = TypeVar("H_co", covariant=True)


class Opens(Protocol[H_co]):
    """A capability."""

    def open(self, tenant: str) -> H_co:
        """Return the handle of `tenant`."""
        ...


class OpenedOnce(Generic[H]):
    """A capability of which each tenant has one handle, whoever opens it.

    What a handle keeps from one round trip to the next is seen only where several threads or
    tasks are in the middle of calls on the same one.
    """

    def __init__(self, capability: Opens[H]) -> None:
        self._capability = capability
        self._handles: dict[str, H] = {}

    def open(self, tenant: str) -> H:
        """Return the handle of `tenant`, the same one each time."""
        if tenant not in self._handles:
            self._handles[tenant] = self._capability.open(tenant)
        return self._handles[tenant]


def shared(system: System) -> System:
    """Return the system with one handle for each tenant and capability."""
    return replace(
        system,
        tenant_store=_once(system.tenant_store),
        async_tenant_store=_once(system.async_tenant_store),
        queues=_once(system.queues),
        records=_once(system.records),
        websockets=_once(system.websockets),
    )


def _once(capability: Opens[H] | None) -> OpenedOnce[H] | None:
    return None if capability is None else OpenedOnce(capability)
