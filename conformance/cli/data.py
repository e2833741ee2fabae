# SPDX-License-Identifier: Apache-2.0
"""`kryonix-cache seed` and `kryonix-cache unseed`: data for a server that stays."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, TypeVar

import click

from kryonix_cache.conformance.cli.progress import shown_bars
from kryonix_cache.conformance.cli.standing_server import standing_endpoint
from kryonix_cache.conformance.cli.target_options import (
    CONTRACT,
    TARGET_FILE,
    TARGET_URL,
)
from kryonix_cache.fixtures.declared_writes import DeclaredWrites
from kryonix_cache.reference_impl.connection import Endpoint, Pools
from kryonix_cache.reference_impl.contract import Contract, default_contract, load_contract
from kryonix_cache.reference_impl.seeding import (
    MOMENT,
    SamplePlan,
    Seeder,
    SeedPlan,
    SyntheticPlan,
    synthetic_tenant_ids,
)

if TYPE_CHECKING:
    from pathlib import Path

PARTIAL = 10
"""Exit code of an unseed that kept keys which were changed since."""

MOST_TENANTS = 1_000_000
MOST_SHOWN = 20
CLIENT_NAME = "kryonix-cache:seed"

Command = TypeVar("Command", bound=Callable[..., int])


class Moment(click.ParamType[datetime]):
    """An ISO 8601 time with an offset (E27)."""

    name = "TIME"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime:
        """Return the moment; fail for what is no time or has no offset."""
        if isinstance(value, datetime):
            return value
        try:
            moment = datetime.fromisoformat(str(value))
        except ValueError:
            moment = None
        if moment is None or moment.tzinfo is None:
            self.fail(f"{value!r} is no time with an offset, as 2025-01-27T10:00:00Z.", param, ctx)
        return moment


def _common(command: Command) -> Command:
    """Add the options that both commands have."""
    for option in reversed(
        (
            TARGET_URL,
            TARGET_FILE,
            click.option(
                "--tenants",
                type=click.IntRange(1, MOST_TENANTS),
                metavar="N",
                help="So many synthetic tenants instead of the sample.",
            ),
            click.option(
                "--random-seed",
                type=click.IntRange(0, 2**63 - 1),
                metavar="S",
                help="The number that the synthetic data follows from; default 0.",
            ),
            click.option(
                "--at",
                type=Moment(),
                metavar="TIME",
                help="The moment that the data carries, in ISO 8601 with an offset.",
            ),
            CONTRACT,
            click.option("--dry-run", is_flag=True, help="Look and say, but change nothing."),
            click.option("--quiet", is_flag=True, help="No progress bar."),
        )
    ):
        command = option(command)
    return command


@click.command()
@_common
def seed(
    *,
    target: str | None,
    target_file: Path | None,
    tenants: int | None,
    random_seed: int | None,
    at: datetime | None,
    contract: Path | None,
    dry_run: bool,
    quiet: bool,
) -> int:
    """Write the specification's sample, or synthetic tenants, to a server.

    Nothing is written while one of the keys is there with another type or value. Running it
    again is safe: what is there is kept, and only the times to live start anew. All databases
    of the contract are written, whatever database the URL names.
    """
    keyspace = load_contract(contract)
    plan = _plan(keyspace, tenants, random_seed, at)
    endpoint = _endpoint(target, target_file, plan)
    planned = sum(plan.sizes.values())
    with _pools(endpoint, plan, keyspace) as pools, _progress(planned, quiet=quiet) as progress:
        seeder = Seeder(pools, progress=progress)
        if dry_run:
            there = seeder.check(plan)
            click.echo(_table(_counts(plan, keyspace)))
            click.echo(
                f"{planned} keys would be seeded to {endpoint.address}, "
                f"{there} of them are there already; nothing was written."
            )
            return 0
        report = seeder.seed(plan)
    shared = f", left {report.shared} of the system's as they were" if report.shared else ""
    click.echo(
        f"Seeded {report.planned} keys to {endpoint.address}: "
        f"wrote {report.written}, kept {report.kept}{shared}."
    )
    return 0


@click.command()
@_common
def unseed(
    *,
    target: str | None,
    target_file: Path | None,
    tenants: int | None,
    random_seed: int | None,
    at: datetime | None,
    contract: Path | None,
    dry_run: bool,
    quiet: bool,
) -> int:
    """Remove from a server exactly what seeding wrote.

    Give the same --tenants, --random-seed and --at. A key that was changed since is kept and
    named, and the exit code is then 10. Keys of the whole system, such as templates, stay while
    any other tenant is on the server.
    """
    keyspace = load_contract(contract)
    plan = _plan(keyspace, tenants, random_seed, at, removing=True)
    endpoint = _endpoint(target, target_file, plan)
    planned = sum(plan.sizes.values())
    with _pools(endpoint, plan, keyspace) as pools, _progress(planned, quiet=quiet) as progress:
        report = Seeder(pools, progress=progress).unseed(plan, dry_run=dry_run)
    if dry_run:
        click.echo(_table(_counts(plan, keyspace)))
    done = "Would remove" if dry_run else "Removed"
    shared = f", {report.shared} of the system's were not ours" if report.shared else ""
    if report.needed:
        why = (
            "other tenants may need them" if report.removed else "no tenant of this seed was there"
        )
        shared += f", {report.needed} of the system's were kept because {why}"
    click.echo(
        f"{done} {report.removed} of {report.planned} keys from {endpoint.address}: "
        f"{report.missing} were not there{shared}, {len(report.changed)} were changed since "
        "and kept."
    )
    for database, name in report.changed[:MOST_SHOWN]:
        click.echo(f"  kept: db {database} {name.decode(errors='replace')!a}")
    if len(report.changed) > MOST_SHOWN:
        click.echo(f"  and {len(report.changed) - MOST_SHOWN} more")
    return PARTIAL if report.changed else 0


def _plan(
    contract: Contract,
    tenants: int | None,
    random_seed: int | None,
    at: datetime | None,
    *,
    removing: bool = False,
) -> SamplePlan | SyntheticPlan:
    if tenants is None:
        if random_seed is not None:
            raise click.UsageError(
                "--random-seed is for --tenants; the sample has no chance in it."
            )
        # The sample's moment says nothing about whose key it is, so removing ignores it.
        return SamplePlan(None if removing else at)
    number = random_seed or 0
    ids = synthetic_tenant_ids(contract, tenants, number)
    return SyntheticPlan(contract, ids, number, at=at or MOMENT)


def _endpoint(target: str | None, target_file: Path | None, plan: SeedPlan) -> Endpoint:
    # The last database shows whether the server has them all.
    return standing_endpoint("Seeding", target, target_file, database=max(plan.sizes))


def _pools(endpoint: Endpoint, plan: SeedPlan, keyspace: Contract) -> Pools:
    # The sample is the specification's own, whatever contract was given for counting.
    declared = keyspace if isinstance(plan, SyntheticPlan) else default_contract()
    return Pools(endpoint, policy=DeclaredWrites(declared), name=CLIENT_NAME)


def _counts(plan: SeedPlan, contract: Contract) -> Mapping[tuple[int, str], int]:
    if isinstance(plan, SyntheticPlan):
        return plan.counts()
    counts: dict[tuple[int, str], int] = {}
    for database in plan.sizes:
        for key in plan.keys(database):
            parsed = contract.parse(database, key.name)
            place = (database, parsed.family.name if parsed else "(no family)")
            counts[place] = counts.get(place, 0) + 1
    return counts


def _table(counts: Mapping[tuple[int, str], int]) -> str:
    width = max(len(family) for _, family in counts)
    lines = [
        f"db {database:>2}  {family:{width}}  {count:>9,}"
        for (database, family), count in sorted(counts.items())
    ]
    return "\n".join(lines)


@contextmanager
def _progress(planned: int, *, quiet: bool) -> Iterator[Callable[[str, int], None] | None]:
    """Show one bar for each thing done with the keys, where somebody looks."""
    with shown_bars(quiet=quiet) as bars:
        if bars is None:
            yield None
            return
        tasks = {}

        def advance(action: str, keys: int) -> None:
            if action not in tasks:
                tasks[action] = bars.add_task(action, total=planned)
            bars.advance(tasks[action], keys)

        yield advance
