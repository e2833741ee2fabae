# SPDX-License-Identifier: Apache-2.0
"""The contract as a whole: what the keyspace, the server and the clients must keep."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from kryonix_cache.reference_impl.contract.keys import KeyBuilder, KeyParser, Matcher
from kryonix_cache.reference_impl.contract.model import ParsedChannel, ParsedKey
from kryonix_cache.reference_impl.errors import ContractError, UnknownFamilyError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kryonix_cache.reference_impl.contract.model import (
        AccessRule,
        Channel,
        ClientRule,
        Database,
        Family,
        OptimiserRule,
        Profile,
        SecretRule,
        Sector,
        TenantRule,
    )

_MATCHES_NOTHING = Matcher((), {})


@dataclass(frozen=True)
class Contract:
    """A keyspace and the rules of its server, read from one file.

    `parts` maps the name of each key part to its regular expression; `objectives` maps the
    name of each limit to its number, with the unit in the name.
    """

    name: str
    version: str
    layout: str
    sha256: str
    tenant: TenantRule
    secrets: SecretRule
    client: ClientRule
    databases: tuple[Database, ...]
    families: tuple[Family, ...]
    channels: tuple[Channel, ...]
    access: AccessRule | None
    optimiser: OptimiserRule | None
    sectors: tuple[Sector, ...]
    profiles: Mapping[str, Profile]
    parts: Mapping[str, str]
    objectives: Mapping[str, float]
    big_key_bytes: int

    @cached_property
    def _by_name(self) -> Mapping[str, Family]:
        return {family.name: family for family in self.families}

    @cached_property
    def _builders(self) -> Mapping[str, KeyBuilder]:
        return {f.name: KeyBuilder(f, self.parts, self.tenant) for f in self.families}

    @cached_property
    def _parsers(self) -> Mapping[str, KeyParser]:
        return {family.name: KeyParser(family, self.parts) for family in self.families}

    @cached_property
    def _channel_builders(self) -> Mapping[str, KeyBuilder]:
        return {c.name: KeyBuilder(c, self.parts, self.tenant) for c in self.channels}

    @cached_property
    def _channel_parsers(self) -> Mapping[str, KeyParser]:
        return {channel.name: KeyParser(channel, self.parts) for channel in self.channels}

    @cached_property
    def _matchers(self) -> Mapping[int, Matcher]:
        return {
            database.number: Matcher(self.families_in(database.number), self.parts)
            for database in self.databases
        }

    @cached_property
    def matcher_of_all(self) -> Matcher:
        """A matcher over every family, for keys that lie in a wrong database."""
        return Matcher(self.families, self.parts)

    @property
    def tenant_families(self) -> tuple[Family, ...]:
        """The families whose keys belong to one tenant each."""
        return tuple(family for family in self.families if family.per_tenant)

    @property
    def seeded_families(self) -> tuple[Family, ...]:
        """The families that a synthetic tenant has a key of."""
        return tuple(family for family in self.tenant_families if not family.bookkeeping)

    def family(self, name: str) -> Family:
        """Return the family called `name`; raise UnknownFamilyError if there is none."""
        try:
            return self._by_name[name]
        except KeyError:
            raise UnknownFamilyError(
                f"The contract {self.name!r} has no key family {name!r}: "
                f"`kryonix-cache contract show` lists them."
            ) from None

    def families_in(self, database: int) -> tuple[Family, ...]:
        """Return the families whose home is `database`."""
        return tuple(family for family in self.families if database in family.databases)

    def matcher(self, database: int) -> Matcher:
        """Return the matcher over the families of `database`."""
        return self._matchers.get(database, _MATCHES_NOTHING)

    def profile(self, name: str) -> Profile:
        """Return the profile called `name`; raise ContractError if there is none."""
        try:
            return self.profiles[name]
        except KeyError:
            raise ContractError(
                f"The contract {self.name!r} has no profile {name!r}: "
                f"give one of {', '.join(self.profiles)}."
            ) from None

    def key(self, family_name: str, **parts: str) -> bytes:
        """Build a key; raise KeyPartError or InvalidTenantIdError for a part it cannot hold."""
        self.family(family_name)
        return self._builders[family_name].build(parts)

    def channel(self, channel_family: str, **parts: str) -> bytes:
        """Build a channel's name; raise KeyPartError, InvalidTenantIdError, UnknownFamilyError."""
        if channel_family not in self._channel_builders:
            raise UnknownFamilyError(
                f"The contract {self.name!r} has no channel family {channel_family!r}: "
                f"`kryonix-cache contract docs` lists them."
            )
        return self._channel_builders[channel_family].build(parts)

    def parse_channel(self, name: bytes) -> ParsedChannel | None:
        """Take a channel's name apart; None if it belongs to no family of channels."""
        for channel in self.channels:
            parts = self._channel_parsers[channel.name].parse(name)
            if parts is not None:
                return ParsedChannel(channel, parts)
        return None

    def parse(self, database: int, key: bytes) -> ParsedKey | None:
        """Take a key of `database` apart; None if it belongs to no family of that database.

        The tenant may break the rule for tenant ids: `tenant.is_valid` decides that.
        """
        return self._parse(self.matcher(database), key)

    def parse_anywhere(self, key: bytes) -> ParsedKey | None:
        """Take a key apart whatever its database; None if it belongs to no family at all."""
        return self._parse(self.matcher_of_all, key)

    def _parse(self, matcher: Matcher, key: bytes) -> ParsedKey | None:
        match = matcher.match(key)
        if match is None:
            return None
        family = matcher.families[match.index]
        parts = self._parsers[family.name].parse(key)
        return None if parts is None else ParsedKey(family, parts)
