# SPDX-License-Identifier: Apache-2.0
"""Cells: places of one tenant that the suite writes and reads through the system under test."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar, cast

from kryonix_cache.conformance.accidents.ledger import HALF
from kryonix_cache.reference_impl.tenant import families

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from kryonix_cache.conformance.datasets import Place
    from kryonix_cache.conformance.run import RunTenants
    from kryonix_cache.fixtures.capabilities import (
        AsyncTenantStore,
        TenantRecords,
        TenantStore,
        TenantWebSockets,
    )

NAMES = ("a", "ab")
"""Two tenants whose ids begin alike."""

TTL_SECONDS = 300
MODULE = "crm"
ITEMS = ("e0", "e1")
ASYNC_ITEMS = ("t0", "t1")
"""Other items for the store of asyncio, which may remember on its own what it wrote."""

ANSWERS = (0, 1, 2, 3)
SESSIONS = (4, 5)
"""The indices of each family's cells among the `store_cells`; those for asyncio are ANSWERS."""

RECORDS = (
    families.CONFIGURATION,
    families.BRANDING,
    families.METRICS,
    families.SDK_ANALYTICS,
    families.APP_ANALYTICS,
)
"""Hashes of four databases with one key for each tenant."""

R = TypeVar("R")
W = TypeVar("W")


@dataclass(frozen=True, eq=False)
class CellOf(Generic[R, W]):
    """One place of one tenant; what stands in it is a tag.

    `slug` names it in tags, and `family` is that of its key. `reading`, `writing` and `removing`
    are the calls as a finding shows them, and `read`, `write` and `remove` make them.
    """

    tenant: str
    slug: str
    family: str
    place: Place
    reading: str
    writing: str
    removing: str
    read: Callable[[], R]
    write: Callable[[str], W]
    remove: Callable[[], W]


Cell = CellOf[str | None, object]
AsyncCell = CellOf[Awaitable[str | None], Awaitable[object]]


def answer_cells(
    store: TenantStore, run: RunTenants, items: Sequence[str] = ITEMS
) -> Iterator[Cell]:
    """Yield cells of cached answers, those of the tenants in turn."""
    for item in items:
        for name in NAMES:
            handle = store.open(run.id(name))
            yield Cell(
                tenant=name,
                slug=f"{name}-answer-{item}",
                family=families.ANSWERS,
                place=_place(run, families.ANSWERS, name, module=MODULE, endpoint=item),
                reading=f"{name}.get('{MODULE}', '{item}')",
                writing=f"{name}.put('{MODULE}', '{item}')",
                removing=f"{name}.delete('{MODULE}', '{item}')",
                read=lambda h=handle, i=item: tag_of_answer(h.get(MODULE, i)),  # type: ignore[misc]
                write=lambda tag, h=handle, i=item: h.put(MODULE, i, {"tag": tag}, ttl=TTL_SECONDS),  # type: ignore[misc]
                remove=lambda h=handle, i=item: h.delete(MODULE, i),  # type: ignore[misc]
            )


def session_cells(
    store: TenantStore, run: RunTenants, items: Sequence[str] = ITEMS
) -> Iterator[Cell]:
    """Yield cells of sessions, those of the tenants in turn."""
    for item in items:
        for name in NAMES:
            handle = store.open(run.id(name))
            yield Cell(
                tenant=name,
                slug=f"{name}-session-{item}",
                family=families.SESSIONS,
                place=_place(run, families.SESSIONS, name, session=item),
                reading=f"{name}.read_session('{item}')",
                writing=f"{name}.start_session('{item}')",
                removing=f"{name}.end_session('{item}')",
                read=lambda h=handle, i=item: tag_of_fields(h.read_session(i)),  # type: ignore[misc]
                write=lambda tag, h=handle, i=item: h.start_session(i, fields_with(tag)),  # type: ignore[misc]
                remove=lambda h=handle, i=item: h.end_session(i),  # type: ignore[misc]
            )


def store_cells(store: TenantStore, run: RunTenants) -> list[Cell]:
    """Return cells of answers and sessions; no two neighbours are of one tenant."""
    return [*answer_cells(store, run), *session_cells(store, run, ITEMS[:1])]


