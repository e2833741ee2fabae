# SPDX-License-Identifier: Apache-2.0
"""
Keys: built from a family and its parts, and taken apart again.

A pattern is segments joined by ``:``; a segment is literal or one named part. No part may
hold the separator, so building is injective and parsing is its inverse. Parsing is exact
for every part but the tenant: a key whose tenant breaks the rule still belongs to its
family, so that an audit can name the offence instead of calling the key unknown. A key
that is not UTF-8 belongs to no family (E09).

Builder, matcher and parser use the same regular expressions over bytes: as text, word
characters and counted repeats would mean something else.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kryonix_cache.reference_impl.contract.model import (
    SEPARATOR,
    Channel,
    Family,
    TenantRule,
    shortened,
)
from kryonix_cache.reference_impl.errors import KeyPartError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

TENANT = "tenant"
_ANY_TENANT = b"[^:]*"
_SEPARATOR = SEPARATOR.encode()
_PART = re.compile(r"\{([a-z_]+)\}")
_GLOB_CHARACTER = re.compile(r"[*?\[\]\\]")
_LITERAL = re.compile(r"[A-Za-z0-9_.-]+")


def part_names(pattern: str) -> tuple[str, ...]:
    """Return the named parts of `pattern` in order."""
    return tuple(part for segment in pattern.split(SEPARATOR) if (part := _part_of(segment)))


def segments_are_well_formed(pattern: str) -> bool:
    """Say whether each segment is a named part or a literal without pattern characters."""
    return all(
        _PART.fullmatch(segment) or _LITERAL.fullmatch(segment)
        for segment in pattern.split(SEPARATOR)
    )


def glob_of(pattern: str, tenant: str) -> str:
    """Return the glob that matches every name of `pattern` with this tenant.

    It matches other names as well, for a star reaches over separators: whoever needs exactly
    the tenant's names parses what was found.
    """
    return SEPARATOR.join(
        segment
        if part is None
        else _GLOB_CHARACTER.sub(r"\\\g<0>", tenant)
        if part == TENANT
        else "*"
        for segment in pattern.split(SEPARATOR)
        for part in [_part_of(segment)]
    )


def _part_of(segment: str) -> str | None:
    match = _PART.fullmatch(segment)
    return None if match is None else match[1]


def _pattern_of(part: str, parts: Mapping[str, str]) -> bytes:
    return _ANY_TENANT if part == TENANT else parts[part].encode()


class KeyBuilder:
    """Builds the names of one family of keys or channels.

    It refuses every part that could reach another name.
    """

    def __init__(
        self, family: Family | Channel, parts: Mapping[str, str], tenant: TenantRule
    ) -> None:
        self.family = family
        kind = "key of family" if isinstance(family, Family) else "channel of family"
        self._what = f"{kind} {family.name!r}"
        self._segments = [(_part_of(each), each) for each in family.pattern.split(SEPARATOR)]
        self._rules = {
            name: re.compile(parts[name].encode()) for name in family.parts if name != TENANT
        }
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
        if given.keys() != set(self.family.parts):
            wanted = ", ".join(self.family.parts) or "no part"
            found = ", ".join(sorted(given)) or "none"
            raise KeyPartError(f"A {self._what} takes {wanted}, but {found} was given.")

    def _check_part(self, name: str, value: str) -> None:
        if name == TENANT:
            self._tenant.check(value)
        elif not self._holds(name, value):
            raise KeyPartError(
                f"The part {name!r} of a {self._what} must match "
                f"{self._rules[name].pattern.decode()} and hold no {SEPARATOR!r}, "
                f"but is {shortened(value)}."
            )

    def _holds(self, name: str, value: str) -> bool:
        try:
            raw = value.encode()
        except UnicodeEncodeError:
            return False
        return _SEPARATOR not in raw and self._rules[name].fullmatch(raw) is not None


@dataclass(frozen=True, slots=True)
class Match:
    """What a Matcher found: the family's index in its tuple, and the raw tenant if any."""

    index: int
    tenant: bytes | None


