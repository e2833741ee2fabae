# SPDX-License-Identifier: Apache-2.0
"""On real servers, the rules of a tenant match exactly its own keys, whatever its name."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kryonix_cache.reference_impl.access import plan_user, read_dialect
from kryonix_cache.reference_impl.connection import Pools, bulk
from kryonix_cache.reference_impl.contract import default_contract
from tests.access.accounts import denied, logged_in
from tests.contract.contracts import parts_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from kryonix_cache.fixtures.targets.server import ServerProcess
    from kryonix_cache.reference_impl.access import TenantUsers
    from kryonix_cache.reference_impl.contract import Family

CONTRACT = default_contract()
LOOK_ALIKES = ("acme", "acme2", "a", "a-b", "a_b", "tenant")
OTHERS = (*LOOK_ALIKES, "acm", "b-acme", "system", "channels", "zz")
SETTINGS = settings(
    max_examples=5,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
FAMILIES = st.fixed_dictionaries(
    {family.name: parts_of(CONTRACT, family) for family in CONTRACT.families}
)


@pytest.fixture(params=LOOK_ALIKES)
def own(
    request: pytest.FixtureRequest, users: TenantUsers, server: ServerProcess
) -> Iterator[tuple[str, Pools]]:
    """Give a tenant, and clients of its user."""
    tenant: str = request.param
    with logged_in(server.endpoint, users.admit(tenant)) as clients:
        yield tenant, clients
    users.revoke(tenant)


def keys_of(family: Family, drawn: Mapping[str, str]) -> Iterator[tuple[str | None, bytes]]:
    """Yield the key of each tenant, with the same other parts, or the one key of nobody."""
    if not family.per_tenant:
        yield None, CONTRACT.key(family.name, **drawn)
        return
    for tenant in OTHERS:
        yield tenant, CONTRACT.key(family.name, **{**drawn, "tenant": tenant})


@SETTINGS
@given(drawn=FAMILIES)
def test_a_user_reaches_exactly_its_own_keys(
    own: tuple[str, Pools], pools: Pools, drawn: Mapping[str, Mapping[str, str]]
) -> None:
    tenant, clients = own
    assert CONTRACT.access is not None
    dialect = read_dialect(pools[0], CONTRACT.access)
    plan = plan_user(CONTRACT, tenant, dialect)
    homes = {n for name in plan.families for n in CONTRACT.family(name).databases}
    for number in sorted(homes):
        wanted, calls = [], []
        for family in CONTRACT.families:
            here = number in family.databases or not dialect.databases
            for owner, key in keys_of(family, drawn[family.name]):
                calls.append((b"EXISTS", key))
                wanted.append(here and owner == tenant and family.name in plan.families)
        with bulk(clients[number]) as connection:
            replies = connection.exchange(calls)
        found = [not denied(reply) for reply in replies]
        wrong = [call for call, is_, must in zip(calls, found, wanted, strict=True) if is_ != must]
        assert wrong == []
        if dialect.selectors:
            with bulk(pools[number]) as connection:
                dry = connection.exchange(
                    [(b"ACL", b"DRYRUN", plan.user.encode(), *call) for call in calls]
                )
            assert [reply == b"OK" for reply in dry] == wanted
