# SPDX-License-Identifier: Apache-2.0
"""Whatever is refused midway, no password is lost and the error says what was done."""

from __future__ import annotations

import tomllib
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from kryonix_cache.conformance.cli.secret_files import SecretFile
from kryonix_cache.conformance.cli.user_changes import consider
from kryonix_cache.reference_impl.access import Login, TenantUsers
from kryonix_cache.reference_impl.access.errors import (
    AccessRefusedError,
    AccessUnfinishedError,
    OwnAccountError,
)
from kryonix_cache.reference_impl.connection import Command, CommandPolicy, Pools
from kryonix_cache.reference_impl.contract import default_contract
from tests.access.accounts import PLACE, ask, may_enter

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from kryonix_cache.fixtures.targets.server import ServerProcess

CONTRACT = default_contract()
SECRET = "0123456789abcdef" * 2


class LosesARight(CommandPolicy):
    """Takes a right from the account just before its call of that name, the last of so many."""

    def __init__(self, root: Pools, name: str, *, calls: int) -> None:
        self._root = root
        self._name = name.encode().split()
        self._left = calls

    def check(self, args: Command, database: int) -> None:
        del database
        if [word.upper() for word in args[:2]] == self._name:
            self._left -= 1
            if self._left == 0:
                # Redis 6.2 takes no subcommand away from a command.
                right = self._name[0].decode().lower()
                assert ask(self._root[0], "ACL", "SETUSER", "ops", f"-{right}") == b"OK"


@contextmanager
def losing(server: ServerProcess, root: Pools, name: str, *, calls: int) -> Iterator[TenantUsers]:
    """Give users that are managed by an account which loses a right midway."""
    words = ("reset", "on", f">{SECRET}", "~*", "&*", "+@all")
    assert ask(root[0], "ACL", "SETUSER", "ops", *words) == b"OK"
    account = replace(server.endpoint, username="ops", password=SECRET)
    policy = LosesARight(root, name, calls=calls)
    try:
        with Pools(account, policy=policy) as clients:
            yield TenantUsers(CONTRACT, clients)
    finally:
        ask(root[0], "ACL", "DELUSER", "ops")


@pytest.mark.parametrize("change", ["admit", "rotate"])
def test_a_password_that_the_server_has_is_in_the_error(
    users: TenantUsers, pools: Pools, server: ServerProcess, tenant: str, change: str
) -> None:
    users.admit(tenant)
    with (
        losing(server, pools, "CLIENT KILL", calls=2) as poor,
        pytest.raises(AccessUnfinishedError, match=f"the user tenant-{tenant} was changed") as got,
    ):
        getattr(poor, change)(tenant)
    assert got.value.login is not None
    assert may_enter(server.endpoint, got.value.login)
    assert got.value.login.password not in f"{got.value}{got.value.login!r}"


@pytest.mark.parametrize(
    ("name", "calls", "done"),
    [
        ("CLIENT KILL", 3, "is there as well"),
        ("CLIENT KILL", 4, "was changed"),
        ("ACL DELUSER", 1, "switched off"),
    ],
)
def test_a_rename_that_ends_midway_keeps_the_new_users_password(
    users: TenantUsers,
    pools: Pools,
    server: ServerProcess,
    tenant: str,
    *,
    name: str,
    calls: int,
    done: str,
) -> None:
    users.admit(tenant)
    new = f"{tenant}-new"
    with (
        losing(server, pools, name, calls=calls) as poor,
        pytest.raises(AccessUnfinishedError, match=f"tenant-{new} was made.*{done}") as got,
    ):
        poor.rename(tenant, new)
    assert got.value.login is not None
    assert got.value.login.username == f"tenant-{new}"
    assert may_enter(server.endpoint, got.value.login)
    users.revoke(new)


@pytest.mark.parametrize("there", [False, True])
def test_an_apply_that_ends_midway_keeps_the_file_of_the_password(
    users: TenantUsers,
    pools: Pools,
    server: ServerProcess,
    tenant: str,
    tmp_path: Path,
    *,
    there: bool,
) -> None:
    file = tmp_path / "secret.toml"
    if there:
        users.admit(tenant)
    with losing(server, pools, "CLIENT KILL", calls=2) as poor:
        change = consider(poor, tenant, SecretFile(file, force=False, place=PLACE), rotate=there)
        with pytest.raises(AccessUnfinishedError, match="was changed") as got:
            change.carry_out(poor)
    assert "nothing was changed" not in str(got.value)
    table = tomllib.loads(file.read_text())
    assert may_enter(server.endpoint, Login(table["username"], table["password"]))


def test_an_apply_that_is_refused_before_the_change_leaves_no_password(
    users: TenantUsers, pools: Pools, server: ServerProcess, tenant: str, tmp_path: Path
) -> None:
    with losing(server, pools, "CLIENT KILL", calls=1) as poor:
        change = consider(
            poor, tenant, SecretFile(tmp_path / "x", force=False, place=PLACE), rotate=False
        )
        with pytest.raises(AccessRefusedError, match="nothing was changed"):
            change.carry_out(poor)
    assert list(tmp_path.iterdir()) == []
    assert users.describe(f"tenant-{tenant}") is None


def test_an_account_does_not_change_itself(
    users: TenantUsers, pools: Pools, server: ServerProcess, tenant: str, tmp_path: Path
) -> None:
    """It would lose its rights with the first step, and could not take the second."""
    name = f"tenant-{tenant}"
    words = ("reset", "on", f">{SECRET}", "~*", "&*", "+@all")
    assert ask(pools[0], "ACL", "SETUSER", name, *words) == b"OK"
    before = users.describe(name)
    account = replace(server.endpoint, username=name, password=SECRET)
    with Pools(account) as clients:
        own = TenantUsers(CONTRACT, clients)
        for change in (own.admit, own.rotate, own.suspend, own.revoke):
            with pytest.raises(OwnAccountError, match="nothing was changed"):
                change(tenant)
        with pytest.raises(OwnAccountError):
            own.rename(tenant, f"{tenant}-new")
        with pytest.raises(OwnAccountError):
            consider(own, tenant, SecretFile(tmp_path / "x", force=False, place=PLACE), rotate=True)
    assert users.describe(name) == before
    assert users.describe(f"{name}-new") is None
    assert list(tmp_path.iterdir()) == []


def test_a_removal_that_ends_midway_says_that_the_user_is_off(
    users: TenantUsers, pools: Pools, server: ServerProcess, tenant: str
) -> None:
    users.admit(tenant)
    with (
        losing(server, pools, "ACL DELUSER", calls=1) as poor,
        pytest.raises(AccessUnfinishedError, match="was switched off") as got,
    ):
        poor.revoke(tenant)
    assert "nothing was changed" not in str(got.value)
    state = users.describe(f"tenant-{tenant}")
    assert state is not None
    assert not state.enabled


def test_an_acl_file_that_cannot_be_written_is_said_to_leave_the_change(
    users: TenantUsers, tenant: str
) -> None:
    """None of these servers has an ACL file, so each refuses to write it, whoever asks."""
    users.admit(tenant)
    with pytest.raises(AccessUnfinishedError, match="the users are changed") as got:
        users.save()
    assert "nothing was changed" not in str(got.value)
    assert "use an account that may manage users" not in str(got.value)
