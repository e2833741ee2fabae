# SPDX-License-Identifier: Apache-2.0
"""What a cached value tells of itself."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kryonix_cache.reference_impl.contract.model import TenantId
from kryonix_cache.reference_impl.optimiser.values import age_ms, packed, read_value
from tests.optimiser.keyspace import AT, CONTRACT

FAMILY = CONTRACT.family("api-cache")
ACME = CONTRACT.tenant.parse("acme")


def envelope(**fields: object) -> bytes:
    return json.dumps({"tenant_id": "acme", "module": "crm", "data": {"a": 1}, **fields}).encode()


def test_the_age_counts_from_cached_at_whatever_its_offset() -> None:
    value = read_value(envelope(cached_at="2025-01-27T06:00:00-03:00"), FAMILY)

    assert value.identity == "2025-01-27T06:00:00-03:00"
    assert age_ms(value.cached_before(AT), AT) == 3_600_000
    assert value.fault_at(AT) is None


@pytest.mark.parametrize("written", ["yesterday", "2025-01-27T10:00:00", "", 1737972000, ["now"]])
def test_a_cached_at_that_is_no_time_with_offset_is_a_fault_and_tells_no_age(
    written: object,
) -> None:
    value = read_value(envelope(cached_at=written), FAMILY)

    assert value.cached_before(AT) is None
    assert value.identity == value.digest
    assert "cached_at is no valid time" in str(value.fault_at(AT))


def test_a_value_without_cached_at_is_no_fault() -> None:
    value = read_value(envelope(), FAMILY)

    assert (value.cached_before(AT), value.fault_at(AT)) == (None, None)


@pytest.mark.parametrize("raw", [b"", b"{", b"[1]", b"null", b"\xff\xfe", b"[" * 100_000, b"1e999"])
def test_what_is_no_json_object_is_a_fault_and_is_known_by_its_bytes(raw: bytes) -> None:
    value = read_value(raw, FAMILY)

    assert value.identity == value.digest
    assert "no JSON object" in str(value.fault_at(AT))
    with pytest.raises(ValueError, match="no data"):
        value.data(1000)


@pytest.mark.parametrize(
    ("ahead_s", "is_fault"), [(1, False), (59, False), (61, True), (9e8, True)]
)
def test_a_cached_at_ahead_tells_no_age_and_is_a_fault_beyond_a_minute(
    *, ahead_s: float, is_fault: bool
) -> None:
    written = (AT + timedelta(seconds=ahead_s)).isoformat()
    value = read_value(envelope(cached_at=written), FAMILY)

    assert value.cached_before(AT) is None
    assert (value.fault_at(AT) is not None) == is_fault


@pytest.mark.parametrize(
    ("named", "foreign"), [("acme", False), ("acme2", True), (7, True), (None, False)]
)
def test_a_value_that_names_another_tenant_is_foreign(named: object, *, foreign: bool) -> None:
    assert read_value(envelope(tenant_id=named), FAMILY).is_foreign_to(ACME) == foreign


def test_two_writes_differ_by_cached_at_or_else_by_their_bytes() -> None:
    first = read_value(envelope(cached_at="2025-01-27T09:00:00Z"), FAMILY)
    rewritten = read_value(envelope(cached_at="2025-01-27T09:00:01Z"), FAMILY)
    undated, other = read_value(envelope(data=1), FAMILY), read_value(envelope(data=2), FAMILY)

    assert first.identity != rewritten.identity
    assert undated.identity != other.identity


@pytest.mark.parametrize("data", [math.nan, math.inf, {1, 2}, b"bytes", object()])
def test_what_is_no_json_is_not_packed(data: object) -> None:
    with pytest.raises(ValueError, match="it is no JSON"):
        packed(data, 1000)


def test_what_is_too_large_is_not_packed() -> None:
    assert packed("x" * 98, 100) == b'"' + b"x" * 98 + b'"'
    with pytest.raises(ValueError, match="it has 101 bytes, and 100 are allowed"):
        packed("x" * 99, 100)


@settings(deadline=None)
@given(
    st.binary(max_size=200)
    | st.recursive(st.none() | st.text() | st.floats(), st.lists).map(
        lambda it: json.dumps({"cached_at": it, "data": it}).encode()
    )
)
def test_any_bytes_can_be_read(raw: bytes) -> None:
    value = read_value(raw, FAMILY)

    assert value.identity
    value.is_foreign_to(TenantId("acme"))
    value.fault_at(datetime.now(UTC))


@given(st.timedeltas(timedelta(days=-8), timedelta(days=8)))
def test_an_age_is_never_rounded_down_and_never_negative(past: timedelta) -> None:
    age = timedelta(milliseconds=age_ms(AT - past, AT))

    assert timedelta(0) <= age - max(past, timedelta(0)) < timedelta(milliseconds=1)
