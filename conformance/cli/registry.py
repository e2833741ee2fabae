# SPDX-License-Identifier: Apache-2.0
"""The commands of the requirement registry: list, show one, and write its pages."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from kryonix_cache.conformance.cli.output import FORCE, OUT, emit
from kryonix_cache.conformance.cli.tables import print_rows
from kryonix_cache.conformance.pages.pages import errata_page, requirements_page
from kryonix_cache.conformance.registry import load_registry
from kryonix_cache.reference_impl.contract import default_contract, load_errata

if TYPE_CHECKING:
    from pathlib import Path

    from kryonix_cache.conformance.registry import Requirement
    from kryonix_cache.reference_impl.contract import Erratum

_PROFILE = click.option("--profile", default="ci", show_default=True, help="Levels of a profile.")


@click.group()
def requirements() -> None:
    """List, show and document the requirements and the errata."""


@requirements.command("list")
@_PROFILE
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_command(profile: str, *, as_json: bool) -> None:
    """List every requirement with its level and its power."""
    name = default_contract().profile(profile).name
    every = load_registry().requirements.values()
    if as_json:
        click.echo(json.dumps([_json(each) for each in every], indent=2))
        return
    print_rows(
        [
            {
                "requirement": each.id,
                "level": each.level_in(name),
                "power": each.power,
                "statement": each.statement,
            }
            for each in every
        ]
    )


@requirements.command()
@click.argument("identity", metavar="ID")
def show(identity: str) -> None:
    """Show one requirement, or one erratum such as E18."""
    erratum = load_errata().get(identity.upper())
    text = _erratum_text(erratum) if erratum else _text(load_registry()[identity])
    click.echo(text)


@requirements.command()
@OUT
@FORCE
def docs(out: Path | None, *, force: bool) -> None:
    """Write the page of the requirements as Markdown."""
    emit(requirements_page(load_registry(), default_contract()), out, force=force)


@requirements.command()
@OUT
@FORCE
def errata(out: Path | None, *, force: bool) -> None:
    """Write the page of the errata as Markdown."""
    emit(errata_page(load_registry()), out, force=force)


def _json(requirement: Requirement) -> dict[str, object]:
    return {
        "id": requirement.id,
        "level": requirement.level,
        "must_in": list(requirement.must_in),
        "power": requirement.power,
        "subject": requirement.subject,
        "statement": requirement.statement,
        "source": requirement.source,
        "errata": list(requirement.errata),
        "witness": dict(requirement.witness),
    }


def _text(requirement: Requirement) -> str:
    must_in = ", ".join(requirement.must_in)
    level = requirement.level + (f" (MUST in {must_in})" if must_in else "")
    witness = ", ".join(f"{name} {number}" for name, number in requirement.witness.items())
    lines = [
        requirement.id,
        f"  {requirement.statement}",
        f"  level: {level}; power: {requirement.power}; subject: {requirement.subject}",
        f"  specification: {requirement.source}",
        f"  witness: {witness}",
    ]
    lines += [f"  {name}: {load_errata()[name].title}" for name in requirement.errata]
    return "\n".join(lines)


def _erratum_text(erratum: Erratum) -> str:
    return "\n".join(
        (
            f"{erratum.id}: {erratum.title}",
            f"  The specification: {erratum.says}",
            f"  What happens: {erratum.happens}",
            f"  What holds: {erratum.holds}",
        )
    )
