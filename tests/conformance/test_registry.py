# SPDX-License-Identifier: Apache-2.0
"""The registry and the tests name the same requirements, witnesses and selectors."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from kryonix_cache.conformance.errors import UnknownRequirementError
from kryonix_cache.conformance.registry import load_registry
from kryonix_cache.reference_impl.contract import default_contract
from kryonix_cache.reference_impl.contract.errata import load_errata
from tests.conformance.runs import conformance
from tests.conformance.servers import seeded_server, url_of

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conformance.runs import Run

ID = re.compile(r"[a-z]+\.[a-z]+(-[a-z]+)*")


@pytest.fixture(scope="module")
def whole_run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Judge everything once on a server that the suite starts."""
    return conformance("--target", "embedded", out=tmp_path_factory.mktemp("whole"))


@pytest.fixture(scope="module")
def live_run(tmp_path_factory: pytest.TempPathFactory, redis_binary: Path) -> Run:
    """Judge everything once on a live server that holds clean data."""
    with seeded_server(redis_binary) as server:
        return conformance(
            out=tmp_path_factory.mktemp("live"), KRYONIX_TARGET=url_of(server.endpoint)
        )


def test_every_requirement_is_judged_by_a_test_and_every_test_is_registered(
    whole_run: Run,
) -> None:
    judged = {check.requirement for check in whole_run.record.checks}
    assert judged == set(load_registry().requirements)


def test_the_reference_is_conformant_on_a_server_of_the_suite(whole_run: Run) -> None:
    assert (whole_run.code, whole_run.record.verdict.value) == (0, "conformant"), whole_run.output
    outcomes = Counter(whole_run.outcomes.values())
    assert set(whole_run.outcomes.items()) >= {("seeding.complete", "pass")}
    assert outcomes["pass"] >= len(load_registry().requirements) - 2
    assert outcomes["error"] == outcomes["skipped"] == outcomes["inconclusive"] == 0


def test_the_reference_is_conformant_on_a_live_server_with_clean_data(live_run: Run) -> None:
    assert (live_run.code, live_run.record.verdict.value) == (0, "conformant"), live_run.output
    assert live_run.record.header.target.live
    assert live_run.record.header.bench is not None


def test_every_witness_is_really_seen_by_a_test(whole_run: Run, live_run: Run) -> None:
    for requirement in load_registry().requirements.values():
        wanted = set(requirement.witness) - {"commands"}
        seen: set[str] = set()
        for run in (whole_run, live_run):
            for check in run.record.checks:
                if check.requirement == requirement.id:
                    seen |= {name for name, count in check.observations.items() if count}
        assert wanted <= seen, requirement.id


def test_a_live_run_judges_the_data_on_the_target(live_run: Run) -> None:
    places = {
        check.requirement: check.ran_on
        for check in live_run.record.checks
        if check.requirement.startswith(("keyspace.", "seeding.", "isolation.read"))
    }
    assert {p for r, p in places.items() if r.startswith("seeding.")} == {"bench"}
    assert {p for r, p in places.items() if not r.startswith("seeding.")} == {"target"}


def test_the_checklist_names_well_formed_ids() -> None:
    registry = load_registry()
    areas = {each.area for each in registry.requirements.values()}
    assert Counter(item.kind for item in registry.checklist) == {"validation": 16, "test": 6}
    for item in registry.checklist:
        assert item.requirements, item.statement
        for each in item.requirements:
            assert ID.fullmatch(each), each
            if each.partition(".")[0] in areas - {"isolation", "keyspace"}:
                assert each in registry.requirements, each


def test_every_id_is_well_formed_and_every_erratum_exists() -> None:
    numbers = set(load_errata())
    for requirement in load_registry().requirements.values():
        assert ID.fullmatch(requirement.id)
        assert set(requirement.errata) <= numbers, requirement.id
        assert set(requirement.must_in) <= set(default_contract().profiles)


def test_select_takes_ids_and_areas_and_keeps_the_order_of_the_registry() -> None:
    registry = load_registry()
    chosen = registry.select(["server", "config.aof", "server.ping"])
    assert chosen == (
        "config.aof",
        "server.ping",
        "server.persistence-health",
        "server.memory-headroom",
    )
    assert registry.select([]) == ()


@pytest.mark.parametrize(
    ("pattern", "hint"),
    [
        ("server.pin", "did you mean server.ping"),
        ("isolation.raed", "isolation.read"),
        ("serv", "--list"),
        ("config.*", "config.aof"),
        ("", "--list"),
    ],
)
def test_an_unknown_id_is_refused_with_the_nearest_ones(pattern: str, hint: str) -> None:
    with pytest.raises(UnknownRequirementError, match=re.escape(f"{pattern!r}")) as caught:
        load_registry().select([pattern])
    assert hint in str(caught.value)
    assert caught.value.exit_code == 4


def test_a_selection_that_a_profile_leaves_out_judges_nothing_silently() -> None:
    registry = load_registry()
    for profile in default_contract().profiles.values():
        assert not set(registry.in_scope(profile, ())) & set(profile.leaves_out)