def async_cells(
    store: AsyncTenantStore, run: RunTenants, items: Sequence[str] = ASYNC_ITEMS
) -> list[AsyncCell]:
    """Return cells of cached answers for asyncio; no two neighbours are of one tenant."""
    return [_async_cell(store, run, name, item) for item in items for name in NAMES]


def _async_cell(store: AsyncTenantStore, run: RunTenants, name: str, item: str) -> AsyncCell:
    handle = store.open(run.id(name))

    async def read() -> str | None:
        return tag_of_answer(await handle.get(MODULE, item))

    async def write(tag: str) -> None:
        await handle.put(MODULE, item, {"tag": tag}, ttl=TTL_SECONDS)

    async def remove() -> bool:
        return await handle.delete(MODULE, item)

    return AsyncCell(
        tenant=name,
        slug=f"{name}-answer-{item}",
        family=families.ANSWERS,
        place=_place(run, families.ANSWERS, name, module=MODULE, endpoint=item),
        reading=f"{name}.get('{MODULE}', '{item}')",
        writing=f"{name}.put('{MODULE}', '{item}')",
        removing=f"{name}.delete('{MODULE}', '{item}')",
        read=read,
        write=write,
        remove=remove,
    )


def websocket_cells(
    websockets: TenantWebSockets, run: RunTenants, items: Sequence[str] = ITEMS
) -> Iterator[Cell]:
    """Yield cells of the registry of connections, those of the tenants in turn."""
    for item in items:
        for name in NAMES:
            handle = websockets.open(run.id(name))
            yield Cell(
                tenant=name,
                slug=f"{name}-websocket-{item}",
                family=families.CONNECTIONS,
                place=_place(run, families.CONNECTIONS, name, connection=item),
                reading=f"{name}.read('{item}') of the websockets",
                writing=f"{name}.connect('{item}')",
                removing=f"{name}.disconnect('{item}')",
                read=lambda h=handle, i=item: tag_of_fields(h.read(i)),  # type: ignore[misc]
                write=lambda tag, h=handle, i=item: h.connect(i, fields_with(tag)),  # type: ignore[misc]
                remove=lambda h=handle, i=item: h.disconnect(i),  # type: ignore[misc]
            )


def record_cells(records: TenantRecords, run: RunTenants) -> Iterator[Cell]:
    """Yield cells of the records that the contract has, those of the tenants in turn."""
    known = {family.name for family in run.contract.families}
    for family in RECORDS:
        if family not in known:
            continue
        for name in NAMES:
            handle = records.open(run.id(name))
            yield Cell(
                tenant=name,
                slug=f"{name}-{family}",
                family=family,
                place=_place(run, family, name),
                reading=f"{name}.read('{family}')",
                writing=f"{name}.write('{family}')",
                removing=f"{name}.delete('{family}')",
                read=lambda h=handle, f=family: tag_of_fields(h.read(f)),  # type: ignore[misc]
                write=lambda tag, h=handle, f=family: h.write(f, {"user_id": tag}),  # type: ignore[misc]
                remove=lambda h=handle, f=family: h.delete(f),  # type: ignore[misc]
            )


def fields_with(tag: str) -> dict[str, str]:
    """Return the fields of a made-up session or connection; the tag is its user."""
    return {"user_id": tag, "device_type": "mobile", "platform": "android"}


def tag_of_fields(reply: Mapping[str, str]) -> str | None:
    """Return the tag in a reply; None for no fields."""
    return reply.get("user_id", HALF) if reply else None


def tag_of_answer(data: object) -> str | None:
    """Return the tag in a cached answer, or how an answer reads that the suite never wrote."""
    if data is None:
        return None
    if isinstance(data, Mapping) and "tag" in data:
        return str(cast("Mapping[str, object]", data)["tag"])
    return repr(data)


def _place(run: RunTenants, family: str, name: str, **parts: str) -> Place:
    key = run.contract.key(family, tenant=run.id(name), **parts)
    return run.contract.family(family).databases[0], key
