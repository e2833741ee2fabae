# SPDX-License-Identifier: Apache-2.0
"""`kryonix-cache runs`: the list of runs, and cleaning up behind killed ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from kryonix_cache.conformance.cleaning import find_leftovers, open_cleaner, remove_leftovers
from kryonix_cache.conformance.cli.records import runs
from kryonix_cache.conformance.cli.target_options import (
    CONTRACT,
    MAX_IMPACT,
    TARGET_FILE,
    TARGET_URL,
)
from kryonix_cache.conformance.errors import UsageError
from kryonix_cache.fixtures.targets.specification import TargetSpec
from kryonix_cache.reference_impl.contract import load_contract
from kryonix_cache.reference_impl.reachability import reach
from kryonix_cache.reference_impl.scan import impact_of

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["runs"]


@runs.command("clean")
@TARGET_URL
@TARGET_FILE
@CONTRACT
@click.option("--run", "only", metavar="ID", help="Clean up behind this run only.")
@click.option("--dry-run", is_flag=True, help="Say what would be removed, and remove nothing.")
@click.option("--force", is_flag=True, help="Also behind a run that is, or may be, connected.")
@MAX_IMPACT
def clean(
    *,
    target: str | None,
    target_file: Path | None,
    contract: Path | None,
    only: str | None,
    dry_run: bool,
    force: bool,
    max_impact: str,
) -> int:
    """Remove keys and ACL users that killed runs left on a server."""
    impact = impact_of(max_impact)
    rules = load_contract(contract)
    spec = TargetSpec.resolve(target, target_file=target_file)
    if spec.endpoint is None:
        raise UsageError("A server that the suite starts keeps nothing: give --target a URL.")
    reach(spec.endpoint)
    with open_cleaner(spec.endpoint, rules) as clients:
        found = find_leftovers(clients, rules, max_impact=impact, living=not force)
        spared = found.alive or frozenset()
        chosen = [run for run in found.runs if run not in spared and only in {None, run}]
        for run in found.runs:
            state = "still connected, left alone" if run in spared else "left behind"
            click.echo(
                f"{run}: {len(found.keys.get(run, ()))} keys, "
                f"{len(found.users.get(run, ()))} ACL users, {state}"
            )
        if found.never_expiring:
            click.echo(f"{found.never_expiring} keys never expire, so no run wrote them: kept")
        if dry_run:
            click.echo("Nothing was removed (--dry-run).")
            return 0
        keys, users = remove_leftovers(clients, found, chosen)
    click.echo(f"Removed {keys} keys and {users} ACL users of {len(chosen)} runs.")
    return 0
