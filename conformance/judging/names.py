# SPDX-License-Identifier: Apache-2.0
"""The judge of what one scan tells of each key: name, type, time to live and size.

It runs once for each key of a keyspace that may hold many millions, so a key that is as it
should be costs a few comparisons and leaves nothing behind.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from kryonix_cache.conformance.judging.directive_values import size_words
from kryonix_cache.conformance.judging.display import place, shown_value
from kryonix_cache.conformance.judging.tally import KeyAt, Tally
from kryonix_cache.reports.lines import Finding

if TYPE_CHECKING:
    from kryonix_cache.conformance.judging.sampling import Sample
    from kryonix_cache.reference_impl.contract import Contract, Family
    from kryonix_cache.reference_impl.scan import KeyRow, ScanBatch

TENANTS_REMEMBERED = 1_000_000
"""Above this many tenants the count of tenants becomes a lower bound, and memory stays bounded."""

# What is known of a tenant, as bits of one number.
_INVALID, _OWN, _WANTED, _UNMET = 1, 2, 4, 8
_WANTED_OR_INVALID = _WANTED | _INVALID
_PERSISTENT_MS = -1


@dataclass(slots=True)
class _Rule:
    """What the loop needs to know of one family in one database."""

    family: Family
    type: bytes
    lowest_ms: int
    highest_ms: int
    is_special: bool
    keys: int = 0


@dataclass(frozen=True, slots=True)
class _Noted:
    """The keys of one batch whose values, and whose companions, are to be looked at."""

    values: list[KeyAt]
    companied: list[KeyAt]


class NameJudge:
    """Judges batches of a scan, and says which values are to be read."""

    def __init__(
        self, contract: Contract, tally: Tally, sample: Sample, *, own_prefix: str
    ) -> None:
        self._contract = contract
        self._tally = tally
        self._sample = sample
        self._own_prefix = own_prefix.encode()
        self._tenants: dict[bytes, int] = {}
        self._most_tenants = 0
        self._rules: dict[int, list[_Rule]] = {}
        self._templates: dict[str, int] = {}
        self._described: set[int] = set()

    def judge(self, batch: ScanBatch) -> tuple[list[KeyAt], list[KeyAt]]:
        """Judge each key; return the keys whose values, and whose companions, are to be read."""
        database = batch.database
        match = self._contract.matcher(database).match
        rules = self._rules.get(database) or self._rules_of(database)
        tenants, big = self._tenants, self._contract.big_key_bytes
        wanted = self._sample.wants_system_key
        noted = _Noted([], [])
        for row in batch.rows:
            name, kind, ttl, size = row
            found = match(name)
            if found is None:
                self._report_stranger(database, name, size)
                continue
            rule, tenant = rules[found.index], found.tenant
            rule.keys += 1
            if tenant is None:
                state = _WANTED if wanted(name, rule.family) else 0
            else:
                state = tenants.get(tenant, _UNMET)
                if state & _UNMET:
                    state = self._meet(tenant)
            # What is as it should be, and nobody wants to read, ends here.
            if (
                state & _WANTED_OR_INVALID
                or size > big
                or rule.is_special
                or kind != rule.type
                or not rule.lowest_ms <= ttl <= rule.highest_ms
            ):
                text = None if tenant is None else tenant.decode()
                at = KeyAt(database, name, rule.family, text)
                self._look_closer(at, row, rule, state, noted)
        self._tally.seen["keys"] += len(batch.rows)
        self._tally.seen["vanished"] += batch.vanished
        return noted.values, noted.companied

    def _look_closer(self, at: KeyAt, row: KeyRow, rule: _Rule, state: int, noted: _Noted) -> None:
        name, kind, ttl, size = row
        is_big = size > self._contract.big_key_bytes
        if is_big:
            self._report_big(at.database, name, size)
        if state & _INVALID:
            self._report_tenant(at)
        if kind != rule.type:
            self._report_type(at, kind)
            return
        is_own = state & _OWN and rule.highest_ms == _PERSISTENT_MS
        if not (rule.lowest_ms <= ttl <= rule.highest_ms or is_own):
            self._report_ttl(at, ttl)
        if rule.is_special:
            self._note_special(at)
        if rule.family.accompanied_by is not None:
            noted.companied.append(at)
        if state & _WANTED and not is_big:
            noted.values.append(at)

    def conclude(self) -> None:
        """Judge what only the whole keyspace shows: use, descriptions, templates."""
        for database in self._contract.databases:
            self._judge_use(database.number)
        self._judge_descriptions()
        self._judge_templates()
        self._tally.seen["tenants"] = max(self._most_tenants, len(self._tenants))
        self._tally.seen["databases"] = len(self._described)
        self._tally.seen["templates"] = sum(self._templates.values())

    def _rules_of(self, database: int) -> list[_Rule]:
        families = self._contract.matcher(database).families
        self._rules[database] = [_rule(family) for family in families]
        return self._rules[database]

    def _meet(self, tenant: bytes) -> int:
        if len(self._tenants) >= TENANTS_REMEMBERED:
            self._most_tenants = TENANTS_REMEMBERED
            self._tenants.clear()
        state = 0 if self._contract.tenant.is_valid(tenant.decode()) else _INVALID
        if self._sample.wants_tenant(tenant):
            state |= _WANTED
        if tenant.startswith(self._own_prefix):
            state |= _OWN
        self._tenants[tenant] = state
        return state

    def _report_big(self, database: int, name: bytes, size: int) -> None:
        found = self._contract.matcher_of_all.match(name)
        tenant = found.tenant.decode() if found and found.tenant is not None else None
        owner = f"of tenant {shown_value(tenant)}" if tenant is not None else "of no tenant"
        self._tally.seen["big"] += 1
        self._tally.of("keyspace.big-keys").offer(
            str(database),
            name,
            lambda: Finding(
                where=place(database, name),
                found=f"{size_words(size)}, {owner}",
                wanted=f"at most {size_words(self._contract.big_key_bytes)}",
                remedy="split it into several keys, or trim it",
            ),
        )

    def _report_stranger(self, database: int, name: bytes, size: int) -> None:
        if size > self._contract.big_key_bytes:
            self._report_big(database, name, size)
        match = self._contract.matcher_of_all.match(name)
        if match is not None:
            family = self._contract.matcher_of_all.families[match.index]
            self._report_misplaced(database, name, family)
            return
        self._tally.of("keyspace.known-families").offer(
            str(database),
            name,
            lambda: Finding(
                where=place(database, name),
                found="a key of no family",
                wanted="a key of one of the contract's families",
                erratum=None if _is_text(name) else "E09",
                remedy="remove it, or add its family to the contract",
            ),
        )

    def _report_misplaced(self, database: int, name: bytes, family: Family) -> None:
        self._tally.of("keyspace.database-purpose").offer(
            f"{database:02d} {family.name}",
            name,
            lambda: Finding(
                where=place(database, name),
                found=f"a key of the family {family.name}",
                wanted=f"{family.name} in database {_numbers(family.databases)} only",
                erratum="E12",
                remedy="move the key, and bind each client to one database",
            ),
        )

    def _report_tenant(self, at: KeyAt) -> None:
        shown = shown_value(at.tenant or "")
        self._tally.add(
            "keyspace.tenant-id", at, "",
            lambda where: Finding(
                where=where, found=f"the tenant id {shown}", wanted=self._contract.tenant.wanted
            ),
        )  # fmt: skip

    def _report_type(self, at: KeyAt, kind: bytes) -> None:
        self._tally.add(
            "keyspace.type", at, "",
            lambda where: Finding(
                where=where, found=kind.decode(errors="backslashreplace"), wanted=at.family.type
            ),
        )  # fmt: skip

    def _report_ttl(self, at: KeyAt, ttl: int) -> None:
        found = "no expiry" if ttl == _PERSISTENT_MS else f"expires in {ttl / 1000:g} s"
        limit = at.family.ttl.max_seconds
        wanted = "no expiry" if limit is None else f"an expiry of at most {limit} s"
        self._tally.add(
            "keyspace.ttl", at, "", lambda where: Finding(where=where, found=found, wanted=wanted)
        )

    def _note_special(self, at: KeyAt) -> None:
        family = at.family
        if family.template:
            self._templates[family.template] = self._templates.get(family.template, 0) + 1
        if family.mixes_tenants:
            self._tally.add("keyspace.shared-lists", at, "", lambda where: _shared(where, family))
        if family.describes_database:
            self._note_description(at)

    def _note_description(self, at: KeyAt) -> None:
        parsed = self._contract.parse(at.database, at.name)
        named = parsed.parts.get("database") if parsed else None
        if named in {None, str(at.database)}:
            self._described.add(at.database)
            return
        self._tally.add(
            "keyspace.system-info", at, "",
            lambda where: Finding(
                where=where,
                found=f"a description of database {named}",
                wanted=f"a description of database {at.database}",
            ),
        )  # fmt: skip

    def _judge_use(self, database: int) -> None:
        families = self._contract.families_in(database)
        if any(rule.keys for rule in self._rules.get(database, ())):
            return
        names = ", ".join(family.name for family in families)
        self._tally.of("keyspace.database-purpose").offer(
            "use",
            b"%d" % database,
            lambda: Finding(
                where=f"db {database}",
                found="no key of its families",
                wanted=f"keys of {names}",
                remedy="seed it, or find out why nothing writes there",
            ),
        )

    def _judge_descriptions(self) -> None:
        findings = self._tally.of("keyspace.system-info")
        for family in self._contract.families:
            missing = set(family.databases) - self._described if family.describes_database else ()
            for database in missing:
                findings.offer(
                    family.name, b"%d" % database, partial(_undescribed, family, database)
                )

    def _judge_templates(self) -> None:
        findings = self._tally.of("keyspace.templates")
        for family in self._contract.families:
            if family.template and not self._templates.get(family.template):
                findings.offer(family.template, b"", partial(_no_template, family))


def _rule(family: Family) -> _Rule:
    limit = family.ttl.max_seconds
    return _Rule(
        family=family,
        type=family.type.encode(),
        lowest_ms=_PERSISTENT_MS if limit is None else 0,
        highest_ms=_PERSISTENT_MS if limit is None else limit * 1000,
        is_special=bool(
            family.template
            or family.mixes_tenants
            or family.describes_database
            or family.accompanied_by
        ),
    )


def _shared(where: str, family: Family) -> Finding:
    return Finding(
        where=where,
        found="one list for all tenants",
        wanted="a list for each tenant",
        erratum=family.mixes_tenants,
        remedy="write to each tenant's own list; until then each reader must filter",
    )


def _undescribed(family: Family, database: int) -> Finding:
    return Finding(
        where=f"db {database}",
        found="no description of itself",
        wanted=f"a key {family.pattern.replace('{database}', str(database))}",
    )


def _no_template(family: Family) -> Finding:
    return Finding(
        where=f"db {_numbers(family.databases)}",
        found=f"no {family.template} template",
        wanted=f"a key {family.pattern}",
    )


def _is_text(name: bytes) -> bool:
    try:
        name.decode()
    except UnicodeDecodeError:
        return False
    return True


def _numbers(databases: tuple[int, ...]) -> str:
    return " or ".join(map(str, databases))
