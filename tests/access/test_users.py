# SPDX-License-Identifier: Apache-2.0
"""A tenant's user from its making to its end, on real servers."""

from __future__ import annotations

import hashlib
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import redis

from kryonix_cache.reference_impl.access import Login, TenantUsers
from kryonix_cache.reference_impl.access.errors import (
    AccessRefusedError,
    UserMissingError,
    UserPresentError,
)
from kryonix_cache.reference_impl.connection import Command, CommandPolicy, Pools, lease
from kryonix_cache.reference_impl.contract import default_contract
from kryonix_cache.reference_impl.errors import InvalidTenantIdError
from tests.access.accounts import ask, denied, logged_in, may_enter

if TYPE_CHECKING:
    from collections.abc import Callable

    from kryonix_cache.fixtures.targets.server import ServerProcess

CONTRACT = default_contract()
assert CONTRACT.access is not None
REVOCATION_S = CONTRACT.access.revocation_s


def answer_key(tenant: str) -> bytes:
    return CONTRACT.key("api-cache", tenant=tenant, module="crm", endpoint="users")


def test_a_user_reaches_its_own_tenant_and_no_other(
    users: TenantUsers, server: ServerProcess, tenant: str
) -> None:
    login = users.admit(tenant)
    with logged_in(server.endpoint, login) as own:
        assert ask(own[1], "SET", answer_key(tenant), "mine") == b"OK"
        assert ask(own[1], "GET", answer_key(tenant)) == b"mine"
        for other in (f"{tenant}0", tenant[:-1] or "b", "b"):
            assert denied(ask(own[1], "GET", answer_key(other)))
            assert denied(ask(own[1], "SET", answer_key(other), "x"))


def test_only_the_digest_of_a_password_lies_on_the_server(
    users: TenantUsers, pools: Pools, tenant: str
) -> None:
    login = users.admit(tenant)
    assert len(login.password) >= 43
    assert login.password not in repr(login)
    listed = ask(pools[0], "ACL", "LIST")
    assert isinstance(listed, list)
    (line,) = [each for each in listed if f"user {login.username} ".encode() in each]
    assert hashlib.sha256(login.password.encode()).hexdigest().encode() in line
    assert login.password.encode() not in line


def test_passwords_differ(users: TenantUsers, tenant: str) -> None:
    passwords = {users.admit(tenant).password for _ in range(3)}
    assert len(passwords) == 3


def lost_access(client: redis.Redis, key: bytes) -> bool:
    try:
        return denied(ask(client, "GET", key))
    except redis.ConnectionError:
        return True


def _admit_again(users: TenantUsers, tenant: str) -> None:
    users.admit(tenant)


def _rotate(users: TenantUsers, tenant: str) -> None:
    users.rotate(tenant)


def _rename(users: TenantUsers, tenant: str) -> None:
    users.rename(tenant, f"{tenant}-new")
    users.revoke(f"{tenant}-new")


def _suspend(users: TenantUsers, tenant: str) -> None:
    users.suspend(tenant)


def _revoke(users: TenantUsers, tenant: str) -> None:
    users.revoke(tenant)


@pytest.mark.parametrize("take_away", [_admit_again, _rotate, _rename, _suspend, _revoke])
def test_what_takes_access_away_ends_open_connections_in_time(
    users: TenantUsers,
    server: ServerProcess,
    tenant: str,
    take_away: Callable[[TenantUsers, str], None],
) -> None:
    """Neither an open connection, nor a new one with the old password, goes on."""
    login = users.admit(tenant)
    with logged_in(server.endpoint, login) as own:
        assert ask(own[1], "GET", answer_key(tenant)) is None
        take_away(users, tenant)
        start = time.monotonic()
        while not lost_access(own[1], answer_key(tenant)):
            assert time.monotonic() - start < REVOCATION_S
    assert not may_enter(server.endpoint, login)


class ComesBack(CommandPolicy):
    """Lets everything pass, and connects as the tenant just before its user is changed."""

    def __init__(self, own: Pools) -> None:
        self.own = own

    def check(self, args: Command, database: int) -> None:
        del database
        if [word.upper() for word in args[:2]] == [b"ACL", b"SETUSER"]:
            self.own[1].ping()


@pytest.mark.parametrize("change", ["admit", "rotate", "suspend", "revoke"])
def test_a_client_that_comes_back_just_before_the_change_is_sent_away_as_well(
    users: TenantUsers, server: ServerProcess, tenant: str, change: str
) -> None:
    login = users.admit(tenant)
    with (
        logged_in(server.endpoint, login) as own,
        Pools(server.endpoint, policy=ComesBack(own)) as clients,
    ):
        getattr(TenantUsers(CONTRACT, clients), change)(tenant)
        assert lost_access(own[1], answer_key(tenant))


def test_a_transaction_that_is_open_when_access_goes_is_never_run(
    users: TenantUsers, pools: Pools, server: ServerProcess, tenant: str
) -> None:
    login = users.admit(tenant)
    write = (b"SET", answer_key(tenant), b"late")
    with logged_in(server.endpoint, login) as own, lease(own[1]) as connection:
        assert connection.exchange([(b"MULTI",), write]) == [b"OK", b"QUEUED"]
        users.revoke(tenant)
        with pytest.raises(redis.ConnectionError):
            connection.exchange([(b"EXEC",)])
    assert pools[1].exists(answer_key(tenant)) == 0


