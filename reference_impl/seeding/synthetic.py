# SPDX-License-Identifier: Apache-2.0
"""
Synthetic tenants: any number of them, from a seed number, clean by the contract's own rules.

A tenant's data is one of a few dozen sceneries in which marks stand for all that is the
tenant's alone. Putting the tenant in place of the marks takes a microsecond for a key, where
making the key from the contract takes a hundred. The same seed number and tenant id give the
same keys, values and times to live, whatever the number of tenants.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from hashlib import shake_256
from itertools import islice
from typing import TYPE_CHECKING

from kryonix_cache.reference_impl.seeding.draw import Draw
from kryonix_cache.reference_impl.seeding.errors import SyntheticDataError
from kryonix_cache.reference_impl.seeding.key import SeedKey
from kryonix_cache.reference_impl.seeding.scenery import MadeKey, Scenery, secret_purpose
from kryonix_cache.reference_impl.seeding.values import Identity, compact

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from kryonix_cache.reference_impl.contract import Contract, Family

SCENERIES = 64
MOMENT = datetime(2025, 1, 27, 12, tzinfo=UTC)
"""The moment of the data where none is given; the present would not be deterministic."""

CHECKED_KEYS = 64
"""Keys of each database that are held against the contract before anything is written."""

SECTORS = ("education", "health", "legal", "retail")
"""Sectors beside the contract's own; seeding writes templates for each of them."""

_ARGUMENT, _KEY = b"\x1f", b"\x1e"
"""Separators inside a rendered scenery; JSON escapes control characters, names hold none."""

_TENANT, _TOKEN, _NUMBER, _SECRETS = "\ue000", "\ue001", "\ue002", 0xE010
"""Marks for what is the tenant's alone: characters of the private use area."""


@dataclass(frozen=True, slots=True)
class _Section:
    """The keys of one scenery in one database, rendered; `marks` are those that stand in it."""

    text: bytes
    ttls: tuple[int | None, ...]
    marks: tuple[tuple[int, bytes], ...]


class SyntheticPlan:
    """Tenants with a key of every per-tenant family, and the system's keys that they need."""

    def __init__(
        self,
        contract: Contract,
        tenants: Sequence[str],
        random_seed: int,
        *,
        at: datetime = MOMENT,
        expire_all: int | None = None,
        system_keys: bool = True,
        sectors: Sequence[str] | None = None,
    ) -> None:
        """Check the tenants and the contract; nothing is made for all tenants yet.

        `at` is the moment that the times in the data lie around. `expire_all` limits the time
        to live of every key, in seconds. Without `system_keys` only the tenants' keys are
        planned, and `sectors`, by default the contract's own, must be there already.

        Raises:
            InvalidTenantIdError: an id breaks the contract's rule.
            SyntheticDataError: the contract asks for what the generator cannot make.
            ValueError: `at` has no offset (E27).

        """
        if at.tzinfo is None:
            raise ValueError("the moment of the data needs an offset from UTC")
        self._contract = contract
        self._tenants = tenants
        self._seed = random_seed
        self._moment = at.astimezone(UTC)
        self._expire_all = expire_all
        own = [sector.name for sector in contract.sectors]
        self._sectors = tuple(sectors or (*own, *SECTORS) if system_keys or not own else own)
        self._purposes = tuple(_secret_purposes(contract))
        self._digest = _digest_form(contract)
        self._sections = cache(self._rendered)
        self._system = tuple(self._system_keys()) if system_keys else ()
        self._check()

    @property
    def sizes(self) -> Mapping[int, int]:
        """Number of keys of each database."""
        sizes: dict[int, int] = {}
        for (database, _), count in self.counts().items():
            sizes[database] = sizes.get(database, 0) + count
        return sizes

    @property
    def tenant_databases(self) -> Sequence[int]:
        """The databases that may hold keys of tenants."""
        families = self._contract.seeded_families
        return sorted({database for family in families for database in family.databases})

    def is_of_tenant(self, database: int, name: bytes) -> bool:
        """Say whether a key belongs to a tenant."""
        parsed = self._contract.parse(database, name)
        return parsed is not None and parsed.family.per_tenant

    def counts(self) -> Mapping[tuple[int, str], int]:
        """Return the number of keys of each (database, family name)."""
        counts: dict[tuple[int, str], int] = {}
        for made in self._system:
            place = (made.database, made.family.name)
            counts[place] = counts.get(place, 0) + 1
        for family in self._contract.seeded_families if self._tenants else ():
            for database in family.databases:
                counts[database, family.name] = len(self._tenants)
        return dict(sorted(counts.items()))

    def keys(self, database: int) -> Iterator[SeedKey]:
        """Return the keys of one database, those of the system first."""
        for made in self._system:
            if made.database == database:
                write = tuple(argument.encode() for argument in made.write)
                yield SeedKey(database, write, self._ttl(made.family), shared=True)
        for tenant in self._tenants:
            own = self._own(tenant)
            section = self._sections(int(own[1], 16) % SCENERIES).get(database)
            if section is None:
                return
            text = section.text
            for index, mark in section.marks:
                text = text.replace(mark, own[index])
            for command, ttl in zip(text.split(_KEY), section.ttls, strict=True):
                yield SeedKey(database, tuple(command.split(_ARGUMENT)), ttl)

    def _own(self, tenant: str) -> list[bytes]:
        """Return what stands for each mark: tenant, token, number, then the secrets."""
        digits = shake_256(f"{self._seed}\n{tenant}".encode()).hexdigest(
            16 + 32 * len(self._purposes)
        )
        number = int(digits[16:32], 16) % 10**12
        secrets = [
            f"{self._digest}{digits[start : start + 64]}".encode()
            for start in range(32, len(digits), 64)
        ]
        return [tenant.encode(), digits[:16].encode(), b"%012d" % number, *secrets]

    def _rendered(self, number: int) -> Mapping[int, _Section]:
        """Make one scenery and render it for each database."""
        draw = Draw(self._seed, "scenery", number)
        secrets = {purpose: chr(_SECRETS + i) for i, purpose in enumerate(self._purposes)}
        marks = (_TENANT, _TOKEN, _NUMBER, *secrets.values())
        identity = Identity(_TENANT, _TOKEN, _NUMBER, secrets)
        sector = draw.choice(self._sectors)
        scenery = Scenery(self._contract, identity, sector, self._moment, draw)
        by_database: dict[int, list[MadeKey]] = {}
        for made in scenery.tenant_keys():
            by_database.setdefault(made.database, []).append(made)
        encoded = tuple((index, mark.encode()) for index, mark in enumerate(marks))
        return {database: self._section(keys, encoded) for database, keys in by_database.items()}

    def _section(self, keys: Sequence[MadeKey], marks: Sequence[tuple[int, bytes]]) -> _Section:
        text = _KEY.join(
            _ARGUMENT.join(argument.encode() for argument in made.write) for made in keys
        )
        return _Section(
            text,
            tuple(self._ttl(made.family) for made in keys),
            tuple((index, mark) for index, mark in marks if mark in text),
        )

    def _ttl(self, family: Family) -> int | None:
        limits = [limit for limit in (family.ttl.max_seconds, self._expire_all) if limit]
        return min(limits, default=None)

    def _system_keys(self) -> Iterator[MadeKey]:
        draw = Draw(self._seed, "system")
        own = self._own("system")
        secrets = dict(zip(self._purposes, (text.decode() for text in own[3:]), strict=True))
        identity = Identity("system", own[1].decode(), own[2].decode(), secrets)
        for family in system_families(self._contract):
            for sector in self._sectors if "sector" in family.parts else self._sectors[:1]:
                scenery = Scenery(
                    self._contract,
                    identity,
                    sector,
                    self._moment,
                    draw.within(sector),
                    given=self._given(family, sector),
                )
                yield from scenery.keys_of(family)

    def _given(self, family: Family, sector: str) -> Mapping[str, str]:
        """Return what the contract itself says of a sector, for the templates of that sector."""
        for known in self._contract.sectors if family.template else ():
            if known.name == sector:
                return {
                    "modules": compact(known.modules),
                    "terminology": compact(dict(known.terminology)),
                    "compliance_requirements": compact(known.compliance_requirements),
                    "typical_workflows": compact(known.typical_workflows),
                    "welcome_message": known.welcome_message,
                    "initial_setup_steps": compact(known.initial_setup_steps),
                }
        return {}

    def _check(self) -> None:
        for tenant in self._tenants:
            self._contract.tenant.check(tenant)
            if compact(tenant) != f'"{tenant}"':
                raise SyntheticDataError(
                    f"The tenant id {tenant!a} cannot stand inside JSON as it is; give another id."
                )
        # A few tenants show for all whether the contract reads what was made from it.
        for database in self.sizes:
            for key in islice(self.keys(database), CHECKED_KEYS):
                self._check_key(database, key.name)

    def _check_key(self, database: int, name: bytes) -> None:
        if self._contract.parse(database, name) is None:
            raise SyntheticDataError(
                f"The contract {self._contract.name!r} does not know the key {name!a} that was "
                f"made from it; seed this keyspace by its own means."
            )


