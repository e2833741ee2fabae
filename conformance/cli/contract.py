# SPDX-License-Identifier: Apache-2.0
"""The commands of the contract: check it, show it, document it, write a server's configuration."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from kryonix_cache.conformance.cli.output import FORCE, OUT, emit
from kryonix_cache.conformance.cli.tables import print_rows
from kryonix_cache.conformance.pages.pages import flattened, keyspace_page
from kryonix_cache.conformance.registry import load_registry
from kryonix_cache.reference_impl.contract import FORMATS, contract_schema, load_contract
from kryonix_cache.reference_impl.contract.redis_conf import known_before_7
from kryonix_cache.reference_impl.contract.redis_conf import redis_conf as configuration
from kryonix_cache.reference_impl.errors import ContractError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kryonix_cache.reference_impl.contract import Contract, Family, Profile

_CONTRACT = click.option(
    "--contract",
    "path",
    type=click.Path(path_type=Path),
    help="Contract file; the project's own by default.",
)


@click.group()
def contract() -> None:
    """Check, show and document the contract; write a redis.conf."""


@contract.command()
@_CONTRACT
def check(path: Path | None) -> None:
    """Say that a contract file can be used, or which rule it breaks in which line (exit 4)."""
    checked = load_contract(path)
    _check_requirements(checked)
    fields = sum(len(family.all_fields) for family in checked.families)
    click.echo(
        f"ok: {checked.name} {checked.version}, {len(checked.databases)} databases, "
        f"{len(checked.families)} key families, {fields} fields, "
        f"{len(checked.profiles)} profiles"
    )


@contract.command()
@_CONTRACT
@click.option("--family", help="Show one key family with its fields.")
@click.option("--database", type=int, help="Show the key families of one database.")
@click.option("--formats", is_flag=True, help="Show the field formats.")
@click.option("--profile", help="Show the directives of one profile.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def show(
    path: Path | None,
    *,
    family: str | None,
    database: int | None,
    formats: bool,
    profile: str | None,
    as_json: bool,
) -> None:
    """Show the key families, or what one of the options asks for."""
    if sum((family is not None, database is not None, formats, profile is not None)) > 1:
        raise click.UsageError("Give one of --family, --database, --formats and --profile.")
    shown = load_contract(path)
    if formats:
        rows = _format_rows()
    elif profile is not None:
        rows = _directive_rows(shown.profile(profile))
    elif family is not None:
        rows = _field_rows(shown.family(family))
    else:
        rows = _family_rows(_families(shown, database))
    if as_json:
        click.echo(json.dumps(rows, indent=2, ensure_ascii=False))
        return
    if family is not None:
        click.echo(_headline(shown.family(family)))
    print_rows(rows)


@contract.command()
@_CONTRACT
@OUT
@FORCE
def docs(path: Path | None, out: Path | None, *, force: bool) -> None:
    """Write the page of the keyspace as Markdown."""
    emit(keyspace_page(load_contract(path)), out, force=force)


@contract.command()
def schema() -> None:
    """Print the JSON Schema of contract files."""
    click.echo(json.dumps(contract_schema(), indent=2))


@contract.command("redis-conf")
@_CONTRACT
@click.option("--profile", required=True, help="Profile that the server shall keep.")
@click.option(
    "--names",
    type=click.Choice(["modern", "legacy"]),
    default="modern",
    show_default=True,
    help="Names of directives: those of Redis 7.0 and newer and of Valkey, or older ones (E03).",
)
@OUT
@FORCE
def redis_conf(
    path: Path | None, profile: str, names: str, out: Path | None, *, force: bool
) -> None:
    """Write the server configuration that mends what a profile finds; it holds no secrets."""
    loaded = load_contract(path)
    known = known_before_7(loaded) if names == "legacy" else None
    emit(configuration(loaded, profile, known), out, force=force)


def _check_requirements(checked: Contract) -> None:
    known = load_registry().requirements
    for profile in checked.profiles.values():
        for directive in profile.directives:
            if directive.requirement not in known:
                raise ContractError(
                    f"The directive {directive.name} of the contract {checked.name} names the "
                    f"requirement {directive.requirement!r}, which is not in the registry: "
                    "`kryonix-cache requirements list` shows them."
                )


def _families(shown: Contract, database: int | None) -> Iterable[Family]:
    if database is None:
        return shown.families
    if database not in {each.number for each in shown.databases}:
        raise ContractError(
            f"The contract {shown.name!r} has no database {database}: "
            f"give one of {', '.join(str(each.number) for each in shown.databases)}."
        )
    return shown.families_in(database)


def _family_rows(families: Iterable[Family]) -> list[dict[str, object]]:
    return [
        {
            "family": family.name,
            "databases": list(family.databases),
            "key": family.pattern,
            "type": family.type,
            "expires_s": family.ttl.max_seconds,
            "durable": family.durable,
            "access": family.access if family.per_tenant else None,
            "required": family.required,
        }
        for family in families
    ]


def _field_rows(family: Family) -> list[dict[str, object]]:
    fields = flattened(family.all_fields)
    if family.value is not None:
        fields = [("(value)", family.value), *fields]
    return [
        {
            "field": name,
            "format": field.format.name,
            "values": list(field.values),
            "required": field.required,
            "secret": field.secret,
            "fact": field.fact,
            "erratum": field.erratum,
        }
        for name, field in fields
    ]


def _format_rows() -> list[dict[str, object]]:
    return [
        {"format": each.name, "wanted": each.wanted, "example": each.example}
        for each in FORMATS.values()
    ]


def _directive_rows(profile: Profile) -> list[dict[str, object]]:
    return [
        {
            "directive": each.name,
            "aliases": list(each.aliases),
            "value": each.value,
            "comparison": each.comparison,
            "restart_only": each.restart_only,
            "requirement": each.requirement,
            "erratum": each.erratum,
        }
        for each in profile.directives
    ]


def _headline(family: Family) -> str:
    databases = ", ".join(str(number) for number in family.databases)
    limit = family.ttl.max_seconds
    expiry = "never expires" if limit is None else f"expires within {limit} s"
    return (
        f"{family.name}: {family.purpose}\n"
        f"{family.pattern} ({family.type} in database {databases}, {expiry})"
    )
