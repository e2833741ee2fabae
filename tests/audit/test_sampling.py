# SPDX-License-Identifier: Apache-2.0
"""Which values an audit reads of a large keyspace."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kryonix_cache.conformance.judging import sampling
from kryonix_cache.conformance.judging.keyspace import audit_keyspace
from kryonix_cache.conformance.judging.sampling import sample_of
from kryonix_cache.reference_impl.contract import default_contract
from kryonix_cache.reference_impl.seeding import Seeder, SyntheticPlan, synthetic_tenant_ids

if TYPE_CHECKING:
    import pytest

    from kryonix_cache.reference_impl.connection import Pools

TENANTS = [f"tenant-{number}".encode() for number in range(10_000)]


def test_a_small_keyspace_is_read_whole() -> None:
    assert sample_of("sample", 20_000).is_whole
    assert not sample_of("sample", 20_001).is_whole
    assert sample_of("all", 10**9).is_whole


def test_the_share_of_tenants_is_that_of_the_values_to_be_read() -> None:
    sample = sample_of("sample", 200_000)

    chosen = sum(map(sample.wants_tenant, TENANTS))

    assert 900 < chosen < 1100


def test_a_larger_keyspace_reads_fewer_of_the_same_tenants() -> None:
    some, fewer = sample_of("sample", 100_000), sample_of("sample", 1_000_000)

    assert {t for t in TENANTS if fewer.wants_tenant(t)} < {
        t for t in TENANTS if some.wants_tenant(t)
    }


def test_lasting_keys_of_the_system_are_always_read_and_codes_sampled() -> None:
    contract, sample = default_contract(), sample_of("sample", 2_000_000)
    codes = [b"verify:phone:+55%09d" % number for number in range(10_000)]

    assert sample.wants_system_key(b"metrics:system", contract.family("system-metrics"))
    chosen = [sample.wants_system_key(c, contract.family("phone-verification")) for c in codes]
    assert 50 < sum(chosen) < 150


def test_a_sample_is_whole_tenants_and_the_reason_says_that_it_is_one(
    pools: Pools, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sampling, "SAMPLED_VALUES", 300)
    contract = default_contract()
    ids = synthetic_tenant_ids(contract, 100, 1)
    Seeder(pools).seed(SyntheticPlan(contract, ids, 1))

    first = audit_keyspace(pools, contract)
    second = audit_keyspace(pools, contract)

    assert 100 < first.values_read < 900
    assert first == second
    assert first.judgements["keyspace.fields"].reason.startswith("a sample: ")
    assert first.judgements["keyspace.type"].observations == {"keys": first.keys}
