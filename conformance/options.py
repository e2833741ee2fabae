# SPDX-License-Identifier: Apache-2.0
"""The options of a conformance run, as pytest takes them, and the request they make."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from kryonix_cache.conformance.run import DEFAULT_PROFILE, RUNS, RunRequest, new_run_id
from kryonix_cache.fixtures.system import REFERENCE

if TYPE_CHECKING:
    import pytest


def add_options(parser: pytest.Parser) -> None:
    """Add what only a conformance run knows; the target's options are the plugin's."""
    group = parser.getgroup("kryonix")
    group.addoption("--kryonix-profile", default=DEFAULT_PROFILE, help="Profile to judge by")
    group.addoption("--kryonix-system", default=REFERENCE, help="Implementation, module:factory")
    group.addoption("--kryonix-select", action="append", default=[], help="Requirement or area")
    group.addoption("--kryonix-waivers", type=Path, help="TOML file of waivers")
    group.addoption("--kryonix-accept", action="append", default=[], help="Verdict to accept")
    group.addoption("--kryonix-grant", action="append", default=[], help="POWER=HOST:PORT/DB")
    group.addoption("--kryonix-config-file", type=Path, help="The target's configuration file")
    group.addoption("--kryonix-allow-replica", action="store_true", help="Accept a replica")
    group.addoption("--kryonix-fields", default="sample", help="all, sample or none")
    group.addoption("--kryonix-max-impact", default="high", help="low, medium, high or a share")
    group.addoption("--kryonix-out", type=Path, default=RUNS, help="Where run folders go")
    group.addoption("--kryonix-seed", type=int, default=0, help="Seed of generated data")
    group.addoption("--kryonix-depth", default="default", help="default or nightly")
    group.addoption("--kryonix-run", default=None, help="Id of the run")


def request_of(config: pytest.Config) -> RunRequest:
    """Return what pytest's options ask for."""
    option = config.getoption
    return RunRequest(
        target=option("--kryonix-target"),
        target_file=option("--kryonix-target-file"),
        profile=option("--kryonix-profile"),
        contract=option("--kryonix-contract"),
        system=option("--kryonix-system"),
        select=tuple(option("--kryonix-select")),
        waivers=option("--kryonix-waivers"),
        accept=tuple(option("--kryonix-accept")),
        grants=tuple(option("--kryonix-grant")),
        config_file=option("--kryonix-config-file"),
        redis_image=option("--kryonix-redis-image"),
        replica_allowed=option("--kryonix-allow-replica"),
        fields=option("--kryonix-fields"),
        max_impact=option("--kryonix-max-impact"),
        out=option("--kryonix-out"),
        seed=option("--kryonix-seed"),
        depth=option("--kryonix-depth"),
        run=option("--kryonix-run") or new_run_id(),
    )
