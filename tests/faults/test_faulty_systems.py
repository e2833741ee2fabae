# SPDX-License-Identifier: Apache-2.0
"""Each faulty system is found out by its own requirement; the correct ones pass everything."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

import pytest

from kryonix_cache.conformance.registry import load_registry
from kryonix_cache.fixtures.faults.catalogue import CATALOGUE, PACKAGE, PLAIN, Fault
from kryonix_cache.fixtures.system import load_factory
from tests.conformance.runs import conformance

if TYPE_CHECKING:
    from pathlib import Path

FAULTY_MODULES = (
    "isolation",
    "commands",
    "access",
    "grants",
    "logins",
    "sockets",
    "seeding",
    "accidents",
    "hazards",
    "handles",
    "times",
    "areas",
    "ids",
    "discoveries",
    "analyses",
    "extensions",
    "inventions",
    "claims",
    "schedules",
)
# Not a matter of a system: what the judges of a server and of keys decide, and the contract's
# own key builder.
JUDGED_OTHERWISE = {"isolation.key-builder"}


@pytest.mark.parametrize("fault", CATALOGUE, ids=lambda fault: fault.name)
def test_a_faulty_system_fails_its_own_requirement(fault: Fault, tmp_path: Path) -> None:
    run = conformance(
        *("--target", "embedded", "--select", fault.requirement, "--system", fault.system),
        out=tmp_path,
    )
    result = run.result(fault.requirement)
    assert (result.outcome.value, run.code) == ("fail", 1), run.output + run.errors
    named = [result.reason, *(each.where + each.found + each.wanted for each in result.evidence)]
    assert fault.trace in " ".join(named)
    assert fault.requirement in run.output
    assert run.record.footprint is not None
    assert run.record.footprint.foreign_keys_written == 0
    assert run.record.footprint.keys_left == 0


def test_every_requirement_that_a_system_can_break_has_a_fault() -> None:
    breakable = {r.id for r in load_registry().requirements.values() if r.subject == "system"}
    assert {fault.requirement for fault in CATALOGUE} == breakable - JUDGED_OTHERWISE


@pytest.mark.parametrize("module", FAULTY_MODULES)
def test_every_faulty_system_is_in_the_catalogue(module: str) -> None:
    found = import_module(f"{PACKAGE}.{module}")
    factories = {
        name
        for name, value in vars(found).items()
        if not name.startswith("_") and getattr(value, "__module__", "") == found.__name__
    }
    listed = {f.name for f in CATALOGUE if f.system.startswith(f"{PACKAGE}.{module}:")}
    assert listed == factories


@pytest.mark.parametrize("fault", CATALOGUE, ids=lambda fault: fault.name)
def test_a_faulty_system_says_which_lie_it_tells(fault: Fault) -> None:
    assert load_factory(fault.system).__doc__


@pytest.mark.parametrize("target", ["local", "embedded"])
def test_a_correct_system_that_is_not_the_reference_passes_everything(
    target: str, tmp_path: Path
) -> None:
    run = conformance("--target", target, "--system", PLAIN, out=tmp_path)
    record = run.record
    failed = [r.requirement for r in record.results if r.outcome != "pass" and r.gating]
    assert (run.code, record.verdict.value, failed) == (0, "conformant", [])
    assert {each.system for each in [record.header]} == {PLAIN}


def test_warnings_of_an_implementation_are_no_deviation(tmp_path: Path) -> None:
    run = conformance(
        *("--target", "embedded", "--select", "isolation"),
        *("--system", f"{PACKAGE}.wiring:warns"),
        out=tmp_path,
    )
    assert (run.code, set(run.outcomes.values())) == (0, {"pass"}), run.output


def test_an_implementation_may_put_errors_of_its_connection_into_its_own(tmp_path: Path) -> None:
    ids = "isolation.cancelled-request,isolation.client-hazards,isolation.database-binding"
    run = conformance(
        *("--target", "embedded", "--select", ids),
        *("--system", f"{PACKAGE}.wiring:wraps_errors"),
        out=tmp_path,
    )
    assert (run.code, set(run.outcomes.values())) == (0, {"pass"}), run.output
