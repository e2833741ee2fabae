# SPDX-License-Identifier: Apache-2.0
"""The errata: where the specification cannot be followed to the letter, and what holds instead."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Erratum:
    """One erratum: what the specification says, what happens, and what holds in its place."""

    id: str
    title: str
    says: str
    happens: str
    holds: str


@cache
def load_errata() -> Mapping[str, Erratum]:
    """Return every erratum by its id, in order."""
    text = files(__package__).joinpath("errata.toml").read_text(encoding="utf-8")
    return {name: Erratum(id=name, **table) for name, table in tomllib.loads(text).items()}
