# SPDX-License-Identifier: Apache-2.0
"""The trail: what it says, that it can be read back, and that it stays bounded."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kryonix_cache.reference_impl.optimiser.report import Change
from kryonix_cache.reference_impl.optimiser.trail import LONGEST, Entry, Trail
from tests.optimiser.deeds import ANSWERS, LOW, actions, facts
from tests.optimiser.keyspace import AT, CONTRACT, put_answer

if TYPE_CHECKING:
    from kryonix_cache.reference_impl.connection import Pools
    from kryonix_cache.reference_impl.contract.model import TenantId

ACME = CONTRACT.tenant.parse("acme")
FIELDS = CONTRACT.family("optimisation-trail").all_fields
CHANGE = Change(
    rule="ttl",
    action="extended",
    database=ANSWERS,
    key=b"tenant:acme:api:crm:leads",
    expires_before=AT + timedelta(seconds=600),
    expires_after=AT + timedelta(seconds=900),
    reason="the hit rate is low",
)
ENTRY = Entry("run-1", ACME, AT, CHANGE, "sha256:00", 1_737_972_900_000)
moments = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1)).map(  # noqa: DTZ001 (made aware)
    lambda it: it.replace(tzinfo=UTC, microsecond=it.microsecond // 1000 * 1000)
)


@given(
    before=moments,
    after=moments,
    undone_at=st.none() | moments,
    expiry=st.integers(0, 2**53),
    reason=st.text(max_size=200),
    written=st.booleans(),
)
def test_an_entry_is_read_back_as_it_was_written(
    *,
    before: datetime,
    after: datetime,
    undone_at: datetime | None,
    expiry: int,
    reason: str,
    written: bool,
) -> None:
    change = replace(CHANGE, expires_before=before, expires_after=after, reason=reason)
    if written:
        change = replace(change, action="written", expires_before=None)
    entry = replace(ENTRY, change=change, undone_at=undone_at, server_expiry_ms=expiry)

    assert Trail(CONTRACT, ACME, ANSWERS).read(entry.packed()) == entry


def test_an_entry_keeps_the_formats_of_the_contract(standing: Pools, tenant: TenantId) -> None:
    key = put_answer(standing, tenant, "crm.leads", ttl=600)
    (change,), _ = actions(standing).act(facts(tenant, [key]), LOW)
    raw = standing[ANSWERS].lindex(CONTRACT.key("optimisation-trail", tenant=tenant), 0)
    fields = json.loads(raw or b"")

    assert fields.keys() == FIELDS.keys() - {"undone_at"}
    for name, value in fields.items():
        text = value if isinstance(value, str) else json.dumps(value)
        FIELDS[name].format.parse(text)
    assert (fields["run"], fields["tenant_id"], fields["rule"]) == ("run-1", tenant, "ttl")
    assert (fields["key"], fields["reason"]) == (key.decode(), change.reason)
    left = standing[ANSWERS].pttl(key)
    seconds, microseconds = standing[ANSWERS].time()
    ends = seconds * 1000 + microseconds // 1000 + left
    assert abs(fields["server_expiry_ms"] - ends) < 500


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"[]",
        b"{}",
        b"\xff",
        ENTRY.packed().replace(b'"acme"', b'"globex"'),
        ENTRY.packed().replace(b'"extended"', b'"removed"'),
        ENTRY.packed().replace(b'"server_expiry_ms": 1737972900000', b'"server_expiry_ms": "x"'),
        ENTRY.packed().replace(b'"at": "2025', b'"at": "then'),
        ENTRY.packed().replace(b"expires_before", b"expired_before"),
    ],
)
def test_what_is_no_entry_of_the_tenant_is_not_read(raw: bytes) -> None:
    assert raw != ENTRY.packed()
    assert Trail(CONTRACT, ACME, ANSWERS).read(raw) is None


def test_a_trail_keeps_the_newest_entries_and_its_lifetime(
    standing: Pools, tenant: TenantId
) -> None:
    key = CONTRACT.key("optimisation-trail", tenant=tenant)
    standing[ANSWERS].rpush(key, *(b"%d" % n for n in range(LONGEST)))
    answer = put_answer(standing, tenant, "crm.leads", ttl=600)
    actions(standing).act(facts(tenant, [answer]), LOW)
    limit = CONTRACT.family("optimisation-trail").ttl.max_seconds

    assert standing[ANSWERS].llen(key) == LONGEST
    assert standing[ANSWERS].lindex(key, 0) == b"1"
    assert limit is not None
    assert limit - 60 < standing[ANSWERS].ttl(key) <= limit


def test_marks_live_as_long_as_the_contract_lets_them_and_old_ones_go(
    standing: Pools, tenant: TenantId
) -> None:
    key = CONTRACT.key("value-sightings", tenant=tenant)
    kept = AT.timestamp() - 14_399
    standing[ANSWERS].zadd(key, {"seen:kept": kept, "seen:old": AT.timestamp() - 14_401})
    answer = put_answer(standing, tenant, "crm.leads", ttl=600)
    actions(standing).act(facts(tenant, [answer]), LOW)
    limit = CONTRACT.family("value-sightings").ttl.max_seconds

    members = standing[ANSWERS].zrange(key, 0, -1, withscores=True)
    assert len(members) == 2
    assert members[0] == (b"seen:kept", kept)
    assert members[1][0].startswith(b"extended:")
    assert members[1][1] == AT.timestamp()
    assert limit is not None
    assert limit - 60 < standing[ANSWERS].ttl(key) <= limit
