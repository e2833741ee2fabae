# SPDX-License-Identifier: Apache-2.0
"""
Keys: built from a family and its parts, and taken apart again.

A pattern is segments joined by ``:``; a segment is literal or one named part. No part may
hold the separator, so building is injective and parsing is its inverse. Parsing is exact
for every part but the tenant: a key whose tenant breaks the rule still belongs to its
family, so that an audit can name the offence instead of calling the key unknown.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from kryonix_cache.reference_impl.contract.model import Family, ParsedKey, TenantRule
from kryonix_cache.reference_impl.errors import KeyPartError

SEPARATOR = ":"
ANY_TENANT = "[^:]*"
_PART = re.compile(r"\{([a-z_]+)\}")


def part_names(pattern: str) -> tuple[str, ...]:
    """Return the named parts of `pattern` in order."""
    return tuple(match[1] for match in map(_PART.fullmatch, pattern.split(SEPARATOR)) if match)


def segments_are_well_formed(pattern: str) -> bool:
    """Say whether each segment is a named part or a literal without pattern characters."""
    return all(
        _PART.fullmatch(segment) or re.fullmatch(r"[A-Za-z0-9_.-]+", segment)
        for segment in pattern.split(SEPARATOR)
    )


class KeyBuilder:
    """Builds the keys of one family and refuses every part that could reach another key."""

    def __init__(self, family: Family, parts: Mapping[str, str], tenant: TenantRule) -> None:
        self.family = family
        self._segments = [
            (match[1] if (match := _PART.fullmatch(segment)) else None, segment)
            for segment in family.pattern.split(SEPARATOR)
        ]
        self._rules = {name: re.compile(parts[name]) for name in family.parts if name != "tenant"}
        self._tenant = tenant

    def build(self, given: Mapping[str, str]) -> bytes:
        """Return the key; raise KeyPartError or InvalidTenantIdError for a part it cannot hold."""
        self._check_names(given)
        for name, value in given.items():
            self._check_part(name, value)
        return SEPARATOR.join(
            segment if name is None else given[name] for name, segment in self._segments
        ).encode()

    def _check_names(self, given: Mapping[str, str]) -> None:
        if set(given) != set(self.family.parts):
            wanted = ", ".join(self.family.parts) or "no part"
            found = ", ".join(sorted(given)) or "none"
            raise KeyPartError(
                f"A key of family {self.family.name!r} takes {wanted}, but {found} was given."
            )

    def _check_part(self, name: str, value: str) -> None:
        if name == "tenant":
            self._tenant.check(value)
        elif not self._rules[name].fullmatch(value):
            raise KeyPartError(
                f"The part {name!r} of a key of family {self.family.name!r} must match "
                f"{self._rules[name].pattern}, but is {ascii(value)}."
            )


@dataclass(frozen=True, slots=True)
class Match:
    """What a Matcher found: the family's index in its tuple, and the raw tenant if any."""

    index: int
    tenant: bytes | None


class Matcher:
    """Finds the family of a raw key by one regular expression over several families.

    The scan of a whole keyspace calls `match` once for each key, so it works on bytes and
    allocates nothing but the result.
    """

    def __init__(self, families: Iterable[Family], parts: Mapping[str, str]) -> None:
        self.families = tuple(families)
        branches = [_branch(family, parts) for family in self.families]
        self._regex = re.compile("|".join(f"({branch})" for branch in branches).encode() or b"(?!)")
        # A group for each family, followed by one for its tenant where it has one.
        self._index_of_group: dict[int, int] = {}
        self._tenant_group: list[int | None] = []
        group = 1
        for index, family in enumerate(self.families):
            self._index_of_group[group] = index
            self._tenant_group.append(group + 1 if family.per_tenant else None)
            group += 2 if family.per_tenant else 1

    def match(self, key: bytes) -> Match | None:
        """Return the family and tenant of `key`, or None if no family matches."""
        found = self._regex.fullmatch(key)
        if found is None:
            return None
        # The outer group of a branch closes last, so lastindex is the family's group.
        index = self._index_of_group[found.lastindex or 0]
        tenant_group = self._tenant_group[index]
        return Match(index, found[tenant_group] if tenant_group is not None else None)


def _branch(family: Family, parts: Mapping[str, str]) -> str:
    return SEPARATOR.join(_segment_pattern(segment, parts) for segment in family.pattern.split(SEPARATOR))


def _segment_pattern(segment: str, parts: Mapping[str, str]) -> str:
    match = _PART.fullmatch(segment)
    if match is None:
        return re.escape(segment)
    if match[1] == "tenant":
        return f"({ANY_TENANT})"
    return f"(?:{parts[match[1]]})"


class KeyParser:
    """Takes the keys of one family apart; the inverse of KeyBuilder."""

    def __init__(self, family: Family, parts: Mapping[str, str]) -> None:
        self.family = family
        self._regex = re.compile(
            SEPARATOR.join(
                f"(?P<{match[1]}>{ANY_TENANT if match[1] == 'tenant' else parts[match[1]]})"
                if (match := _PART.fullmatch(segment))
                else re.escape(segment)
                for segment in family.pattern.split(SEPARATOR)
            )
        )

    def parse(self, key: bytes) -> ParsedKey | None:
        """Return the key's parts, or None if it is no key of this family."""
        try:
            text = key.decode()
        except UnicodeDecodeError:
            return None
        match = self._regex.fullmatch(text)
        return None if match is None else ParsedKey(self.family, match.groupdict())


def may_meet(first: Family, second: Family, parts: Mapping[str, str]) -> bool:
    """Say whether some key could belong to both families, judged segment by segment."""
    mine, others = first.pattern.split(SEPARATOR), second.pattern.split(SEPARATOR)
    return len(mine) == len(others) and all(
        _segments_meet(a, b, parts) for a, b in zip(mine, others, strict=True)
    )


def _segments_meet(first: str, second: str, parts: Mapping[str, str]) -> bool:
    names = [match[1] if (match := _PART.fullmatch(s)) else None for s in (first, second)]
    if names[0] is not None and names[1] is not None:
        return True
    if names[0] is None and names[1] is None:
        return first == second
    part, literal = (names[0], second) if names[0] is not None else (names[1], first)
    # Any literal may be somebody's tenant id, so a tenant meets every literal.
    return part == "tenant" or re.fullmatch(parts[str(part)], literal) is not None