def system_families(contract: Contract) -> tuple[Family, ...]:
    """Return the families beside the tenants' own without which a keyspace is not complete.

    Figures that carry their own time are left out: only what measures may write them.
    """
    referred = {
        field.refers_to
        for family in contract.families
        for field in family.all_fields.values()
        if field.refers_to
    }
    return tuple(
        family
        for family in contract.families
        if not family.per_tenant
        and not family.mixes_tenants
        and (
            family.required
            or family.template
            or family.describes_database
            or family.name in referred
            or _is_fixed_figure(family)
        )
    )


def _is_fixed_figure(family: Family) -> bool:
    timed = any(field.format.name in {"time", "epoch"} for field in family.fields.values())
    return (
        family.type == "hash" and not family.parts and family.ttl.kind == "persistent" and not timed
    )


def synthetic_tenant_ids(contract: Contract, count: int, random_seed: int) -> list[str]:
    """Return `count` tenant ids that name the seed number; the first ones stay when it grows.

    Raises:
        SyntheticDataError: the contract's rule for tenant ids accepts none of our forms.

    """
    for form in ("synthetic-{}-{:06}", "s{}-{:06}"):
        if contract.tenant.is_valid(form.format(random_seed, count)):
            return [form.format(random_seed, index) for index in range(1, count + 1)]
    raise SyntheticDataError(
        f"The contract {contract.name!r} accepts no tenant id of ours: it wants "
        f"{contract.tenant.wanted}."
    )


def _secret_purposes(contract: Contract) -> Iterator[str]:
    return iter(
        dict.fromkeys(
            secret_purpose(family, field)
            for family in contract.families
            for field in (*family.all_fields.values(), *([family.value] if family.value else []))
            if field.secret
        )
    )


def _digest_form(contract: Contract) -> str:
    """Return what stands before 64 hexadecimal digits in a digest of the contract's form."""
    for prefix in ("sha256:", "hmac-sha256:", ""):
        if contract.secrets.is_digest(prefix + "0" * 64):
            return prefix
    raise SyntheticDataError(
        f"The contract {contract.name!r} wants digests of secrets in a form that the generator "
        f"does not know: {contract.secrets.digest}."
    )
