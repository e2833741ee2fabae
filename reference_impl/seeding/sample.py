# SPDX-License-Identifier: Apache-2.0
"""
The specification's sample as a plan: 58 keys, with E07 corrected and nothing else changed.

It is not clean by the contract's own rules (E29); for clean data see `synthetic`.
"""

from __future__ import annotations

import tomllib
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from kryonix_cache.reference_impl.contract import default_contract
from kryonix_cache.reference_impl.seeding.key import Command, SeedKey

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

SAMPLE_FILE = "sample.toml"


class SamplePlan:
    """The sample as it is at one moment.

    With `at` given, `system:database_info:*` and the sorted-set scores carry that moment
    whatever they carried before; without it they carry the present where they are missing.
    """

    def __init__(self, at: datetime | None = None) -> None:
        """Raise ValueError for a time without an offset (E27)."""
        moment = at or datetime.now(UTC)
        if moment.tzinfo is None:
            raise ValueError("the moment of seeding needs an offset from UTC")
        moment = moment.astimezone(UTC).replace(microsecond=0)
        self._keys: dict[int, list[SeedKey]] = {}
        for entry in _entries():
            key = _key(entry, moment, moment_fixed=at is not None)
            self._keys.setdefault(key.database, []).append(key)

    @property
    def sizes(self) -> Mapping[int, int]:
        """Number of keys of each database."""
        return {database: len(keys) for database, keys in self._keys.items()}

    def keys(self, database: int) -> Iterator[SeedKey]:
        """Return the sample's keys of one database, in the order of the specification."""
        return iter(self._keys.get(database, []))

    @property
    def tenant_databases(self) -> Sequence[int]:
        """The databases that may hold keys of tenants."""
        families = default_contract().tenant_families
        return sorted({database for family in families for database in family.databases})

    def is_of_tenant(self, database: int, name: bytes) -> bool:
        """Say whether a key belongs to a tenant."""
        parsed = default_contract().parse(database, name)
        return parsed is not None and parsed.family.per_tenant


@cache
def _entries() -> tuple[dict[str, Any], ...]:
    text = files(__package__).joinpath(SAMPLE_FILE).read_text(encoding="utf-8")
    return tuple(tomllib.loads(text)["key"])


def _key(entry: Mapping[str, Any], moment: datetime, *, moment_fixed: bool) -> SeedKey:
    present = entry.get("present", [])
    return SeedKey(
        database=entry["database"],
        write=_write(entry["type"], entry["name"], _value(entry, present, moment)),
        ttl=entry.get("ttl"),
        present=frozenset(name.encode() for name in present),
        moment_fixed=moment_fixed,
    )


def _value(entry: Mapping[str, Any], present: list[str], moment: datetime) -> list[str]:
    """Return the value as the arguments of the command that writes it."""
    if entry["type"] == "zset":
        score = str(int(moment.timestamp()))
        return [argument for member in present for argument in (score, member)]
    if entry["type"] == "hash":
        fields = entry["value"] | dict.fromkeys(present, moment.isoformat())
        return [argument for pair in fields.items() for argument in pair]
    value = entry["value"]
    return [value] if isinstance(value, str) else list(value)


_WRITE = {"string": "SET", "hash": "HSET", "list": "RPUSH", "set": "SADD", "zset": "ZADD"}


def _write(type_: str, name: str, arguments: list[str]) -> Command:
    return tuple(text.encode() for text in (_WRITE[type_], name, *arguments))
