# SPDX-License-Identifier: Apache-2.0
"""Seeding, judged on servers of the bench: the sample, its golden list, and synthetic tenants."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from kryonix_cache.conformance.datasets import Dataset, planned_dataset, read_dataset
from kryonix_cache.conformance.evidence import Evidence, answer_of
from kryonix_cache.conformance.judging.golden import golden_differences
from kryonix_cache.conformance.keyspaces import judged_data
from kryonix_cache.conformance.outcomes import NotOffered
from kryonix_cache.reference_impl.seeding import SamplePlan
from kryonix_cache.reports.lines import Finding, Outcome

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kryonix_cache.conformance.datasets import Place
    from kryonix_cache.conformance.judging.judgement import Judgement
    from kryonix_cache.conformance.session import RunSession
    from kryonix_cache.fixtures.capabilities import Seeding
    from kryonix_cache.reference_impl.connection import Pools

MOMENT = datetime(2026, 1, 31, 12, tzinfo=UTC)
SYNTHETIC_TENANTS = 10
_SLACK_MS = 60_000
"""What may pass between a write and the look at it."""

Offered = Callable[[str], AbstractContextManager[tuple["Seeding", "Pools"]]]


@pytest.fixture
def seeding_on(run_session: RunSession, evidence: Evidence) -> Offered:
    """Give the system's seeding and raw clients on a bench server of the given name."""

    @contextmanager
    def seeding_on(server_name: str) -> Iterator[tuple[Seeding, Pools]]:
        server = run_session.bench_server(server_name)
        evidence.ran_on = "bench"
        with (
            run_session.system_on(server, "seeding") as system,
            run_session.clients_of(server, "seeding-witness") as clients,
        ):
            if system.seeding is None:
                raise NotOffered("the system offers no seeding")
            yield system.seeding, clients

    return seeding_on


@pytest.mark.requirement("seeding.complete")
def test_seeding_writes_the_sample_and_nothing_else(
    seeding_on: Offered, run_session: RunSession, evidence: Evidence
) -> None:
    """Keys, types, values and expiries are the sample's; its audit gives the golden list."""
    with seeding_on("sample") as (seeding, clients):
        answer_of("seed_sample", seeding.seed_sample, MOMENT)
        found = read_dataset(clients, run_session.plan.contract)
        evidence.saw("keys", len(found))
        compare(found, planned_dataset(SamplePlan(MOMENT)), evidence)
        for difference in golden_differences(judged_data(clients, run_session.plan), "sample"):
            evidence.found(difference.where, found=difference.found, wanted=difference.wanted)
    evidence.settle()


@pytest.mark.requirement("seeding.idempotent")
def test_seeding_twice_gives_what_seeding_once_gives(
    seeding_on: Offered, run_session: RunSession, evidence: Evidence
) -> None:
    """A second run changes no key, no value, and no moment that the first run wrote."""
    with seeding_on("idempotent") as (seeding, clients):
        answer_of("seed_sample", seeding.seed_sample, MOMENT)
        once = read_dataset(clients, run_session.plan.contract)
        answer_of("seed_sample again", seeding.seed_sample, None)
        twice = read_dataset(clients, run_session.plan.contract)
        evidence.saw("keys", len(twice))
        compare(twice, once, evidence)
    evidence.settle()


@pytest.mark.requirement("seeding.foreign-untouched")
def test_seeding_leaves_foreign_keys_alone(
    seeding_on: Offered, run_session: RunSession, evidence: Evidence
) -> None:
    """Foreign keys keep value and expiry, and one that stands in the way is refused."""
    contract = run_session.plan.contract
    with seeding_on("foreign") as (seeding, clients):
        clients[1].set("somebody:else", "theirs", ex=5000)
        clients[7].hset("legacy", mapping={"a": "1"})
        before = read_dataset(clients, contract)
        answer_of("seed_sample", seeding.seed_sample, MOMENT)
        after = read_dataset(clients, contract)
        evidence.saw("foreign_keys", len(before))
        compare({place: after[place] for place in before if place in after}, before, evidence)
    with seeding_on("in-the-way") as (seeding, clients):
        database, name = next(iter(planned_dataset(SamplePlan(MOMENT))))
        clients[database].set(name, "theirs")
        before = read_dataset(clients, contract)
        evidence.saw("foreign_keys")
        try:
            seeding.seed_sample(MOMENT)
        except Exception:  # noqa: BLE001 (any refusal will do; what lies on the server decides)
            refused = True
        else:
            refused = False
        compare(read_dataset(clients, contract), before, evidence)
        if not refused:
            evidence.found("seed_sample over a foreign key", found="no error", wanted="a refusal")
    evidence.settle()


