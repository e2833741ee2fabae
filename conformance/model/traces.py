# SPDX-License-Identifier: Apache-2.0
"""
Traces: what in a reply tells of another tenant, wherever in it that stands.

A handle may add fields of its own to what it was given, and of those nothing is asked but that
they name nobody else. Whoever writes in a program says so in each value that it writes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from kryonix_cache.conformance.model.programs import TENANT_NAMES

if TYPE_CHECKING:
    from collections.abc import Iterator

_NAME = "|".join(map(re.escape, sorted(TENANT_NAMES, key=len, reverse=True)))
_WRITERS = (
    re.compile(rf"user_({_NAME})_\d+"),
    re.compile(rf'"of": ?"({_NAME})"'),
    re.compile(rf"^({_NAME}) \d+$"),
)


def foreign_traces(value: object, tenant: str, prefix: str) -> list[str]:
    """Return the texts in a value that name another tenant of the run than this one.

    `prefix` is what the ids of the run's tenants begin with.
    """
    patterns = (*_WRITERS, re.compile(rf"{re.escape(prefix)}({_NAME})(?![a-z0-9_-])"))
    return [
        text
        for text in _texts(value)
        if any(name != tenant for each in patterns for name in each.findall(text))
    ]


def _texts(value: object) -> Iterator[str]:
    """Yield each text at each depth; a pair of a mapping as one text, as JSON writes it."""
    match value:
        case str():
            yield value
        case bytes():
            yield value.decode(errors="replace")
        case Mapping():
            for name, each in value.items():
                yield from (
                    f'"{name}": "{text}"' if name == "of" else text for text in _texts(each)
                )
        case list() | tuple() | set() | frozenset():
            for each in value:
                yield from _texts(each)
        case _:
            return