def test_a_new_password_lets_in_at_once(
    users: TenantUsers, server: ServerProcess, tenant: str
) -> None:
    users.admit(tenant)
    assert may_enter(server.endpoint, users.rotate(tenant))


def test_a_suspended_user_stays_out_until_it_is_admitted(
    users: TenantUsers, server: ServerProcess, tenant: str
) -> None:
    users.admit(tenant)
    users.suspend(tenant)
    assert not may_enter(server.endpoint, users.rotate(tenant))
    assert may_enter(server.endpoint, users.admit(tenant))


def test_a_renamed_user_has_the_new_keys_and_not_the_old(
    users: TenantUsers, server: ServerProcess, tenant: str
) -> None:
    users.admit(tenant)
    new = f"{tenant}-new"
    login = users.rename(tenant, new)
    try:
        assert login.username == f"tenant-{new}"
        with logged_in(server.endpoint, login) as own:
            assert ask(own[1], "GET", answer_key(new)) is None
            assert denied(ask(own[1], "GET", answer_key(tenant)))
    finally:
        users.revoke(new)


def test_a_rename_takes_no_other_tenants_user(
    users: TenantUsers, server: ServerProcess, tenant: str
) -> None:
    other = f"{tenant}-other"
    login, neighbour = users.admit(tenant), users.admit(other)
    try:
        with pytest.raises(UserPresentError, match="revoke that one first"):
            users.rename(tenant, other)
        assert may_enter(server.endpoint, neighbour)
        assert may_enter(server.endpoint, login)
    finally:
        users.revoke(other)


def test_a_rename_to_the_same_name_keeps_the_user(
    users: TenantUsers, server: ServerProcess, tenant: str
) -> None:
    users.admit(tenant)
    assert may_enter(server.endpoint, users.rename(tenant, tenant))


@pytest.mark.parametrize("change", ["rotate", "suspend"])
def test_a_user_that_is_not_there_is_not_made_by_the_way(
    users: TenantUsers, tenant: str, change: str
) -> None:
    with pytest.raises(UserMissingError, match="admit the tenant first"):
        getattr(users, change)(tenant)
    with pytest.raises(UserMissingError):
        users.rename(tenant, f"{tenant}-new")
    assert users.describe(f"tenant-{tenant}") is None
    assert users.describe(f"tenant-{tenant}-new") is None


def test_removing_what_is_not_there_is_no_error(users: TenantUsers, tenant: str) -> None:
    assert users.revoke(tenant) == 0


def test_removing_says_how_many_connections_it_closed(
    users: TenantUsers, server: ServerProcess, tenant: str
) -> None:
    with logged_in(server.endpoint, users.admit(tenant)) as own:
        own[0].ping()
        own[1].ping()
        assert users.revoke(tenant) == 2


@pytest.mark.parametrize(
    "bad", ["", "a:b", "*", "a*", "[a]", "A", "a b", "a\n", "é", "x" * 64, "-a", "default user"]
)
def test_a_bad_id_is_refused_before_anything_is_sent(
    users: TenantUsers, pools: Pools, bad: str
) -> None:
    def processed() -> int:
        return int(pools[0].info("stats")["total_commands_processed"])

    before = processed()
    for method in (users.admit, users.rotate, users.suspend, users.revoke):
        with pytest.raises(InvalidTenantIdError):
            method(bad)
    assert processed() == before + 1


@pytest.mark.parametrize(
    ("rules", "command"),
    [
        ("+@all -acl", "ACL GETUSER"),
        ("+@all -client", "CLIENT KILL"),
        ("-@all +acl|getuser +acl|cat +command +client", "ACL SETUSER"),
    ],
)
def test_an_account_that_may_not_manage_users_is_told_and_changes_nothing(
    users: TenantUsers, server: ServerProcess, tenant: str, rules: str, command: str
) -> None:
    """Whatever is missing is found out before a user is changed, closing connections included."""
    login = users.admit(tenant)
    before = users.describe(login.username)
    account = replace(server.endpoint, username="ops", password="ops")
    with Pools(server.endpoint) as clients:
        words = ("reset", "on", ">ops", "~*", "&*", *rules.split())
        assert ask(clients[0], "ACL", "SETUSER", "ops", *words) == b"OK"
    with Pools(account) as clients:
        poor = TenantUsers(CONTRACT, clients)
        for change in (poor.admit, poor.rotate, poor.suspend, poor.revoke):
            with pytest.raises(AccessRefusedError, match="nothing was changed"):
                change(tenant)
        with pytest.raises(AccessRefusedError, match=command):
            poor.admit(tenant)
    assert users.describe(login.username) == before
    assert may_enter(server.endpoint, login)


def test_the_password_of_another_tenant_opens_nothing(
    users: TenantUsers, server: ServerProcess, tenant: str
) -> None:
    other = f"{tenant}-other"
    mine, theirs = users.admit(tenant), users.admit(other)
    assert not may_enter(server.endpoint, Login(theirs.username, mine.password))
    users.revoke(other)
