# SPDX-License-Identifier: Apache-2.0
"""What `acl apply` does for a tenant, by what is on the server and in the secret file."""

from __future__ import annotations

import os
import tomllib
from typing import TYPE_CHECKING

import pytest

from kryonix_cache.conformance.cli.main import cli
from kryonix_cache.conformance.cli.secret_files import Place, SecretFile, read_login
from kryonix_cache.conformance.cli.user_changes import consider
from kryonix_cache.conformance.errors import SecretFileError, UsageError
from kryonix_cache.fixtures.targets.configuration import ServerPlan
from kryonix_cache.fixtures.targets.server import ServerProcess
from kryonix_cache.reference_impl.access import Login
from kryonix_cache.reference_impl.access.state import differences
from kryonix_cache.reference_impl.access.users import new_secret
from kryonix_cache.reference_impl.errors import ReplicaError
from tests.access.accounts import PLACE, ask, may_enter
from tests.conformance.servers import url_of

if TYPE_CHECKING:
    from pathlib import Path

    from kryonix_cache.reference_impl.access import TenantUsers
    from kryonix_cache.reference_impl.connection import Pools

ELSEWHERE = Place("redis://127.0.0.1:6380", "another-run")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "secret.toml"


def apply(
    users: TenantUsers,
    tenant: str,
    path: Path,
    *,
    rotate: bool = False,
    admit: bool = False,
    force: bool = False,
) -> str:
    file = SecretFile(path, force=force, place=PLACE)
    return consider(users, tenant, file, rotate=rotate, admit=admit).carry_out(users)


def held(path: Path) -> Login:
    table = tomllib.loads(path.read_text())
    return Login(table["username"], table["password"])


# --- the file and the server ---


def test_a_file_that_is_missing_is_not_taken_for_one_that_is_right(
    users: TenantUsers, tenant: str, path: Path
) -> None:
    users.admit(tenant)
    with pytest.raises(SecretFileError, match=r"is missing, and tenant-.*--rotate"):
        apply(users, tenant, path)
    assert not path.exists()


@pytest.mark.parametrize("other", ["password", "user"])
def test_a_file_that_holds_another_password_is_not_taken_for_one_that_is_right(
    users: TenantUsers, tenant: str, path: Path, other: str
) -> None:
    apply(users, tenant, path)
    login = held(path)
    wrong = (
        Login(login.username, new_secret())
        if other == "password"
        else Login(f"{login.username}2", login.password)
    )
    path.write_text(f'username = "{wrong.username}"\npassword = "{wrong.password}"\n')
    with pytest.raises(SecretFileError, match="does not hold the password") as caught:
        apply(users, tenant, path)
    assert wrong.password not in str(caught.value)


def test_a_server_that_forgot_its_users_gets_the_same_password_back(
    users: TenantUsers, server: ServerProcess, tenant: str, path: Path
) -> None:
    """So applying again after a restart changes nothing for those who use the password."""
    apply(users, tenant, path)
    before = held(path)
    users.revoke(tenant)
    for force in (False, True):
        said = apply(users, tenant, path, force=force)
        assert "made" in said
        assert str(path) in said
        assert held(path) == before
        assert may_enter(server.endpoint, before)
        users.revoke(tenant)
    apply(users, tenant, path, rotate=True, force=True)
    assert held(path) != before
    assert may_enter(server.endpoint, held(path))


def test_the_login_of_another_user_is_not_used_for_a_new_one(
    users: TenantUsers, tenant: str, path: Path
) -> None:
    path.write_text(f'username = "tenant-b"\npassword = "{new_secret()}"\n')
    path.chmod(0o600)
    with pytest.raises(SecretFileError, match="there already"):
        apply(users, tenant, path)


