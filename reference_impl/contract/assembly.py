# SPDX-License-Identifier: Apache-2.0
"""From the checked data of a contract file to the typed contract."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from kryonix_cache.reference_impl.contract.contract import Contract
from kryonix_cache.reference_impl.contract.formats import FORMATS
from kryonix_cache.reference_impl.contract.keys import part_names
from kryonix_cache.reference_impl.contract.model import (
    AccessRule,
    Answer,
    Channel,
    ClientRule,
    CommandSet,
    Companion,
    Database,
    Directive,
    Family,
    Field,
    OptimiserRule,
    Profile,
    SecretRule,
    Sector,
    TenantRule,
    TtlRule,
)

if TYPE_CHECKING:
    from collections.abc import Mapping


def assemble(data: Mapping[str, Any], *, sha256: str) -> Contract:
    """Build the contract from data that has passed the schema and the rules."""
    directives = tuple(_directive(name, table) for name, table in data["directive"].items())
    return Contract(
        name=data["contract"]["name"],
        version=data["contract"]["version"],
        layout=data["contract"]["layout"],
        sha256=sha256,
        tenant=TenantRule(**data["tenant"]),
        secrets=SecretRule(data["secrets"]["digest"], data["secrets"].get("erratum")),
        client=ClientRule(**data["client"]),
        databases=tuple(Database(**table) for table in data["database"]),
        families=tuple(_family(name, table) for name, table in data["family"].items()),
        channels=tuple(
            Channel(name, **table, parts=part_names(table["pattern"]))
            for name, table in data.get("channel", {}).items()
        ),
        access=_access(data["access"]) if "access" in data else None,
        optimiser=_optimiser(data["optimiser"]) if "optimiser" in data else None,
        sectors=tuple(_sector(name, table) for name, table in data.get("sector", {}).items()),
        profiles={
            name: _profile(name, table, directives) for name, table in data["profile"].items()
        },
        parts=dict(data["parts"]),
        objectives=dict(data["objectives"]),
        big_key_bytes=data["limits"]["big_key_bytes"],
    )


def _family(name: str, table: Mapping[str, Any]) -> Family:
    home = table["database"]
    companion = table.get("accompanied_by")
    return Family(
        name=name,
        databases=tuple(home) if isinstance(home, list) else (home,),
        pattern=table["key"],
        type=table["type"],
        ttl=TtlRule(None if table["ttl"] == "persistent" else table["ttl"]["expires"]),
        durable=table["durable"],
        access=table.get("access", "write"),
        required=table.get("required", False),
        purpose=table["purpose"],
        parts=part_names(table["key"]),
        fields=_fields(table.get("fields", {})),
        value=_field("value", table["value"]) if "value" in table else None,
        template=table.get("template"),
        describes_database=table.get("describes_database", False),
        mixes_tenants=table.get("mixes_tenants", {}).get("erratum"),
        accompanied_by=Companion(companion["family"], companion.get("erratum"))
        if companion
        else None,
        bookkeeping=table.get("bookkeeping", False),
    )


def _access(table: Mapping[str, Any]) -> AccessRule:
    return AccessRule(
        user=table["user"],
        revocation_s=table["revocation_s"],
        session=tuple(table["session"]),
        channel=tuple(table["channel"]),
        commands={
            kind: CommandSet(tuple(each["read"]), tuple(each["write"]))
            for kind, each in table["commands"].items()
        },
    )


def _optimiser(table: Mapping[str, Any]) -> OptimiserRule:
    essentials = {item: _answer(text) for item, text in table["essentials"].items()}
    hot = tuple(_answer(text) for text in table["hot"])
    return OptimiserRule(**{**table, "hot": hot, "essentials": essentials})


def _answer(text: str) -> Answer:
    module, _, endpoint = text.partition("/")
    return Answer(module, endpoint)


def _fields(tables: Mapping[str, Any]) -> dict[str, Field]:
    return {name: _field(name, table) for name, table in tables.items()}


def _field(name: str, table: str | Mapping[str, Any]) -> Field:
    if isinstance(table, str):
        return Field(name, FORMATS[table])
    rest = {key: value for key, value in table.items() if key not in {"format", "fields"}}
    field = Field(name, FORMATS[table["format"]], fields=_fields(table.get("fields", {})), **rest)
    return replace(field, values=tuple(field.values), misnamed=tuple(field.misnamed))


def _directive(name: str, table: Mapping[str, Any]) -> Directive:
    return Directive(
        name=name,
        aliases=tuple(table.get("aliases", ())),
        requirement=table["requirement"],
        unit=table["unit"],
        value=table["value"],
        comparison=table.get("comparison", "equal"),
        restart_only=table.get("change") == "restart",
        erratum=table.get("erratum"),
    )


def _profile(name: str, table: Mapping[str, Any], directives: tuple[Directive, ...]) -> Profile:
    own = table.get("directives", {})
    return Profile(
        name=name,
        purpose=table["purpose"],
        gate=tuple(table["gate"]),
        leaves_out=tuple(table.get("leaves_out", ())),
        directives=tuple(replace(each, **own.get(each.name, {})) for each in directives),
    )


def _sector(name: str, table: Mapping[str, Any]) -> Sector:
    lists = {key: tuple(value) for key, value in table.items() if isinstance(value, list)}
    return Sector(name=name, **{**table, **lists})
