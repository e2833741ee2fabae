# SPDX-License-Identifier: Apache-2.0
"""
Which names a tenant's pattern reaches beyond those that it is meant for.

A rule of the server is a glob, and its star reaches over separators: `a:*:acme` would match the
key `a:evil:x:acme` of somebody else's family. Whether a pattern does so is decided here against
every other pattern of the contract, before it becomes a rule.
"""

from __future__ import annotations

import re
from enum import IntEnum
from typing import TYPE_CHECKING

from kryonix_cache.reference_impl.contract.keys import TENANT, part_names
from kryonix_cache.reference_impl.contract.model import SEPARATOR

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from kryonix_cache.reference_impl.contract.model import TenantId


class Reach(IntEnum):
    """What a tenant's pattern matches among the names of another pattern."""

    NOTHING = 0
    OWN = 1
    FOREIGN = 2


def reach_of(pattern: str, other: str, tenant: TenantId, parts: Mapping[str, str]) -> Reach:
    """Say whose names of `other` the glob of `pattern` with this tenant matches.

    Names of `other` that belong to no tenant are foreign too.
    """
    mine = [_word(segment, tenant) for segment in pattern.split(SEPARATOR)]
    others = other.split(SEPARATOR)
    nobody = Reach.OWN if TENANT in part_names(other) else Reach.FOREIGN
    matches = _matches(mine, others, tenant, parts)
    return max((max(nobody, each) for each in matches), default=Reach.NOTHING)


def _word(segment: str, tenant: TenantId) -> str | None:
    """Return what a segment of the glob is: a text, or None for a star."""
    named = part_names(segment)
    if not named:
        return segment
    return tenant if named == (TENANT,) else None


def _matches(
    mine: Sequence[str | None],
    others: Sequence[str],
    tenant: TenantId,
    parts: Mapping[str, str],
) -> Iterator[Reach]:
    """Yield a Reach for each way in which the glob can match."""
    if not mine or not others:
        if not mine and not others:
            yield Reach.OWN
        return
    # No part is empty, so a star stands for at least one segment.
    longest = 1 if mine[0] is not None else len(others)
    for length in range(1, longest + 1):
        met = [_meets(mine[0], each, tenant, parts) for each in others[:length]]
        if Reach.NOTHING not in met:
            for rest in _matches(mine[1:], others[length:], tenant, parts):
                yield max(rest, *met)


def _meets(word: str | None, other: str, tenant: TenantId, parts: Mapping[str, str]) -> Reach:
    named = part_names(other)
    if named == (TENANT,):
        # Whether another word is a tenant's id is not asked: better a rule too few.
        return Reach.OWN if word == tenant else Reach.FOREIGN
    if word is None:
        return Reach.OWN
    fits = re.fullmatch(parts[named[0]].encode(), word.encode()) if named else other == word
    return Reach.OWN if fits else Reach.NOTHING