def test_a_password_comes_from_one_place_alone(monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
    """Otherwise one of the two would be passed over in silence."""
    monkeypatch.setenv("KRYONIX_TENANT_PASSWORD", new_secret())
    for name in ("apply", "verify"):
        words = ["acl", name, "--tenant", "a", "--target", "redis://127.0.0.1:1"]
        with pytest.raises(UsageError, match="exclude each other"):
            cli.main([*words, "--secret-file", str(path)], standalone_mode=False)


# --- a user that is off ---


@pytest.mark.parametrize("change", ["nothing", "rules", "rotate"])
def test_a_user_that_was_switched_off_stays_off(
    users: TenantUsers, pools: Pools, server: ServerProcess, tenant: str, path: Path, *, change: str
) -> None:
    apply(users, tenant, path)
    users.suspend(tenant)
    if change == "rules":
        ask(pools[0], "ACL", "SETUSER", f"tenant-{tenant}", "+scan")
    rotate = change == "rotate"
    said = apply(users, tenant, path, rotate=rotate, force=rotate)
    assert "it is off and stays so" in said
    assert not may_enter(server.endpoint, held(path))
    state = users.describe(f"tenant-{tenant}")
    assert state is not None
    assert state.keeps(users.plan(tenant))
    assert "stays" not in apply(users, tenant, path, admit=True)
    assert may_enter(server.endpoint, held(path))
    assert "nothing was changed" in apply(users, tenant, path, admit=True)


def test_the_remedies_are_commands_that_can_be_run(
    users: TenantUsers, pools: Pools, tenant: str
) -> None:
    plan = users.plan(tenant)
    begin = f"`kryonix-cache acl apply --tenant {tenant} --secret-file FILE"
    (missing,) = differences(plan, None)
    assert missing.remedy == f"make it: {begin}`"
    users.admit(tenant)
    ask(pools[0], "ACL", "SETUSER", plan.user, "off", "nopass", "+scan")
    off, no_password, rules = differences(plan, users.describe(plan.user))
    assert off.remedy.endswith(f"{begin} --admit`")
    assert no_password.remedy.endswith(f"{begin} --rotate --force`")
    assert rules.remedy.endswith(f"{begin}`")


# --- what an interrupted command left ---


def leave(path: Path, place: Place, user: str) -> Path:
    """Leave what a command leaves that is ended before it hears of the server."""
    left = SecretFile(path, force=False, place=place)
    left.prepare(Login(user, new_secret()))
    # The end of a process gives its lock back.
    left._release()
    return left.pending


@pytest.mark.parametrize(
    ("now", "stays"),
    [
        (ELSEWHERE, True),
        (Place(ELSEWHERE.address, ""), True),
        (Place(PLACE.address, "started-again"), False),
        (Place("redis://localhost:6379", PLACE.run), False),
        (PLACE, False),
    ],
    ids=["another server", "unknown run", "started again", "another name", "the same"],
)
def test_a_pending_password_of_another_server_is_not_removed(
    path: Path, now: Place, *, stays: bool
) -> None:
    pending = leave(path, PLACE, "tenant-acme")
    again = SecretFile(path, force=False, place=now)
    if stays:
        for _ in range(2):
            with pytest.raises(SecretFileError, match=f"server at {PLACE.address} was inter"):
                again.recover("tenant-acme", ())
        assert pending.exists()
    else:
        assert again.recover("tenant-acme", ()) is False
        assert not pending.exists()


# --- replicas ---


def test_a_replica_is_given_its_users_only_if_that_is_asked_for(
    program: Path,
    users: TenantUsers,
    server: ServerProcess,
    tenant: str,
    path: Path,
    *,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Users are not replicated, and the same file gives every node the same password."""
    apply(users, tenant, path)
    directives = {"replicaof": f"{server.endpoint.host} {server.endpoint.port}"}
    with ServerProcess(program, ServerPlan(directives=directives)) as replica:
        words = ["--tenant", tenant, "--target", url_of(replica.endpoint)]
        file = ["--secret-file", str(path)]
        with pytest.raises(ReplicaError):
            cli.main(["acl", "apply", *words, *file], standalone_mode=False)
        for name, more in (("plan", []), ("apply", file), ("verify", file), ("revoke", [])):
            arguments = ["acl", name, *words, *more, "--allow-replica"]
            code = cli.main(arguments, standalone_mode=False)
            assert code == 0, capsys.readouterr()
            assert name != "apply" or may_enter(replica.endpoint, held(path))
    assert may_enter(server.endpoint, held(path))


# --- what may be overwritten and read ---


@pytest.mark.parametrize("kind", ["pipe", "link", "folder", "device"])
def test_force_overwrites_regular_files_only(
    users: TenantUsers, tenant: str, tmp_path: Path, path: Path, kind: str
) -> None:
    target = tmp_path / "target"
    target.write_text("precious")
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "link":
        path.symlink_to(target)
    else:
        path.symlink_to("/dev/stdout")
    before = path.lstat()
    with pytest.raises(SecretFileError, match="not a regular file"):
        apply(users, tenant, path, force=True)
    assert path.lstat().st_ino == before.st_ino
    assert target.read_text() == "precious"
    assert users.describe(f"tenant-{tenant}") is None


def test_a_pipe_to_which_nobody_writes_is_not_waited_for(path: Path) -> None:
    os.mkfifo(path, 0o600)
    with pytest.raises(SecretFileError, match="not a regular file"):
        read_login(path)


def test_a_missing_folder_is_found_before_anything_is_changed(
    users: TenantUsers, tenant: str, tmp_path: Path
) -> None:
    file = SecretFile(tmp_path / "missing" / "secret.toml", force=True, place=PLACE)
    with pytest.raises(SecretFileError, match="No such file or directory"):
        consider(users, tenant, file)
