# SPDX-License-Identifier: Apache-2.0
"""`kryonix-cache conformance`: one pytest run, one record, one verdict."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from importlib.resources import as_file, files
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import click
from rich.console import Console

from kryonix_cache.conformance.cli.target_options import (
    ALLOW_REPLICA,
    CONFIG_FILE,
    CONTRACT,
    FIELDS,
    MAX_IMPACT,
    SELECT,
    TARGET_ANY,
    TARGET_FILE,
    profile_option,
)
from kryonix_cache.conformance.errors import RunBrokenError
from kryonix_cache.conformance.registry import load_registry
from kryonix_cache.conformance.run import (
    COUNTEREXAMPLE,
    DEFAULT_PROFILE,
    RUNS,
    STOPPING,
    Depth,
    RunRequest,
    new_run_id,
    plan_run,
    split_ids,
)
from kryonix_cache.fixtures.system import REFERENCE
from kryonix_cache.fixtures.targets.specification import TARGET_VARIABLE
from kryonix_cache.reports.errors import ReportError
from kryonix_cache.reports.record import read_record
from kryonix_cache.reports.terminal import render_terminal

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from kryonix_cache.conformance.judging.sampling import Reading

_PYTEST_INTERNAL = {2, 3, 4}
# What somebody has set for tests of their own must not change what a verdict rests on.
_PYTEST_VARIABLES = {"PYTEST_ADDOPTS", "PYTEST_PLUGINS", "PYTEST_DISABLE_PLUGIN_AUTOLOAD"}
_PYTEST_PLUGINS = ("_hypothesis_pytestplugin", "kryonix_cache.fixtures.plugin")


@click.command(context_settings={"ignore_unknown_options": False})
@TARGET_ANY
@TARGET_FILE
@profile_option(DEFAULT_PROFILE)
@SELECT
@CONTRACT
@click.option(
    "--system",
    default=REFERENCE,
    metavar="MODULE:FACTORY",
    help="The implementation under test; default the reference.",
)
@click.option("--waivers", type=click.Path(path_type=Path), help="TOML file of waivers.")
@click.option(
    "--accept",
    type=click.Choice(["partial"]),
    multiple=True,
    help="Exit 0 on this verdict as well.",
)
@click.option(
    "--grant",
    "grants",
    metavar="own=HOST:PORT/DB",
    multiple=True,
    help="Let an implementation that the guard cannot see work on a live target.",
)
@CONFIG_FILE
@click.option("--redis-image", metavar="IMAGE", help="Image of the docker target.")
@FIELDS
@MAX_IMPACT
@ALLOW_REPLICA
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=RUNS,
    show_default=True,
    help="Where run folders go.",
)
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Seed of generated data.",
)
@click.option(
    "--depth",
    type=click.Choice(get_args(Depth)),
    default="default",
    show_default=True,
    help="How much generated data: for a gate, or for a whole night.",
)
@click.option("--list", "list_only", is_flag=True, help="List what would be judged, and stop.")
@click.argument("pytest_args", nargs=-1, type=click.UNPROCESSED)
def conformance(
    *,
    target: str | None,
    target_file: Path | None,
    profile: str,
    select: tuple[str, ...],
    contract: Path | None,
    system: str,
    waivers: Path | None,
    accept: tuple[str, ...],
    grants: tuple[str, ...],
    config_file: Path | None,
    redis_image: str | None,
    fields: Reading,
    max_impact: str,
    allow_replica: bool,
    out: Path,
    seed: int,
    depth: Depth,
    list_only: bool,
    pytest_args: tuple[str, ...],
) -> int:
    """Judge a server, its data and an implementation against the contract.

    Without --target the suite starts a server of its own. On a live target it reads, and
    writes keys of tenants that it makes and removes; everything else runs on a bench.
    Arguments after -- go to pytest.
    """
    request = RunRequest(
        target=target,
        target_file=target_file,
        profile=profile,
        contract=contract,
        system=system,
        select=split_ids(select),
        waivers=waivers,
        accept=accept,
        grants=grants,
        config_file=config_file,
        redis_image=redis_image,
        replica_allowed=allow_replica,
        fields=fields,
        max_impact=max_impact,
        out=out,
        seed=seed,
        depth=depth,
        run=new_run_id(),
    )
    plan = plan_run(request)
    if list_only:
        for requirement in plan.scope:
            entry = load_registry()[requirement]
            click.echo(f"{entry.level_in(plan.profile.name):6}  {entry.id:32}  {entry.statement}")
        return 0
    code = _run_pytest(request, pytest_args)
    record_path = plan.folder / "record.jsonl"
    if code in _PYTEST_INTERNAL:
        return code
    try:
        record = read_record(record_path)
    except ReportError:
        raise RunBrokenError(code) from None
    render_terminal(record, Console())
    for program in sorted(plan.folder.glob(f"{COUNTEREXAMPLE}*.py")):
        click.echo(f"Counterexample: {program}")
    click.echo(f"Report: {plan.folder / 'report.html'}")
    return record.footer.exit_code or code


def _run_pytest(request: RunRequest, extra: Sequence[str]) -> int:
    # A subprocess, so that nothing of ours is imported before pytest installs its rewriting
    # of assertions, and so that a crash of the run cannot take the verdict with it.
    with as_file(files("kryonix_cache.conformance").joinpath("pytest.toml")) as configuration:
        folder = configuration.parent
        command = [
            sys.executable,
            # A redis.py in the user's folder must not take the place of the package.
            "-P",
            "-m",
            "pytest",
            "-c",
            str(configuration),
            f"--rootdir={folder}",
            # Nor must a plugin that somebody has installed for tests of their own.
            "--disable-plugin-autoload",
            *(word for plugin in _PYTEST_PLUGINS for word in ("-p", plugin)),
            "--no-header",
            "--no-summary",
            "--tb=no",
            f"--hypothesis-seed={request.seed}",
            *_options(request),
            *extra,
            str(folder),
        ]
        environment = {
            name: value for name, value in os.environ.items() if name not in _PYTEST_VARIABLES
        }
        if request.target and "://" in request.target:
            environment[TARGET_VARIABLE] = request.target
        # The run inherits the blocked signals, and unblocks them once it can clean up: one that
        # comes while Python imports is lost, or ends the run with a traceback.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)
        with subprocess.Popen(command, env=environment) as process:  # noqa: S603 (our own interpreter)
            return _wait(process, mask)


def _wait(process: subprocess.Popen[bytes], mask: set[int | signal.Signals]) -> int:
    """Wait for the run; a Ctrl-C reaches it as well, and it cleans up before it ends.

    A SIGTERM, by which build systems cancel a job, is handed on to it. `mask` are the signals
    that were blocked before the run was started.
    """
    signal.signal(signal.SIGTERM, lambda number, _: process.send_signal(number))
    while True:
        try:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            return process.wait()
        except KeyboardInterrupt:
            continue


def _options(request: RunRequest) -> Iterator[str]:
    """Yield pytest's options for the request; secrets are never among them."""
    # A URL may hold a password, and everybody can read the arguments of a process.
    if request.target and "://" not in request.target:
        yield f"--kryonix-target={request.target}"
    for name, path in (
        ("target-file", request.target_file),
        ("contract", request.contract),
        ("waivers", request.waivers),
        ("config-file", request.config_file),
    ):
        if path:
            yield f"--kryonix-{name}={path.absolute()}"
    if request.redis_image:
        yield f"--kryonix-redis-image={request.redis_image}"
    if request.replica_allowed:
        yield "--kryonix-allow-replica"
    yield f"--kryonix-fields={request.fields}"
    yield f"--kryonix-max-impact={request.max_impact}"
    yield f"--kryonix-profile={request.profile}"
    yield f"--kryonix-system={request.system}"
    yield f"--kryonix-out={request.out.absolute()}"
    yield f"--kryonix-seed={request.seed}"
    yield f"--kryonix-depth={request.depth}"
    yield f"--kryonix-run={request.run}"
    yield from (f"--kryonix-select={each}" for each in request.select)
    yield from (f"--kryonix-accept={each}" for each in request.accept)
    yield from (f"--kryonix-grant={each}" for each in request.grants)
