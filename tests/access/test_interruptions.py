# SPDX-License-Identifier: Apache-2.0
"""Whenever `acl apply` is ended, no password is lost, and applying again puts things right."""

from __future__ import annotations

import signal
import subprocess
import threading
import tomllib
from typing import TYPE_CHECKING

import pytest

from kryonix_cache.conformance.cli.secret_files import SecretFile
from kryonix_cache.conformance.errors import SecretFileError
from kryonix_cache.fixtures.proxy.process import ProxyProcess
from kryonix_cache.fixtures.targets.server import ServerProcess
from kryonix_cache.reference_impl.access import Login, TenantUsers
from kryonix_cache.reference_impl.access.users import digest_of, new_secret
from kryonix_cache.reference_impl.connection import Pools
from kryonix_cache.reference_impl.contract import default_contract
from tests.access.accounts import PLACE, may_enter
from tests.conformance.runs import command, command_line, surroundings
from tests.conformance.servers import url_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from kryonix_cache.fixtures.proxy.process import Counter
    from kryonix_cache.fixtures.proxy.relay import Direction
    from kryonix_cache.reference_impl.endpoint import Endpoint

TENANT = "acme"
USER = f"tenant-{TENANT}"
MOMENTS = 5
"""At so many points of the conversation with the server the command is ended."""


@pytest.fixture(scope="module")
def server(redis_binary: Path) -> Iterator[ServerProcess]:
    with ServerProcess(redis_binary) as running:
        yield running


@pytest.fixture(autouse=True)
def users(server: ServerProcess) -> Iterator[TenantUsers]:
    with Pools(server.endpoint) as clients:
        managed = TenantUsers(default_contract(), clients)
        yield managed
        managed.revoke(TENANT)


def arguments(endpoint: Endpoint, file: Path) -> list[str]:
    return ["acl", "apply", "--tenant", TENANT, "--target", url_of(endpoint),
            "--secret-file", str(file)]  # fmt: skip


def start(endpoint: Endpoint, file: Path, *more: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command_line([*arguments(endpoint, file), *more]),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=surroundings({}),
        start_new_session=True,
    )


def write(file: Path, login: Login) -> None:
    made = SecretFile(file, force=False, place=PLACE)
    made.prepare(login)
    made.keep()


def passwords_on_disk(folder: Path) -> dict[str, str]:
    """Return the password in each file of the folder; an unfinished file holds none."""
    found = {}
    for path in folder.iterdir():
        try:
            found[path.name] = str(tomllib.loads(path.read_text())["password"])
        except (tomllib.TOMLDecodeError, KeyError):
            continue
    return found


def bytes_of_an_apply(server: ServerProcess, file: Path) -> dict[str, int]:
    """Count what goes to and fro while a user is made, without interruption."""
    with ProxyProcess(server.endpoint) as proxy:
        assert command(*arguments(proxy.endpoint, file)).returncode == 0
        seen = proxy.counters()
    return {"requests": seen.requests, "replies": seen.replies}


