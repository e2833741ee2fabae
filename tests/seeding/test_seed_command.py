# SPDX-License-Identifier: Apache-2.0
"""`kryonix-cache seed` and `unseed` as a user runs them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from kryonix_cache.fixtures.targets.server import ServerProcess, free_port
from kryonix_cache.reference_impl.connection import Pools
from tests.conformance.runs import command
from tests.seeding.observed import DATABASES, observe
from tests.seeding.servers import new_server, starter

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path


def run(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    return command(*map(str, arguments), **environment)


def refused(result: subprocess.CompletedProcess[str], sentence: str, code: int = 4) -> bool:
    assert sentence in " ".join(result.stderr.split()), result
    assert "Traceback" not in result.stderr
    assert result.returncode == code, result
    return True


@pytest.fixture
def url(redis_server: ServerProcess) -> str:
    return f"redis://127.0.0.1:{redis_server.port}"


def test_the_sample_is_seeded_kept_and_removed(url: str, redis_pools: Pools) -> None:
    address = url.removeprefix("redis://")
    first = run("seed", "--target", url)
    assert (first.returncode, first.stderr) == (0, "")
    assert f"{address}: wrote 58, kept 0." in first.stdout

    assert "wrote 0, kept 58." in run("seed", "--target", url).stdout
    assert len(observe(redis_pools)) == 58

    removed = run("unseed", "--target", url)
    assert removed.returncode == 0
    assert "Removed 58 of 58 keys" in removed.stdout
    assert observe(redis_pools) == {}


def test_synthetic_tenants_are_seeded_and_removed(url: str, redis_pools: Pools) -> None:
    options = ("--target", url, "--tenants", 7, "--random-seed", 5)
    assert run("seed", *options).returncode == 0
    assert redis_pools[5].exists("sdk:tenant:synthetic-5-000007")

    assert run("unseed", *options).returncode == 0
    assert observe(redis_pools) == {}


@pytest.mark.parametrize("command", ["seed", "unseed"])
@pytest.mark.parametrize("options", [(), ("--tenants", 3)])
def test_a_dry_run_lists_families_and_changes_nothing(
    url: str, redis_pools: Pools, command: str, options: tuple[object, ...]
) -> None:
    run("seed", "--target", url)
    before = observe(redis_pools)
    result = run(command, "--target", url, "--dry-run", *options)

    assert result.returncode == 0
    assert "sdk-registration" in result.stdout
    assert observe(redis_pools).keys() == before.keys()


def test_a_changed_key_makes_unseed_partial(url: str, redis_pools: Pools) -> None:
    run("seed", "--target", url)
    redis_pools[3].hset("metrics:system", "system_health", "down")
    result = run("unseed", "--target", url)

    assert result.returncode == 10
    assert "1 were changed since and kept" in result.stdout
    assert "kept: db 3 'metrics:system'" in result.stdout


def test_a_foreign_key_refuses_the_whole(url: str, redis_pools: Pools) -> None:
    redis_pools[15].set("system:database_info:15", "mine")
    assert refused(run("seed", "--target", url), "db 15 'system:database_info:15'")
    assert len(observe(redis_pools)) == 1


def test_the_password_may_stand_in_the_environment_and_is_never_shown(tmp_path: Path) -> None:
    with ServerProcess(starter("redis").binary) as server:
        assert server.account
        url = f"redis://{server.account.username}@127.0.0.1:{server.port}"
        secret = server.account.password
        assert refused(run("seed", "--target", url), "wants a password")
        wrong = run("seed", "--target", url, KRYONIX_TARGET_PASSWORD="shibboleth")
        assert refused(wrong, "does not accept")
        assert "shibboleth" not in wrong.stderr + wrong.stdout

        right = run("seed", KRYONIX_TARGET=url, KRYONIX_TARGET_PASSWORD=secret)
        assert right.returncode == 0
        assert secret not in right.stderr + right.stdout

        file = tmp_path / "target.toml"
        file.write_text(f'url = "{url}"\npassword = "{secret}"\n')
        file.chmod(0o600)
        assert "kept 58" in run("seed", "--target-file", file).stdout


@pytest.mark.parametrize("target", ["embedded", "local", "docker", "auto"])
def test_a_server_that_would_vanish_is_no_target(target: str) -> None:
    assert refused(run("seed", "--target", target), "Seeding needs a server that stays")


def test_without_a_target_the_command_says_how_to_give_one() -> None:
    assert refused(run("unseed"), "give --target redis://host:6379")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--tenants", "0"), "is not in the range 1<=x<=1000000"),
        (("--tenants", "-5"), "is not in the range"),
        (("--tenants", "1000001"), "is not in the range"),
        (("--tenants", "many"), "not a valid integer"),
        (("--tenants", "1", "--random-seed", "-1"), "is not in the range"),
        (("--tenants", "1", "--random-seed", str(2**63)), "is not in the range"),
        (("--random-seed", "1"), "--random-seed is for --tenants"),
        (("--at", "yesterday"), "no time with an offset"),
        (("--at", "2025-01-27T10:00:00"), "no time with an offset"),
        (("--at", "2025-13-27T10:00:00Z"), "no time with an offset"),
        (("--contract", "absent.toml"), "absent.toml"),
        (("--target-file", "absent.toml"), "absent.toml"),
        (("surplus",), "unexpected extra argument"),
    ],
)
def test_a_wrong_option_is_one_sentence_and_exit_code_4(
    options: tuple[str, ...], sentence: str
) -> None:
    assert refused(run("seed", "--target", f"redis://127.0.0.1:{free_port()}", *options), sentence)


def test_a_server_that_does_not_answer_is_one_sentence() -> None:
    assert refused(run("seed", "--target", f"redis://127.0.0.1:{free_port()}"), "No server answers")


def test_a_server_with_too_few_databases_is_refused_before_the_first_key() -> None:
    with new_server(databases="4") as server, Pools(server.endpoint) as pools:
        result = run("seed", "--target", f"redis://127.0.0.1:{server.port}")
        assert refused(result, "Database 15")
        assert [pools[database].dbsize() for database in range(4)] == [0] * 4


def test_a_replica_is_refused(redis_server: ServerProcess) -> None:
    with new_server(replicaof=f"127.0.0.1 {redis_server.port}") as replica:
        assert refused(run("seed", "--target", f"redis://127.0.0.1:{replica.port}"), "is a replica")


@pytest.mark.parametrize(
    "at", ["2025-03-01T12:30:00Z", "2025-03-01T09:30:00-03:00", "1970-01-01T00:00:00+00:00"]
)
def test_the_moment_is_stored_in_utc(url: str, redis_pools: Pools, at: str) -> None:
    assert run("seed", "--target", url, "--at", at).returncode == 0
    stored = redis_pools[12].hget("system:database_info:12", "created_at")
    assert stored in {b"2025-03-01T12:30:00+00:00", b"1970-01-01T00:00:00+00:00"}


def test_nothing_is_sent_that_the_project_forbids(url: str, redis_pools: Pools) -> None:
    """The server's own count of commands is the witness."""
    for options in ((), ("--tenants", "5")):
        for name in ("seed", "seed", "unseed"):
            assert run(name, "--target", url, *options).returncode == 0
    sent = redis_pools[0].info("commandstats").keys()

    assert "cmdstat_exec" in sent
    assert not {f"cmdstat_{name}" for name in ("flushall", "flushdb", "keys", "swapdb")} & sent
    assert all(redis_pools[database].dbsize() == 0 for database in DATABASES)


def test_a_terminal_sees_a_progress_bar_and_a_pipe_does_not(url: str) -> None:
    """TTY_COMPATIBLE makes rich take the pipe for a terminal."""
    options = ("seed", "--target", url, "--tenants", "200")
    assert "writing" in run(*options, TTY_COMPATIBLE="1").stderr
    assert run(*options, "--quiet", TTY_COMPATIBLE="1").stderr == ""
    assert run(*options).stderr == ""