class Matcher:
    """Finds the family of a raw key by one regular expression for each number of segments.

    The scan of a whole keyspace calls `match` once for each key, so it works on bytes and
    allocates nothing but the result. Choosing by the number of separators keeps a part whose
    own pattern would accept the separator from reaching over it.
    """

    def __init__(self, families: Iterable[Family], parts: Mapping[str, str]) -> None:
        self.families = tuple(families)
        lengths = {family.pattern.count(SEPARATOR) for family in self.families}
        self._alternatives = {
            length: _Alternatives(
                [
                    (index, family)
                    for index, family in enumerate(self.families)
                    if family.pattern.count(SEPARATOR) == length
                ],
                parts,
            )
            for length in lengths
        }

    def match(self, key: bytes) -> Match | None:
        """Return the family and tenant of `key`, or None if no family matches."""
        alternatives = self._alternatives.get(key.count(_SEPARATOR))
        if alternatives is None or not (key.isascii() or _is_utf8(key)):
            return None
        return alternatives.match(key)


def _is_utf8(key: bytes) -> bool:
    try:
        key.decode()
    except UnicodeDecodeError:
        return False
    return True


class _Alternatives:
    """The families of one length as one regular expression, a group for each."""

    def __init__(self, families: Iterable[tuple[int, Family]], parts: Mapping[str, str]) -> None:
        self._found: dict[int, tuple[int, int | None]] = {}
        branches = []
        group = 1
        for index, family in families:
            branches.append(b"(" + _branch(family, parts) + b")")
            self._found[group] = (index, group + 1 if family.per_tenant else None)
            group += 2 if family.per_tenant else 1
        self._regex = re.compile(b"|".join(branches))

    def match(self, key: bytes) -> Match | None:
        found = self._regex.fullmatch(key)
        if found is None:
            return None
        # The outer group of a branch closes last, so lastindex is the family's group.
        index, tenant_group = self._found[found.lastindex or 0]
        return Match(index, None if tenant_group is None else found[tenant_group])


def _branch(family: Family, parts: Mapping[str, str]) -> bytes:
    return _SEPARATOR.join(
        _segment_pattern(segment, parts) for segment in family.pattern.split(SEPARATOR)
    )


def _segment_pattern(segment: str, parts: Mapping[str, str]) -> bytes:
    part = _part_of(segment)
    if part is None:
        return re.escape(segment.encode())
    return (b"(" if part == TENANT else b"(?:") + _pattern_of(part, parts) + b")"


class KeyParser:
    """Takes the names of one family of keys or channels apart; the inverse of KeyBuilder."""

    def __init__(self, family: Family | Channel, parts: Mapping[str, str]) -> None:
        self._segments = [
            (part, re.compile(_pattern_of(part, parts) if part else re.escape(segment.encode())))
            for segment in family.pattern.split(SEPARATOR)
            for part in [_part_of(segment)]
        ]

    def parse(self, key: bytes) -> dict[str, str] | None:
        """Return the parts of the name, or None if it is none of this family."""
        raw = key.split(_SEPARATOR)
        if len(raw) != len(self._segments) or not _is_utf8(key):
            return None
        parts: dict[str, str] = {}
        for (name, rule), value in zip(self._segments, raw, strict=True):
            if not rule.fullmatch(value):
                return None
            if name is not None:
                parts[name] = value.decode()
        return parts


def may_meet(first: str, second: str, parts: Mapping[str, str]) -> bool:
    """Say whether some key could belong to both patterns, judged segment by segment."""
    mine, others = first.split(SEPARATOR), second.split(SEPARATOR)
    return len(mine) == len(others) and all(
        _segments_meet(a, b, parts) for a, b in zip(mine, others, strict=True)
    )


def _segments_meet(first: str, second: str, parts: Mapping[str, str]) -> bool:
    mine, others = _part_of(first), _part_of(second)
    if mine is None and others is None:
        return first == second
    if mine is not None and others is not None:
        # Whether two regular expressions share a text is not decided here: better one
        # refused contract too many than a key of two families.
        return True
    part, literal = (mine, second) if mine is not None else (others, first)
    # A literal may be somebody's tenant id, so a tenant meets every literal.
    return part == TENANT or re.fullmatch(parts[str(part)].encode(), literal.encode()) is not None
