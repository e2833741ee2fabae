# SPDX-License-Identifier: Apache-2.0
"""The judge of what families say of one another: facts, unique values, keys that must exist.

Facts and unique values are kept as hashes, one for each tenant. Whatever else a value points
to is asked of the server at once, together with that of its whole batch, and forgotten.
"""

from __future__ import annotations

import hashlib
import sys
from dataclasses import dataclass
from dataclasses import field as member
from functools import partial
from typing import TYPE_CHECKING

from kryonix_cache.conformance.judging.display import place, shown_key, shown_value
from kryonix_cache.reference_impl.contract.formats import host_of
from kryonix_cache.reference_impl.errors import InvalidTenantIdError, KeyPartError
from kryonix_cache.reports.lines import Finding

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from kryonix_cache.conformance.judging.lookups import Lookups
    from kryonix_cache.conformance.judging.tally import KeyAt, Tally
    from kryonix_cache.reference_impl.contract import Contract, Field

REFERENCES = "keyspace.references"


@dataclass(slots=True)
class _Said:
    """One value of a fact: its hash, who said it first in order, and how often it was said.

    `other` is another value of the same fact of the same tenant, which should not be there.
    """

    digest: int
    decides: bool
    database: int
    key: bytes
    path: str
    times: int = 1
    other: _Said | None = None


@dataclass(slots=True)
class _Waiting:
    """What to report when a key, or a member of a set, turns out not to be there."""

    database: int
    key: bytes
    report: Callable[[], None]
    members: tuple[str, ...] = ()
    report_members: Callable[[list[str]], None] = member(default=lambda _names: None)


