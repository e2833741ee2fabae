# SPDX-License-Identifier: Apache-2.0
"""Optimisers, judged by what they write about their work, and by what a second run adds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from kryonix_cache.conformance.keyspaces import judged_data
from kryonix_cache.conformance.optimising.families import RECORDS
from kryonix_cache.conformance.optimising.habits import daily
from kryonix_cache.conformance.optimising.loaders import TellingLoader
from kryonix_cache.conformance.optimising.records import (
    HOURS,
    KNOWN,
    SCORE,
    RecordJudge,
    bare_tenant,
    known_tenant,
)
from kryonix_cache.conformance.optimising.repetition import Repetition
from kryonix_cache.conformance.optimising.scene import MOMENT
from kryonix_cache.reference_impl.seeding import Seeder, SyntheticPlan
from kryonix_cache.reports.lines import Outcome

if TYPE_CHECKING:
    from kryonix_cache.conformance.evidence import Evidence
    from kryonix_cache.conformance.optimising.scene import Scene


@pytest.mark.requirement("optimiser.records")
def test_records_keep_the_contract_and_name_measured_figures_only(
    scene: Scene, evidence: Evidence
) -> None:
    """Data that is clean by the contract is clean after a run; nothing unknown gets a figure."""
    known, bare = known_tenant(scene), bare_tenant(scene)
    done = scene.run(loader=TellingLoader())
    seen = scene.look()
    RecordJudge(scene, seen, known).judge_known(scene.analysis(done, known))
    RecordJudge(scene, seen, bare).judge_bare()
    for database, key in seen.keys:
        scene.clients[database].unlink(key)
    judge_by_the_contract(scene)
    evidence.settle()


def judge_by_the_contract(scene: Scene) -> None:
    """Judge all keys that a run leaves beside the data of clean tenants."""
    tenants = [scene.tenant(f"clean{number}") for number in range(2)]
    ids = [tenant.id for tenant in tenants]
    Seeder(scene.clients).seed(SyntheticPlan(scene.contract, ids, 0, at=MOMENT))
    for tenant in tenants:
        tenant.metrics(cache_hit_rate="40", api_calls_today="9000")
        tenant.users(mobile=6, others=0)
        for answer in scene.rule.hot:
            tenant.answer(answer.module, answer.endpoint, ttl=900)
        scene.learn(daily(tenant.id, HOURS, MOMENT))
    before = scene.look()
    scene.run(loader=TellingLoader())
    after = scene.look()
    written = {
        parsed.family.name
        for at, content in after.keys.items()
        if (at not in before.keys or content.digest() != before.keys[at].digest())
        and (parsed := scene.contract.parse(*at))
    }
    scene.evidence.saw("records", len(written & set(RECORDS)))
    for name in sorted(set(RECORDS) - written):
        where = f"family {name}"
        scene.evidence.found(where, found="nothing was written", wanted="a record of the run")
    for judgement in judged_data(scene.clients, scene.session.plan).values():
        if judgement.outcome is Outcome.FAIL:
            for finding in judgement.findings:
                scene.evidence.found(
                    f"{finding.where} ({judgement.requirement})",
                    found=finding.found,
                    wanted=finding.wanted,
                )


@pytest.mark.requirement("optimiser.result-record")
def test_the_result_tells_when_it_was_and_when_the_next_one_comes(
    scene: Scene, evidence: Evidence
) -> None:
    """Its times are those of the run, in UTC; a figure that nobody measured is not in it."""
    known, bare = known_tenant(scene), bare_tenant(scene)
    scene.run(loader=TellingLoader())
    seen = scene.look()
    RecordJudge(scene, seen, known).judge_result(KNOWN, SCORE, changed=True)
    RecordJudge(scene, seen, bare).judge_result({}, None, changed=False)
    evidence.settle()


@pytest.mark.requirement("optimiser.idempotent")
def test_a_second_run_changes_nothing_a_dry_run_neither_and_undo_takes_back(
    scene: Scene, evidence: Evidence
) -> None:
    """What a run did is done once, was not done by a dry run before, and can be taken back."""
    repetition = Repetition(scene)
    repetition.judge_dry_run()
    repetition.judge_first_run()
    repetition.judge_second_run()
    repetition.judge_undo()
    evidence.settle()
