# SPDX-License-Identifier: Apache-2.0
"""Problems: what could not be read or done, told and not raised, so that the rest goes on."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that could not be read or done: where, and what was found and wanted."""

    where: str
    what: str


def place_of(database: int, key: bytes, field_name: str | None = None) -> str:
    """Return where a key lies, and its field if one is meant, as a problem names it."""
    place = f"db {database} {key.decode(errors='backslashreplace')}"
    return place if field_name is None else f"{place} {field_name}"
