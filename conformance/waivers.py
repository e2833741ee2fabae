# SPDX-License-Identifier: Apache-2.0
"""
Waivers: deviations that somebody answers for until a day.

An expired entry, one for an unknown requirement, or one that lacks a reason or an owner stops
the run before it starts. One that turns out not to be needed fails the run (`reports.verdict`).
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from datetime import date
from typing import TYPE_CHECKING

from kryonix_cache.conformance.errors import UnknownRequirementError, WaiverError
from kryonix_cache.reports.lines import Waiver

if TYPE_CHECKING:
    from pathlib import Path

    from kryonix_cache.conformance.registry import Registry

_MEMBERS = {"requirement", "reason", "owner", "expires"}


def load_waivers(path: Path, registry: Registry, *, today: date) -> tuple[Waiver, ...]:
    """Return the waivers of the TOML file at `path`; raise WaiverError naming file and entry."""
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise WaiverError(f"The waiver file {path} cannot be read ({error.strerror}).") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise WaiverError(f"The waiver file {path} is not valid TOML: {error}.") from None
    entries = data.get("waiver")
    if set(data) != {"waiver"} or not isinstance(entries, list):
        raise WaiverError(f"The waiver file {path} must hold [[waiver]] entries and nothing else.")
    waivers = tuple(
        _waiver(f"The waiver file {path}, entry {number}", entry, registry, today)
        for number, entry in enumerate(entries, start=1)
    )
    ids = [waiver.requirement for waiver in waivers]
    twice = next((each for each in ids if ids.count(each) > 1), None)
    if twice:
        raise WaiverError(f"The waiver file {path} waives {twice} twice: keep one entry.")
    return waivers


def _waiver(where: str, entry: object, registry: Registry, today: date) -> Waiver:
    if not isinstance(entry, Mapping) or set(entry) != _MEMBERS:
        raise WaiverError(f"{where}, must have {', '.join(sorted(_MEMBERS))} and nothing else.")
    for name in ("requirement", "reason", "owner"):
        if not isinstance(entry[name], str) or not entry[name].strip():
            raise WaiverError(f"{where}: {name} must be text that is not empty.")
    expires = _day(where, entry["expires"])
    if expires < today:
        raise WaiverError(
            f"{where}: the waiver of {entry['requirement']} expired on {expires}: "
            "mend the deviation, or renew the waiver with a reason."
        )
    try:
        requirement = registry[entry["requirement"]].id
    except UnknownRequirementError as error:
        raise WaiverError(f"{where}: {error}") from None
    return Waiver(
        requirement=requirement,
        reason=entry["reason"].strip(),
        owner=entry["owner"].strip(),
        expires=expires.isoformat(),
    )


def _day(where: str, value: object) -> date:
    if type(value) is date:
        return value
    try:
        return date.fromisoformat(str(value))
    except ValueError:
        raise WaiverError(f"{where}: expires must be a day, as 2027-01-31.") from None
