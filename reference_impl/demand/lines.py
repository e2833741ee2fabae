# SPDX-License-Identifier: Apache-2.0
"""The lines of access logs: one read, or one sentence about what keeps the line from being one."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple, cast

from kryonix_cache.reference_impl.contract.formats import FORMATS, text_of
from kryonix_cache.reference_impl.contract.keys import TENANT
from kryonix_cache.reference_impl.contract.model import Answer
from kryonix_cache.reference_impl.demand.errors import BrokenLineError, DemandInvalidError
from kryonix_cache.reference_impl.demand.items import LARGEST_COUNT, CounterReader, item_of
from kryonix_cache.reference_impl.errors import FormatError, KryonixError
from kryonix_cache.reference_impl.tenant.families import ANSWERS

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from datetime import datetime

    from kryonix_cache.reference_impl.contract import Contract

_JSON = b"{"
_COLUMNS = "time and key, or time, tenant, module and endpoint, or time, tenant, family and item"
_WAYS = ({"key"}, {TENANT, "module", "endpoint"}, {TENANT, "family", "item"})
_NAMES = (TENANT, "key", "module", "endpoint", "family", "item")
_KNOWN_PLACES = 10_000


@dataclass(frozen=True, slots=True)
class Access:
    """Reads of one item of one tenant at one moment (UTC)."""

    tenant: str
    family: str
    item: str
    at: datetime
    count: int = 1


class _Place(NamedTuple):
    tenant: str
    family: str
    item: str


def reader_of(contract: Contract, first: bytes, name: str) -> LineReader:
    """Return what reads the lines of a log by its first one.

    Raises DemandInvalidError, with the file's name, for a header without the columns of a log.
    """
    if first.lstrip().startswith(_JSON):
        return LineReader(contract, None)
    try:
        header = [cell.strip().lower() for cell in _cells(first)]
    except BrokenLineError:
        header = []
    if "time" not in header or not any(way <= set(header) for way in _WAYS):
        raise DemandInvalidError(
            f"The file {name} is no access log: its first line names no columns {_COLUMNS}, and is "
            "no JSON object with these members."
        )
    return LineReader(contract, header)


class LineReader:
    """Reads the lines of one log: CSV with a header, or a JSON object in each line."""

    def __init__(self, contract: Contract, header: list[str] | None) -> None:
        self.has_header = header is not None
        self._header = header
        self._contract = contract
        self._counters = CounterReader(contract)
        # The same few items come again and again.
        self._place_of = lru_cache(_KNOWN_PLACES)(self._find_place)

    def read(self, line: bytes) -> Access:
        """Return the read that a line tells of; raise BrokenLineError."""
        record = _members(line) if self._header is None else _row(line, self._header)
        moment = _moment(record.get("time", ""))
        count = _count(record.get("count", ""))
        place = self._place_of(*(record.get(name, "") for name in _NAMES))
        return Access(place.tenant, place.family, place.item, moment, count)

    def _find_place(self, *texts: str) -> _Place:
        tenant, key, module, endpoint, family, item = texts
        if key:
            place = self._place_of_key(key)
            if tenant not in {"", place.tenant}:
                raise BrokenLineError("tenant and key name two tenants")
        elif module and endpoint:
            place = self._place_of_answer(tenant, module, endpoint)
        elif family == ANSWERS and item:
            # The module of an answer holds no dot, so the first one ends it.
            place = self._place_of_answer(tenant, *item.partition(".")[::2])
        elif family and item:
            place = _Place(tenant, family, item)
        else:
            raise BrokenLineError(f"the line lacks members: it takes {_COLUMNS}")
        self._check(place)
        return place

    def _place_of_key(self, key: str) -> _Place:
        try:
            parsed = self._contract.parse_anywhere(key.encode())
        except UnicodeEncodeError:
            parsed = None
        if parsed is None or parsed.tenant is None:
            raise BrokenLineError("the key belongs to no tenant's family of the contract")
        rest = [text for name, text in parsed.parts.items() if name != TENANT]
        return _Place(parsed.tenant, parsed.family.name, ".".join(rest))

    def _place_of_answer(self, tenant: str, module: str, endpoint: str) -> _Place:
        try:
            self._contract.key(ANSWERS, tenant=tenant, module=module, endpoint=endpoint)
        except KryonixError:
            raise BrokenLineError("no cached answer has such a tenant and such parts") from None
        return _Place(tenant, ANSWERS, Answer(module, endpoint).item)

    def _check(self, place: _Place) -> None:
        if not self._contract.tenant.is_valid(place.tenant):
            raise BrokenLineError("the tenant id is not valid")
        try:
            family = self._contract.family(place.family)
        except KryonixError:
            raise BrokenLineError("the contract has no such family") from None
        if not family.per_tenant or family.bookkeeping:
            raise BrokenLineError("the family holds nothing that tenants read")
        if not self._counters.names(item_of(place.family, place.item)):
            raise BrokenLineError("the item has no name that can be counted")


def _cells(line: bytes) -> list[str]:
    try:
        return next(csv.reader([line.decode().rstrip("\r\n")], strict=True))
    except UnicodeDecodeError:
        raise BrokenLineError("the line is not UTF-8") from None
    except (csv.Error, StopIteration):
        raise BrokenLineError("the line is no CSV") from None


def _row(line: bytes, header: Collection[str]) -> Mapping[str, str]:
    cells = _cells(line)
    if len(cells) != len(header):
        raise BrokenLineError(f"the line has {len(cells)} columns, and the header {len(header)}")
    return {name: cell.strip() for name, cell in zip(header, cells, strict=True)}


def _members(line: bytes) -> Mapping[str, str]:
    try:
        value = FORMATS["json-object"].parse(line.decode())
    except (FormatError, UnicodeDecodeError):
        raise BrokenLineError("the line is no JSON object") from None
    members = cast("dict[str, object]", value)
    return {name: text_of(member) for name, member in members.items() if member is not None}


def _moment(text: str) -> datetime:
    format_name = "epoch" if text.replace(".", "", 1).isdigit() else "time"
    try:
        moment = FORMATS[format_name].parse(text.replace(" ", "T", 1))
    except FormatError as error:
        raise BrokenLineError(
            f"its time is not {error.wanted}, nor {FORMATS['epoch'].wanted}"
        ) from None
    return cast("datetime", moment)


def _count(text: str) -> int:
    if not text:
        return 1
    try:
        count = cast("int", FORMATS["integer"].parse(text))
    except FormatError as error:
        raise BrokenLineError(f"its count is not {error.wanted}") from None
    if count > LARGEST_COUNT:
        raise BrokenLineError(f"its count is above {LARGEST_COUNT}")
    return count
