# SPDX-License-Identifier: Apache-2.0
"""Whatever was changed on a user by hand is found, and a user as planned is recognised."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import redis

from kryonix_cache.reference_impl.access import TenantUsers
from kryonix_cache.reference_impl.access.state import differences
from tests.access.accounts import ask
from tests.access.contracts import OWN, RULE

if TYPE_CHECKING:
    from kryonix_cache.reference_impl.connection import Pools

TAMPERED = {
    "off": ("off",),
    "without a password": ("nopass",),
    "a second password": (">another",),
    "no password at all": ("resetpass",),
    "one more command": ("+scan",),
    "one command less": ("-ping",),
    "a category": ("+@dangerous",),
    "a container": ("+client",),
    "everything": ("+@all",),
    "everything but one": ("+@all", "-flushall"),
    "one more key": ("~tenant:other:*",),
    "every key": ("~*",),
    "one more channel": ("&other:*",),
    "no channel": ("resetchannels",),
    "every channel": ("allchannels",),
}
# Redis 6.2 has no selectors, and cannot take a subcommand out of its command either.
WITH_SELECTORS = {
    "a container in part": ("+client", "-client|kill"),
    "no selectors": ("clearselectors",),
    "one more selector": ("(~tenant:other:* +get)",),
    "a selector split in two": ("(~metrics:tenant:{tenant} +hget)",),
    "a key that is only written": ("%W~tenant:other:*",),
}
WITH_DATABASES = {
    "every database": ("alldbs",),
    "one database": ("db=1",),
    "a selector of another database": ("(db=7 ~tenant:{tenant}:api:*:* +get)",),
}


def test_a_user_as_planned_differs_in_nothing(users: TenantUsers, tenant: str) -> None:
    """However the server describes the rules: by commands, or by categories with exceptions."""
    login = users.admit(tenant)
    state = users.describe(login.username)
    plan = users.plan(tenant)
    assert state is not None
    assert state.keeps(plan)
    assert differences(plan, state) == []


def test_a_user_that_is_not_there_differs_in_one_thing(users: TenantUsers, tenant: str) -> None:
    (only,) = differences(users.plan(tenant), users.describe(f"tenant-{tenant}"))
    assert (only.found, only.wanted) == ("none", f"tenant-{tenant}")
    assert "acl apply" in only.remedy


@pytest.mark.parametrize("name", [*TAMPERED, *WITH_SELECTORS, *WITH_DATABASES])
def test_what_was_changed_by_hand_is_found(
    users: TenantUsers, pools: Pools, tenant: str, name: str
) -> None:
    login, plan = users.admit(tenant), users.plan(tenant)
    words = (TAMPERED | WITH_SELECTORS | WITH_DATABASES)[name]
    reply = ask(
        pools[0], "ACL", "SETUSER", login.username, *(word.format(tenant=tenant) for word in words)
    )
    if (name in WITH_SELECTORS and not plan.selectors) or (
        name in WITH_DATABASES and plan.root.databases is None
    ):
        assert isinstance(reply, redis.ResponseError), "the server was said to have no such rules"
        return
    assert reply == b"OK"
    found = differences(plan, users.describe(login.username))
    assert found
    for each in found:
        assert each.found != each.wanted
        assert "acl apply" in each.remedy


def test_a_part_that_was_taken_out_of_a_command_is_found(pools: Pools, tenant: str) -> None:
    """The contract may grant a command with all its subcommands."""
    rule = replace(RULE, session=(*RULE.session, "client"))
    users = TenantUsers(replace(OWN, access=rule), pools)
    login, plan = users.admit(tenant), users.plan(tenant)
    assert differences(plan, users.describe(login.username)) == []
    reply = ask(pools[0], "ACL", "SETUSER", login.username, "-client|kill")
    if reply == b"OK":
        (only,) = differences(plan, users.describe(login.username))
        assert "client|kill" in only.found
    else:
        # Before 7.0 a subcommand cannot be taken out of its command.
        assert isinstance(reply, redis.ResponseError)
    users.revoke(tenant)


def test_the_default_user_is_nothing_like_a_tenants(users: TenantUsers, tenant: str) -> None:
    found = differences(users.plan(tenant), users.describe("default"))
    assert {"off"} <= {each.found for each in found}