@pytest.mark.requirement("seeding.deterministic-scale")
def test_the_same_seed_number_gives_the_same_tenants(
    seeding_on: Offered, run_session: RunSession, evidence: Evidence
) -> None:
    """Two servers seeded with one number hold the same data, clean by the contract."""
    contract = run_session.plan.contract
    seed = run_session.plan.request.seed
    datasets: list[Dataset] = []
    findings: list[Finding] = []
    for server, number in (
        ("synthetic-1", seed),
        ("synthetic-2", seed),
        ("synthetic-other", seed + 1),
    ):
        with seeding_on(server) as (seeding, clients):
            answer_of("seed_synthetic", seeding.seed_synthetic, SYNTHETIC_TENANTS, number)
            datasets.append(read_dataset(clients, contract))
            findings += failures_of(judged_data(clients, run_session.plan))
    evidence.saw("keys", len(datasets[0]))
    compare(datasets[1], datasets[0], evidence)
    if values_of(datasets[2]) == values_of(datasets[0]):
        evidence.found("another seed number", found="the same data", wanted="other data")
    tenants = {
        parsed.tenant
        for database, key in datasets[0]
        if (parsed := contract.parse(database, key)) and parsed.tenant
    }
    evidence.saw("tenants", len(tenants))
    if len(tenants) != SYNTHETIC_TENANTS:
        evidence.found("tenants", found=len(tenants), wanted=SYNTHETIC_TENANTS)
    for finding in findings:
        evidence.found(finding.where, found=finding.found, wanted=finding.wanted)
    evidence.settle()


def values_of(dataset: Dataset) -> Mapping[Place, str]:
    """Return a digest of each value, without its time to live."""
    return {place: content.digest() for place, content in dataset.items()}


def failures_of(judgements: Mapping[str, Judgement]) -> Iterator[Finding]:
    """Yield the findings of what failed, and one for whatever could not be judged."""
    for judgement in judgements.values():
        if judgement.outcome is Outcome.FAIL:
            yield from judgement.findings
        elif judgement.outcome not in {Outcome.PASS, Outcome.NOT_APPLICABLE}:
            yield Finding(
                where=judgement.requirement, found=str(judgement.outcome), wanted=judgement.reason
            )


def compare(found: Dataset, wanted: Dataset, evidence: Evidence) -> None:
    """Add a finding for each key that is missing, too much, or different."""
    for place in sorted(found.keys() | wanted.keys()):
        where = f"db {place[0]} key {place[1].decode(errors='backslashreplace')!a}"
        mine, theirs = found.get(place), wanted.get(place)
        if mine is None or theirs is None:
            evidence.found(
                where,
                found="no key" if mine is None else f"a {mine.type}",
                wanted="no key" if theirs is None else f"a {theirs.type}",
            )
        elif mine.digest() != theirs.digest():
            # Values may be secrets, so only their digests are shown.
            evidence.found(
                where,
                found=f"{mine.type}, value {mine.digest()[:12]}",
                wanted=f"{theirs.type}, value {theirs.digest()[:12]}",
            )
        elif (mine.ttl < 0) != (theirs.ttl < 0) or abs(mine.ttl - theirs.ttl) > _SLACK_MS:
            evidence.found(f"{where}, time to live", found=mine.ttl, wanted=theirs.ttl)