@pytest.mark.parametrize(
    ("sign", "direction", "rotating"),
    [
        (signal.SIGKILL, "requests", False),
        (signal.SIGKILL, "requests", True),
        (signal.SIGKILL, "replies", False),
        (signal.SIGKILL, "replies", True),
        (signal.SIGINT, "requests", False),
        (signal.SIGINT, "replies", True),
    ],
)
def test_an_end_at_any_moment_loses_no_password(
    server: ServerProcess,
    tmp_path: Path,
    sign: signal.Signals,
    direction: Direction,
    *,
    rotating: bool,
) -> None:
    """What the server has is always in one of two files, and the next apply finishes the work."""
    whole = bytes_of_an_apply(server, tmp_path / "measured")[direction]
    with Pools(server.endpoint) as clients:
        users = TenantUsers(default_contract(), clients)
        for moment in range(MOMENTS):
            folder = tmp_path / str(moment)
            folder.mkdir()
            file = folder / "secret.toml"
            users.revoke(TENANT)
            if rotating:
                write(file, users.admit(TENANT))
            with ProxyProcess(server.endpoint) as proxy:
                proxy.freeze(direction, after=whole * (moment + 1) // (MOMENTS + 1))
                more = ("--rotate", "--force") if rotating else ()
                process = start(proxy.endpoint, file, *more)
                passed: Counter = "requests_passed" if direction == "requests" else "replies_passed"
                proxy.wait_for(passed, whole * (moment + 1) // (MOMENTS + 1), seconds=30)
                process.send_signal(sign)
                _, errors = process.communicate(timeout=30)
                proxy.cut()
            # Python drops an interruption that comes while it clears an object away.
            assert "Traceback" not in errors or "Exception ignored in" in errors
            assert sign is signal.SIGKILL or process.returncode in {2, 12}

            state, on_disk = users.describe(USER), passwords_on_disk(folder)
            if state is not None:
                assert set(state.digests) <= {digest_of(each) for each in on_disk.values()}
            assert all(path.stat().st_mode & 0o077 == 0 for path in folder.iterdir())

            again = command(*arguments(server.endpoint, file))
            assert again.returncode == 0, again
            assert [path.name for path in folder.iterdir()] == ["secret.toml"]
            login = Login(USER, passwords_on_disk(folder)["secret.toml"])
            assert may_enter(server.endpoint, login)


def test_a_server_that_is_lost_midway_is_said_in_one_sentence(
    server: ServerProcess, tmp_path: Path
) -> None:
    whole = bytes_of_an_apply(server, tmp_path / "measured")["replies"]
    with ProxyProcess(server.endpoint) as proxy:
        proxy.cut_after(whole // 2)
        done = command(*arguments(proxy.endpoint, tmp_path / "secret.toml"))
    assert done.returncode in {4, 12}, done
    assert "Traceback" not in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_file_that_another_command_is_writing_is_left_to_it(tmp_path: Path) -> None:
    """Otherwise the second would remove the password that the first is about to send."""
    first, second = (
        SecretFile(tmp_path / "secret.toml", force=False, place=PLACE) for _ in range(2)
    )
    login = Login(USER, new_secret())
    first.prepare(login)
    with pytest.raises(SecretFileError, match="another command is writing it"):
        second.recover(USER, ())
    first.keep()
    assert passwords_on_disk(tmp_path) == {"secret.toml": login.password}
    assert second.recover(USER, ()) is False
    with pytest.raises(SecretFileError, match="there already"):
        second.prepare(login)


def test_commands_at_the_same_time_leave_one_user_with_the_password_of_the_file(
    server: ServerProcess, tmp_path: Path
) -> None:
    file = tmp_path / "secret.toml"
    done: list[subprocess.CompletedProcess[str]] = []

    def apply() -> None:
        done.append(command(*arguments(server.endpoint, file)))

    threads = [threading.Thread(target=apply) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 0 in {each.returncode for each in done}
    assert {each.returncode for each in done} <= {0, 4}
    assert not any("Traceback" in each.stderr for each in done)
    assert command(*arguments(server.endpoint, file)).returncode == 0
    assert list(passwords_on_disk(tmp_path)) == ["secret.toml"]
    login = Login(USER, passwords_on_disk(tmp_path)["secret.toml"])
    assert may_enter(server.endpoint, login)


@pytest.mark.parametrize("existing", ["link", "folder"])
def test_what_stands_in_the_way_is_not_followed(tmp_path: Path, existing: str) -> None:
    elsewhere = tmp_path / "elsewhere"
    pending = tmp_path / "secret.toml.pending"
    if existing == "link":
        pending.symlink_to(elsewhere)
    else:
        pending.mkdir()
    file = SecretFile(tmp_path / "secret.toml", force=True, place=PLACE)
    with pytest.raises(SecretFileError):
        file.recover(USER, ())
    with pytest.raises(SecretFileError):
        file.prepare(Login(USER, new_secret()))
    assert not elsewhere.exists()
