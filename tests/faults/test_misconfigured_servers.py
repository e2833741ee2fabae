# SPDX-License-Identifier: Apache-2.0
"""A server with one wrong directive fails the requirement of that directive and no other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from kryonix_cache.fixtures.targets.configuration import ServerPlan
from kryonix_cache.fixtures.targets.server import ServerProcess
from kryonix_cache.reference_impl.contract import default_contract
from tests.conformance.runs import conformance
from tests.conformance.servers import right_directives, url_of

if TYPE_CHECKING:
    from pathlib import Path

EFFECTIVE = "config.encodings-effective"
# Directive, wrong value, and what must fail.
FAULTS: dict[str, tuple[str, set[str]]] = {
    "databases": ("8", {"config.databases"}),
    "maxmemory": ("0", {"config.maxmemory"}),
    "maxmemory-policy": ("noeviction", {"config.eviction-policy"}),
    "maxmemory-samples": ("5", {"config.eviction-samples"}),
    "timeout": ("0", {"config.idle-timeout"}),
    "tcp-keepalive": ("300", {"config.tcp-keepalive"}),
    "tcp-backlog": ("511", {"config.tcp-backlog"}),
    "hash-max-listpack-entries": ("512", {"config.hash-encoding", EFFECTIVE}),
    "hash-max-listpack-value": ("64", {"config.hash-encoding", EFFECTIVE}),
    "list-max-listpack-size": ("128", {"config.list-encoding"}),
    "set-max-intset-entries": ("512", {"config.set-encoding", EFFECTIVE}),
    "zset-max-listpack-entries": ("128", {"config.zset-encoding", EFFECTIVE}),
    "save": ("3600 1 300 100 60 10000", {"config.snapshots"}),
    "appendonly": ("no", {"config.aof"}),
    "appendfsync": ("always", {"config.aof"}),
    "auto-aof-rewrite-percentage": ("50", {"config.aof"}),
    "auto-aof-rewrite-min-size": ("64mb", {"config.aof"}),
}


def test_every_directive_of_the_contract_has_a_fault() -> None:
    assert set(FAULTS) == {each.name for each in default_contract().profile("ci").directives}


@pytest.mark.parametrize("directive", FAULTS)
def test_a_wrong_directive_fails_its_own_requirement(
    directive: str, tmp_path: Path, redis_binary: Path
) -> None:
    wrong, guilty = FAULTS[directive]
    plan = ServerPlan(directives=right_directives() | {directive: wrong})
    with ServerProcess(redis_binary, plan) as server:
        run = conformance(
            "--select", "config", out=tmp_path, KRYONIX_TARGET=url_of(server.endpoint)
        )
    failed = {name for name, outcome in run.outcomes.items() if outcome == "fail"}
    assert (failed, run.code) == (guilty, 1), run.output + run.errors
    for requirement in guilty:
        text = " ".join(each.where for each in run.result(requirement).evidence)
        assert directive in text


def test_the_right_directives_fail_nothing(tmp_path: Path, redis_binary: Path) -> None:
    with ServerProcess(redis_binary, ServerPlan(directives=right_directives())) as server:
        run = conformance(
            "--select", "config", out=tmp_path, KRYONIX_TARGET=url_of(server.endpoint)
        )
    assert (run.code, run.record.verdict.value) == (0, "conformant"), run.output + run.errors
    assert run.outcomes["config.persisted"] == "not-applicable"
