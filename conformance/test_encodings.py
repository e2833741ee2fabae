# SPDX-License-Identifier: Apache-2.0
"""Compact encodings by their effect: OBJECT ENCODING at each limit and one past it (E03)."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import pytest

from kryonix_cache.conformance.encodings import LIMITS

if TYPE_CHECKING:
    from kryonix_cache.conformance.encodings import Limit
    from kryonix_cache.conformance.evidence import Evidence
    from kryonix_cache.conformance.run import RunTenants
    from kryonix_cache.conformance.session import RunSession
    from kryonix_cache.reference_impl.connection import Clients
    from kryonix_cache.reference_impl.contract import Contract

_EXPIRE_SECONDS = 60
_COMPACT = {"hash": {"listpack", "ziplist"}, "zset": {"listpack", "ziplist"}, "set": {"intset"}}


@pytest.mark.requirement("config.encodings-effective")
def test_values_are_compact_at_each_limit_and_not_past_it(
    own_clients: Clients, run_session: RunSession, evidence: Evidence
) -> None:
    """A value at the limit has the compact encoding; one past it has the other."""
    plan = run_session.plan
    wanted = {
        each.name: int(each.value)
        for each in plan.profile.directives
        if each.unit in {"count", "bytes"} and each.value.lstrip("-").isdigit()
    }
    for limit in LIMITS:
        size = wanted[limit.directive]
        for past, length in ((False, size), (True, size + 1)):
            encoding = _encoding(own_clients, plan.contract, plan.tenants, limit, length)
            evidence.saw("encodings")
            compact = encoding in _COMPACT[plan.contract.family(limit.family).type]
            if compact == past:
                evidence.found(
                    f"{limit.directive}, a value of size {length}",
                    found=encoding,
                    wanted="the other encoding" if past else "the compact encoding",
                    erratum="E03",
                    remedy=f"CONFIG SET {limit.directive} {size}",
                )
    evidence.settle()


def _encoding(
    clients: Clients, contract: Contract, run: RunTenants, limit: Limit, size: int
) -> str:
    family = contract.family(limit.family)
    key = contract.key(family.name, tenant=run.id("encoding"), **limit.part)
    pipeline = clients[family.databases[0]].pipeline(transaction=True)
    pipeline.delete(key)
    limit.write(pipeline, key, size)
    pipeline.expire(key, _EXPIRE_SECONDS)
    pipeline.object("encoding", key)
    pipeline.delete(key)
    return cast("bytes", pipeline.execute()[3]).decode()
