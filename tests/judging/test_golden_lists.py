# SPDX-License-Identifier: Apache-2.0
"""The specification's own data gives its golden list: each finding, and no other (E29)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kryonix_cache.conformance.judging.golden import golden_differences, golden_list
from kryonix_cache.conformance.judging.keyspace import audit_keyspace
from kryonix_cache.reference_impl.contract import default_contract
from kryonix_cache.reference_impl.seeding import SamplePlan, Seeder

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kryonix_cache.conformance.judging.judgement import Judgement
    from kryonix_cache.reference_impl.connection import Pools

TIMELINES = tuple(
    f"perf:timeline:tenant:{tenant}"
    for tenant in ("cliente_exemplo", "clinica_saude", "imobiliaria_xyz")
)


def audited(pools: Pools) -> Mapping[str, Judgement]:
    return audit_keyspace(pools, default_contract(), reading="all").judgements


def test_the_seeded_sample_gives_its_golden_list(empty_pools: Pools) -> None:
    Seeder(empty_pools).seed(SamplePlan())

    assert golden_differences(audited(empty_pools), "sample") == ()


def test_what_the_specifications_commands_leave_gives_its_golden_list(empty_pools: Pools) -> None:
    """Its three ZADD fail (E07), and the sample without those keys is what they leave."""
    Seeder(empty_pools).seed(SamplePlan())
    assert empty_pools[3].delete(*TIMELINES) == len(TIMELINES)

    assert golden_differences(audited(empty_pools), "commands") == ()


def test_a_finding_too_much_and_one_too_few_are_differences(empty_pools: Pools) -> None:
    Seeder(empty_pools).seed(SamplePlan())
    empty_pools[3].set("stranger", "x")
    empty_pools[9].delete("websocket:events:performance")

    places = [each.where for each in golden_differences(audited(empty_pools), "sample")]

    assert places == [
        "keyspace.shared-lists at db 9 key 'websocket:events:performance'",
        "keyspace.known-families at db 3 key 'stranger'",
    ]


def test_the_two_lists_differ_by_the_timelines_alone() -> None:
    differing = golden_list("sample") ^ golden_list("commands")

    assert {each.erratum for each in differing} == {"E07", "E33"}
    assert len(golden_list("sample")) == len(golden_list("commands")) == 18
