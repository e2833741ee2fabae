# SPDX-License-Identifier: Apache-2.0
"""Each fault in data is found where it is, under its own requirement, and nothing else is."""

from __future__ import annotations

import dataclasses
import hashlib
from typing import TYPE_CHECKING

import pytest

from kryonix_cache.conformance.judging.golden import found_list
from kryonix_cache.conformance.judging.keyspace import OF_VALUES, WITNESSES, audit_keyspace
from kryonix_cache.conformance.registry import load_registry
from kryonix_cache.reference_impl.contract import default_contract
from kryonix_cache.reports.lines import EVIDENCE_LIMIT, Outcome
from tests.judging.faults import FAULTS, SHARED_PACKAGE, A, B, Fault, places, planted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kryonix_cache.conformance.judging.judgement import Judgement
    from kryonix_cache.reference_impl.connection import Pools


def judgements(pools: Pools) -> Mapping[str, Judgement]:
    return audit_keyspace(pools, default_contract(), reading="all").judgements


def test_clean_data_passes_each_requirement_with_its_witness(clean_pools: Pools) -> None:
    registry = load_registry()

    for requirement, judgement in judgements(clean_pools).items():
        assert judgement.outcome is Outcome.PASS, judgement
        for name, least in registry[requirement].witness.items():
            assert judgement.observations[name] >= least, requirement


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault_is_found_and_nothing_else(clean_pools: Pools, fault: Fault) -> None:
    renamed = [word for command in fault.commands if command[0] == "RENAME" for word in command[2:]]
    with planted(clean_pools, fault):
        found = judgements(clean_pools)
        for name in renamed:
            clean_pools[fault.target[0]].delete(str(name))

    assert found_list(found) == fault.findings()
    for requirement, judgement in found.items():
        failed = requirement in {finding.requirement for finding in fault.findings()}
        assert (judgement.outcome is Outcome.FAIL) is failed
        assert judgement.total == len(judgement.findings)


def test_each_requirement_of_the_keyspace_has_a_fault() -> None:
    found = {finding.requirement for fault in FAULTS for finding in fault.findings()}

    assert WITNESSES.keys() - found == {"keyspace.templates"}


def test_missing_templates_are_named(clean_pools: Pools) -> None:
    contract = default_contract()
    names = [
        (database, key)
        for (family, tenant), (database, key) in places().items()
        if family == "mobile-session-template" and tenant == A
    ]
    ((database, key),) = names
    fault = Fault("no session template", (("DEL", "KEY"),), (), database=database, key=key)
    with planted(clean_pools, fault):
        judgement = audit_keyspace(clean_pools, contract).judgements["keyspace.templates"]

    assert [finding.found for finding in judgement.findings] == ["no session template"]


def test_a_value_that_two_tenants_hold_is_found_once(clean_pools: Pools) -> None:
    other = dataclasses.replace(SHARED_PACKAGE, tenant=B)
    with planted(clean_pools, SHARED_PACKAGE), planted(clean_pools, other):
        judgement = judgements(clean_pools)["keyspace.references"]

    (finding,) = judgement.findings
    assert finding.where == f"db 8 key 'mobile_app:tenant:{B}' field 'android_package'"
    assert f"mobile_app:tenant:{A}" in finding.found


def test_a_plain_secret_and_its_digest_are_the_same_fact(clean_pools: Pools) -> None:
    """A session may hold the digest of the key that the registration holds in clear."""
    plain = "sk_live_0123456789abcdef"
    digest = "sha256:" + hashlib.sha256(plain.encode()).hexdigest()

    def change(family: str, value: str) -> Fault:
        return Fault(family, (("HSET", "KEY", "api_key", value),), (), family=family)

    with (
        planted(clean_pools, change("sdk-registration", plain)),
        planted(clean_pools, change("sdk-session", digest)),
        planted(clean_pools, change("app-sdk-session", digest)),
    ):
        found = judgements(clean_pools)

    assert found["keyspace.references"].outcome is Outcome.PASS
    assert found["security.secrets-at-rest"].total == 1


def test_no_secret_stands_in_any_finding(clean_pools: Pools) -> None:
    secret = "hunter2 with spaces"
    faults = (
        Fault("plain", (("HSET", "KEY", "api_key", secret),), (), family="sdk-registration"),
        Fault("plain", (("HSET", "KEY", "temp_password", secret),), (), family="auto-setup"),
        Fault("plain", (("HSET", "KEY", "temp_password", secret.encode() + b"\xff"),), (),
              family="auto-setup", tenant=B),
        Fault("code", (("SET", "KEY", secret, "EX", 60),), (), database=6,
              key=b"verify:email:a@example.com"),
    )  # fmt: skip
    with planted(clean_pools, faults[0]), planted(clean_pools, faults[1]):  # noqa: SIM117
        with planted(clean_pools, faults[2]), planted(clean_pools, faults[3]):
            found = judgements(clean_pools)

    assert found["security.secrets-at-rest"].total == len(faults)
    assert "hunter2" not in repr(found)