class References:
    """Takes note of each value that refers to something, and judges it."""

    def __init__(self, contract: Contract, tally: Tally, lookups: Lookups) -> None:
        self._contract = contract
        self._tally = tally
        self._lookups = lookups
        # By fact, then by the hash of the tenant.
        self._facts: dict[str, dict[int, _Said]] = {}
        # By field, then by the hash of the value: the key that holds it.
        self._unique: dict[str, dict[int, bytes]] = {}
        self._keys: list[_Waiting] = []
        self._sets: list[_Waiting] = []

    def note(self, at: KeyAt, field: Field, text: str, path: str) -> None:
        """Take note of a field that names a fact, is unique, or refers to a key."""
        if at.tenant is not None and (field.fact or field.unique):
            comparable = _comparable(text) if field.secret else host_of(text)
            if comparable is not None:
                self._note_fact(at, field, at.tenant, hash(comparable), path)
        if field.refers_to is not None:
            self._note_reference(at, field, text, path)

    def note_list(self, at: KeyAt, field: Field, items: object, path: str) -> None:
        """Take note of a list of names that a set must hold, or of keys."""
        names = tuple(str(item) for item in items) if isinstance(items, tuple | list) else ()
        if field.among is not None and names:
            self._note_members(at, field, names, path)
        elif field.format.name == "key-list":
            for name in names:
                self._judge_key(at, field, name, path)

    def note_companion(self, at: KeyAt) -> None:
        """Take note that a key is to be accompanied by one of another family."""
        companion = at.family.accompanied_by
        if companion is None or at.tenant is None:
            return
        target = self._target(companion.family, at.tenant, "")
        if target is None:
            return
        database, key = target
        report = partial(
            self._report, at, "",
            found=f"no {place(database, key)} beside it",
            wanted=f"a key of the family {companion.family} for the same tenant",
            erratum=companion.erratum,
        )  # fmt: skip
        self._keys.append(_Waiting(database, key, report))

    @property
    def waiting(self) -> int:
        """How many questions to the server `settle` would ask."""
        return len(self._keys) + len(self._sets)

    def settle(self) -> None:
        """Ask the server for everything that was referred to since the last time."""
        self._tally.seen["references"] += self.waiting
        missing = self._lookups.missing([(each.database, each.key) for each in self._keys])
        for waiting in self._keys:
            if (waiting.database, waiting.key) in missing:
                waiting.report()
        absent = self._lookups.not_members(
            [(each.database, each.key, each.members) for each in self._sets]
        )
        for waiting, names in zip(self._sets, absent, strict=True):
            if names:
                waiting.report_members(names)
        self._keys.clear()
        self._sets.clear()

    def conclude(self) -> None:
        """Judge the facts, now that every family has had its say."""
        for fact, by_tenant in self._facts.items():
            for said in by_tenant.values():
                if said.other is not None:
                    self._judge_fact(fact, said)

    def _note_fact(self, at: KeyAt, field: Field, tenant: str, digest: int, path: str) -> None:
        self._tally.seen["references"] += 1
        if field.fact:
            new = _Said(digest, field.unique, at.database, at.name, sys.intern(path))
            said = self._facts.setdefault(field.fact, {}).setdefault(hash(tenant), new)
            if said is not new:
                _add(said, new)
        if field.unique:
            self._judge_unique(at, field, tenant, digest, path)

    def _judge_fact(self, fact: str, said: _Said) -> None:
        first, *others = sorted(
            _values(said), key=lambda each: (not each.decides, each.database, each.key)
        )
        for other in others:
            for _ in range(other.times):
                self._tally.of(REFERENCES).offer(
                    f"fact {fact}", other.key, partial(_disagreement, fact, first, other)
                )

    def _judge_unique(self, at: KeyAt, field: Field, tenant: str, digest: int, path: str) -> None:
        known = self._unique.setdefault(f"{at.family.name} {field.name}", {})
        holder = known.setdefault(digest, at.name)
        if holder is at.name:
            return
        parsed = self._contract.parse(at.database, holder)
        if parsed is not None and parsed.tenant == tenant:
            return
        lower, upper = sorted([at.name, holder])
        known[digest] = lower
        self._tally.of(REFERENCES).offer(
            f"unique {at.family.name} {field.name}",
            upper,
            lambda: Finding(
                where=place(at.database, upper, path),
                found=f"the same {field.name} as {place(at.database, lower)}",
                wanted="a value that no other tenant has",
            ),
        )

    def _note_reference(self, at: KeyAt, field: Field, text: str, path: str) -> None:
        assert field.refers_to is not None
        target = self._target(field.refers_to, at.tenant, text)
        if target is None:
            return
        database, key = target
        report = partial(
            self._report, at, path,
            found=f"{shown_value(text)}, without {place(database, key)}",
            wanted=f"a value that a key of the family {field.refers_to} stands for",
            erratum=field.erratum,
        )  # fmt: skip
        self._keys.append(_Waiting(database, key, report))

    def _note_members(self, at: KeyAt, field: Field, names: tuple[str, ...], path: str) -> None:
        assert field.among is not None
        target = self._target(field.among, at.tenant, "")
        if target is None:
            return
        database, key = target

        def report(absent: list[str]) -> None:
            self._report(
                at, path,
                found=f"names that are not there: {_listed(absent)}",
                wanted=f"members of {place(database, key)}",
                erratum=field.erratum,
            )  # fmt: skip

        self._sets.append(_Waiting(database, key, lambda: None, names, report))

    def _judge_key(self, at: KeyAt, field: Field, name: str, path: str) -> None:
        self._tally.seen["references"] += 1
        key = name.encode(errors="backslashreplace")
        parsed = self._contract.parse_anywhere(key)
        if parsed is None:
            found = f"{shown_key(key)}, a key of no family"
        elif at.tenant is not None and parsed.tenant != at.tenant:
            found = f"{shown_key(key)}, a key of another tenant"
        else:
            return
        self._report(
            at, path, found=found, wanted="keys of the tenant's families", erratum=field.erratum
        )

    def _target(self, family_name: str, tenant: str | None, value: str) -> tuple[int, bytes] | None:
        """Return the key that a value means, None if the value cannot be part of a key."""
        family = self._contract.family(family_name)
        parts = {name: tenant if name == "tenant" else value for name in family.parts}
        if None in parts.values():
            return None
        try:
            key = self._contract.key(family_name, **{n: str(v) for n, v in parts.items()})
        except (KeyPartError, InvalidTenantIdError):
            return None
        return family.databases[0], key

    def _report(
        self, at: KeyAt, path: str, *, found: str, wanted: str, erratum: str | None
    ) -> None:
        self._tally.add(
            REFERENCES, at, path,
            lambda where: Finding(where=where, found=found, wanted=wanted, erratum=erratum),
        )  # fmt: skip


def _values(said: _Said | None) -> Iterator[_Said]:
    while said is not None:
        yield said
        said = said.other


def _add(said: _Said, new: _Said) -> None:
    """Add what one more field says, as one more time or as another value."""
    for each in _values(said):
        last = each
        if each.digest == new.digest:
            each.times += 1
            each.decides = each.decides or new.decides
            if (new.database, new.key) < (each.database, each.key):
                each.database, each.key, each.path = new.database, new.key, new.path
            return
    last.other = new


def _disagreement(fact: str, first: _Said, other: _Said) -> Finding:
    return Finding(
        where=place(other.database, other.key, other.path),
        found=f"another {fact} than {place(first.database, first.key, first.path)}",
        wanted="one value in all families of a tenant",
    )


def _comparable(secret: str) -> str | None:
    """Return a form in which a secret and its plain digest are equal; None for a keyed digest."""
    scheme, colon, digest = secret.partition(":")
    if colon and scheme == "sha256":
        return digest
    if colon and scheme.startswith("hmac-"):
        return None
    return hashlib.sha256(secret.encode(errors="backslashreplace")).hexdigest()


def _listed(names: Iterable[str] | Sequence[str]) -> str:
    return ", ".join(shown_value(name) for name in list(names)[:10])
