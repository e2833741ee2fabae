# SPDX-License-Identifier: Apache-2.0
"""The example of another team's contract can be used as it is."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from kryonix_cache.reference_impl.connection import Pools
from tests.examples.command_line import EXAMPLES, run

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kryonix_cache.fixtures.targets.server import ServerProcess

CONTRACT = EXAMPLES / "contract" / "tickets.toml"
MOMENT = "2026-01-31T12:00:00+00:00"


@pytest.fixture
def desks(server: ServerProcess) -> Iterator[Pools]:
    """Write the data of two desks."""
    with Pools(server.endpoint) as pools:
        pools[0].config_set("maxmemory-policy", "volatile-lru")
        for desk in ("north", "south-1"):
            pools[0].hset(f"desk:{desk}:settings", mapping={"language": "es"})
            ticket = {"desk": desk, "opened_at": MOMENT, "urgent": True}
            pools[0].set(f"desk:{desk}:ticket:1", json.dumps(ticket), ex=3600)
            pools[1].hset(f"presence:{desk}:ana", mapping={"state": "here", "since": MOMENT})
            pools[1].expire(f"presence:{desk}:ana", 200)
        yield pools


def audited(server: ServerProcess, *, ends_with: int) -> dict[str, dict[str, object]]:
    answer = run(
        *("audit", "--json", "--target", server.endpoint.address, "--fields", "all"),
        *("--contract", CONTRACT, "--profile", "staging"),
        *("--select", "config.eviction-policy,config.databases,keyspace"),
        ends_with=ends_with,
    )
    return {each["requirement"]: each for each in json.loads(answer.stdout)["results"]}


def test_the_contract_of_another_team_is_one() -> None:
    answer = run("contract", "check", "--contract", CONTRACT)
    assert "ok: tickets 1.0, 2 databases, 3 key families" in answer.stdout


@pytest.mark.usefixtures("desks")
def test_data_that_keeps_the_contract_of_another_team_is_conformant(server: ServerProcess) -> None:
    """What the contract says nothing about is not applicable, and the reason says so."""
    results = audited(server, ends_with=0)
    assert {line["outcome"] for line in results.values()} == {"pass", "not-applicable"}
    assert results["keyspace.known-families"]["outcome"] == "pass"
    assert results["keyspace.fields"]["outcome"] == "pass"
    assert results["keyspace.templates"]["reason"] == "no family of the contract holds templates"


def test_data_that_breaks_the_contract_of_another_team_is_not(
    server: ServerProcess, desks: Pools
) -> None:
    desks[0].hset("desk:north:settings", "language", "Spanish, mostly")
    desks[0].persist("desk:north:ticket:1")
    desks[1].set("presence:north", "here")
    results = audited(server, ends_with=1)
    failed = {name for name, line in results.items() if line["outcome"] == "fail"}
    assert failed == {"keyspace.fields", "keyspace.known-families", "keyspace.ttl"}
