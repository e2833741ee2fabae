# SPDX-License-Identifier: Apache-2.0
"""The example of an implementation in another process is judged as any other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from kryonix_cache.reference_impl.connection import Pools
from kryonix_cache.reports.lines import Outcome
from kryonix_cache.reports.record import read_record
from tests.examples.command_line import EXAMPLES, run

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from kryonix_cache.fixtures.targets.server import ServerProcess
    from kryonix_cache.reports.record import Record

OWN_NAMESPACE = "isolation.own-namespace"
SYSTEM = "adapter_http.adapter:system"
ON_THE_TARGET = {"isolation.read", "isolation.list", "isolation.write", "isolation.delete"}
# Only a server that nobody else uses can be looked at whole, or be given hostile names.
ON_A_BENCH = {OWN_NAMESPACE, "isolation.non-interference", "isolation.hostile-ids"}
OF_THE_SYSTEM = ON_THE_TARGET | ON_A_BENCH
A_PART = f"isolation.read,isolation.list,{OWN_NAMESPACE}"


def judged(
    out: Path,
    *arguments: str,
    select: str = ",".join(sorted(OF_THE_SYSTEM)),
    ends_with: int = 0,
    **environment: str,
) -> Record:
    run(
        *("conformance", "--system", SYSTEM, "--select", select, "--out", out),
        *arguments,
        ends_with=ends_with,
        PYTHONPATH=str(EXAMPLES),
        **environment,
    )
    (file,) = out.glob("*/record.jsonl")
    return read_record(file)


def outcomes(record: Record) -> dict[str, Outcome]:
    return {each.requirement: each.outcome for each in record.results}


def places(record: Record, requirements: set[str] = OF_THE_SYSTEM) -> set[str]:
    return {each.ran_on for each in record.results if each.requirement in requirements}


def writing_clients(pools: Pools) -> dict[str, int]:
    """Return the calls of writing commands that the server has counted."""
    calls: dict[str, dict[str, int]] = pools[0].info("commandstats")
    writing = ("cmdstat_set", "cmdstat_hset", "cmdstat_expire")
    return {name: calls[name]["calls"] for name in writing if name in calls}


@pytest.fixture
def live(server: ServerProcess) -> Iterator[Pools]:
    """Give clients of a server that holds data of somebody else."""
    with Pools(server.endpoint) as pools:
        pools[0].hset("tenant:acme:mobile:session:s1", mapping={"user_id": "user_1"})
        yield pools


def test_a_service_over_http_passes_the_isolation_tests(tmp_path: Path) -> None:
    record = judged(tmp_path, "--target", "local")
    assert set(outcomes(record)) == OF_THE_SYSTEM
    assert set(outcomes(record).values()) == {Outcome.PASS}
    assert record.header.system == SYSTEM


def test_a_memory_that_tenants_share_fails_what_it_breaks_and_nothing_else(
    tmp_path: Path,
) -> None:
    """Another tenant's answers are read, whatever its id is, and what is read depends on it."""
    record = judged(tmp_path, "--target", "local", ends_with=1, TENANT_CACHE_BUG="memory")
    failed = {name for name, outcome in outcomes(record).items() if outcome is Outcome.FAIL}
    assert failed == {
        "isolation.read",
        "isolation.non-interference",
        "isolation.hostile-ids",
    }
    results = {each.requirement: each for each in record.results}
    assert "in another process" in results["isolation.read"].reason
    assert results["isolation.non-interference"].evidence


def test_what_the_service_does_not_offer_is_never_passed(tmp_path: Path) -> None:
    record = judged(tmp_path, "--target", "local", select="isolation.read,seeding", ends_with=10)
    assert outcomes(record)["isolation.read"] is Outcome.PASS
    assert outcomes(record)["seeding.complete"] is Outcome.NOT_OFFERED


def test_without_a_grant_the_service_never_writes_to_a_live_target(
    server: ServerProcess, live: Pools, tmp_path: Path
) -> None:
    """The guard cannot see the commands of another process, so they go to the bench."""
    before = writing_clients(live)
    record = judged(tmp_path, "--target", server.endpoint.address, select=A_PART)
    assert set(outcomes(record).values()) == {Outcome.PASS}
    assert places(record) == {"bench"}
    assert writing_clients(live) == before


def test_with_a_grant_the_service_works_on_the_live_target(
    server: ServerProcess, live: Pools, tmp_path: Path
) -> None:
    """What the service wrote there is removed at the end, and nothing else is touched."""
    before = writing_clients(live)
    grant = f"own={server.endpoint.host_and_port}/0"
    record = judged(tmp_path, "--target", server.endpoint.address, "--grant", grant, select=A_PART)
    assert set(outcomes(record).values()) == {Outcome.PASS}
    assert places(record, ON_THE_TARGET) == {"target"}
    assert places(record, ON_A_BENCH) == {"bench"}
    assert writing_clients(live)["cmdstat_hset"] > before["cmdstat_hset"]
    assert writing_clients(live)["cmdstat_set"] > 0
    assert live[0].hgetall("tenant:acme:mobile:session:s1") == {b"user_id": b"user_1"}
    assert (live[0].dbsize(), live[1].dbsize()) == (1, 0)
