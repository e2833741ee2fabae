# SPDX-License-Identifier: Apache-2.0
"""Judges of the server's health: server.* of the registry."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from kryonix_cache.conformance.judging.directive_values import size_words
from kryonix_cache.conformance.judging.judgement import (
    Judgement,
    inconclusive,
    judged,
    not_applicable,
)
from kryonix_cache.reports.lines import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from kryonix_cache.conformance.judging.configuration import ServerJudge
    from kryonix_cache.conformance.judging.server_facts import DeploymentFacts
    from kryonix_cache.reference_impl.contract import Contract, Profile

SUPPORTED: Mapping[str, tuple[int, int]] = {"redis": (6, 2), "valkey": (7, 2)}
"""The oldest version of each product whose behaviour the suite knows."""

_STATUSES = {
    "rdb_last_bgsave_status": "last snapshot",
    "aof_last_write_status": "last write to the append-only file",
    "aof_last_bgrewrite_status": "last rewrite of the append-only file",
}


def judge_ping(facts: DeploymentFacts, _contract: Contract, _profile: Profile) -> Judgement:
    """Judge whether the server answers, is supported, has loaded, and is no replica."""
    findings = list(_ping_findings(facts))
    if not findings and not facts.info:
        return inconclusive("server.ping", _info_refused(facts), {})
    return judged("server.ping", findings, {"replies": int(facts.pong)})


def judge_persistence(facts: DeploymentFacts, _contract: Contract, _profile: Profile) -> Judgement:
    """Judge whether the last snapshot, write and rewrite succeeded."""
    requirement = "server.persistence-health"
    seen = {name: facts.info[name] for name in _STATUSES if name in facts.info}
    if not seen:
        return inconclusive(requirement, _info_refused(facts), {"statuses": 0})
    findings = [
        Finding(
            where=f"INFO {name}",
            found=f"{_STATUSES[name]}: {status}",
            wanted="ok",
            remedy="look into the server's log: a full disk, missing rights or too little memory",
        )
        for name, status in seen.items()
        if status != "ok"
    ]
    return judged(requirement, findings, {"statuses": len(seen)})


def judge_headroom(facts: DeploymentFacts, contract: Contract, _profile: Profile) -> Judgement:
    """Judge used memory against the limit; evictions are observed, not judged."""
    requirement = "server.memory-headroom"
    used, limit = facts.info.get("used_memory", ""), facts.info.get("maxmemory", "")
    if not (used.isdigit() and limit.isdigit()):
        return inconclusive(requirement, _info_refused(facts), {"statuses": 0})
    if int(limit) == 0:
        return not_applicable(requirement, "no memory limit is set: config.maxmemory judges that")
    share = int(used) / int(limit) * 100
    allowed = contract.objectives["memory_headroom_percent"]
    observations = {"statuses": 1, "evicted_keys": int(facts.info.get("evicted_keys", "0"))}
    findings = []
    if share >= allowed:
        found = f"{size_words(int(used))} of {size_words(int(limit))} ({share:.0f} %)"
        found += f", {observations['evicted_keys']} keys evicted since the start"
        findings.append(
            Finding(
                where="INFO used_memory",
                found=found,
                wanted=f"below {allowed:g} % of maxmemory",
                remedy="raise maxmemory, or find the tenants that grow with keyspace.big-keys",
            )
        )
    return judged(requirement, findings, observations)


JUDGES: Mapping[str, ServerJudge] = {
    "server.ping": judge_ping,
    "server.persistence-health": judge_persistence,
    "server.memory-headroom": judge_headroom,
}


def _info_refused(facts: DeploymentFacts) -> str:
    reply = facts.refusals.get("INFO", "the fields are missing")
    return f"INFO does not tell it ({reply})"


def _ping_findings(facts: DeploymentFacts) -> Iterator[Finding]:
    if not facts.pong:
        reply = facts.refusals.get("PING", "another answer")
        yield Finding(where="PING", found=reply, wanted="PONG")
    product, version = facts.product
    if facts.info and not _is_supported(product, version):
        oldest = " or ".join(f"{name} {a}.{b}" for name, (a, b) in SUPPORTED.items())
        yield Finding(
            where="INFO server",
            found=f"{product} {version}",
            wanted=f"{oldest}, or newer",
            remedy="upgrade the server",
        )
    if facts.info.get("loading", "0") != "0":
        yield Finding(where="INFO loading", found="still loading its data", wanted="data loaded")
    if facts.info.get("role") == "slave" and not facts.replica_allowed:
        primary = f"{facts.info.get('master_host', '?')}:{facts.info.get('master_port', '?')}"
        yield Finding(
            where="INFO role",
            found=f"a replica of {primary}",
            wanted="a primary",
            remedy="give the address of the primary",
        )


def _is_supported(product: str, version: str) -> bool:
    numbers = re.match(r"(\d+)\.(\d+)", version)
    oldest = SUPPORTED.get(product)
    return bool(numbers and oldest and (int(numbers[1]), int(numbers[2])) >= oldest)