def test_the_tenants_of_a_run_may_have_expiring_keys_in_every_family(clean_pools: Pools) -> None:
    tenant = "ct-20260131t120000-0a1b2c-a"
    key = f"websocket:channels:tenant:{tenant}".encode()
    fault = Fault("run", (("SADD", "KEY", "a"), ("EXPIRE", "KEY", 60)), (), database=11, key=key)
    contract = default_contract()
    with planted(clean_pools, fault):
        of_all = audit_keyspace(clean_pools, contract).judgements
        own = audit_keyspace(clean_pools, contract, run="20260131t120000-0a1b2c").judgements
        foreign = audit_keyspace(clean_pools, contract, run="20260131t120000-ffffff").judgements

    assert of_all["keyspace.ttl"].outcome is Outcome.PASS
    assert own["keyspace.ttl"].outcome is Outcome.PASS
    assert foreign["keyspace.ttl"].total == 1


def test_an_empty_keyspace_is_inconclusive_and_says_what_to_do(empty_pools: Pools) -> None:
    for judgement in judgements(empty_pools).values():
        assert judgement.outcome is Outcome.INCONCLUSIVE
        assert "kryonix-cache seed" in judgement.reason
        assert not any(judgement.observations.values())


def test_without_values_their_requirements_are_skipped_and_never_passed(clean_pools: Pools) -> None:
    audit = audit_keyspace(clean_pools, default_contract(), reading="none")

    assert audit.values_read == 0
    for requirement, judgement in audit.judgements.items():
        expected = Outcome.SKIPPED if requirement in OF_VALUES else Outcome.PASS
        assert judgement.outcome is expected, requirement


def test_a_value_above_the_limit_is_not_read_and_the_reason_says_so(clean_pools: Pools) -> None:
    fault = Fault(
        "big",
        (("SETRANGE", "KEY", 1_100_000, "x"), ("EXPIRE", "KEY", 1000)),
        (),
        family="api-cache",
    )
    with planted(clean_pools, fault):
        audit = audit_keyspace(clean_pools, default_contract(), reading="all")

    assert audit.unread == 1
    assert audit.values_read == audit.keys - 1
    assert "1 values above 1 MiB were not read" in audit.judgements["keyspace.fields"].reason


def test_many_findings_are_counted_exactly_and_shown_in_part(empty_pools: Pools) -> None:
    empty_pools[0].mset({f"stranger:{number}": "x" for number in range(1000)})
    first = judgements(empty_pools)["keyspace.known-families"]
    second = judgements(empty_pools)["keyspace.known-families"]

    assert first.total == 1000
    assert len(first.findings) == EVIDENCE_LIMIT
    assert first == second


def test_the_examples_of_one_kind_do_not_crowd_out_another(clean_pools: Pools) -> None:
    """A thousand bad members of one set count, and one bad field elsewhere is still shown."""
    members = Fault(
        "members",
        tuple(("ZADD", "KEY", number, f"figure:{number}") for number in range(1000)),
        (),
        family="perf-timeline",
    )
    field = Fault("field", (("HDEL", "KEY", "timezone"),), (), family="tenant-config")
    with planted(clean_pools, members), planted(clean_pools, field):
        judgement = judgements(clean_pools)["keyspace.fields"]

    assert judgement.total == 1001
    assert len(judgement.findings) == EVIDENCE_LIMIT
    assert f"db 7 key 'config:tenant:{A}' field 'timezone'" in {
        finding.where for finding in judgement.findings
    }


def test_json_that_is_nested_too_deeply_is_a_finding_and_no_crash(clean_pools: Pools) -> None:
    """Near the interpreter's limit reading may succeed where looking deeper does not."""
    for depth in (*range(900, 1000, 3), 100_000):
        nested = "[" * depth + "]" * depth
        text = (
            f'{{"tenant_id":"{A}","module":{nested},"cached_at":"2025-01-27T10:00:00Z","data":1}}'
        )
        fault = Fault("deep", (("SET", "KEY", text, "KEEPTTL"),), (), family="api-cache")
        with planted(clean_pools, fault):
            assert judgements(clean_pools)["keyspace.fields"].total == 1
