# SPDX-License-Identifier: Apache-2.0
"""`kryonix-cache runs clean`: what it removes, whom it spares, and when it refuses."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from kryonix_cache.reference_impl.connection import connect
from kryonix_cache.reference_impl.contract import default_contract
from tests.seeding.test_seed_command import refused, run

if TYPE_CHECKING:
    from collections.abc import Iterator
    from subprocess import CompletedProcess

    import redis

    from kryonix_cache.fixtures.targets.server import ServerProcess

RUN = "20260101t000000-0a1b2c"
CONTRACT = default_contract()
FAMILY = next(family for family in CONTRACT.tenant_families if family.type == "hash")
DATABASE = FAMILY.databases[0]


@pytest.fixture
def leftover(server: ServerProcess) -> Iterator[redis.Redis]:
    """Leave one key of a run, and give a client of its database."""
    client = connect(server.endpoint, DATABASE)
    client.hset(left_key(), "a", "b")
    client.expire(left_key(), 600)
    yield client
    client.close()


def left_key() -> str:
    parts = dict.fromkeys(FAMILY.parts, "m") | {"tenant": f"ct-{RUN}-a"}
    return CONTRACT.key(FAMILY.name, **parts).decode()


def clean(server: ServerProcess, *arguments: str, user: str = "") -> CompletedProcess[str]:
    url = f"redis://{user}127.0.0.1:{server.port}"
    return run("runs", "clean", "--target", url, *arguments)


@pytest.fixture
def blind(leftover: redis.Redis) -> str:
    """Make an account that may not see who is connected."""
    leftover.execute_command(
        "ACL", "SETUSER", "ops", "on", ">ops-password", "~*", "&*", "+@all", "-client|list"
    )
    return "ops:ops-password@"


def test_what_a_killed_run_left_is_removed(server: ServerProcess, leftover: redis.Redis) -> None:
    result = clean(server, "--max-impact", "low")

    assert (result.returncode, leftover.exists(left_key())) == (0, 0)
    assert "Removed 1 keys and 0 ACL users of 1 runs." in result.stdout


def test_the_users_of_a_killed_run_are_removed_and_no_others(
    server: ServerProcess, leftover: redis.Redis
) -> None:
    """A run's users are called as its tenants are, or as the contract calls a tenant's user."""
    of_the_run = [f"ct-{RUN}-a", f"tenant-ct-{RUN}-a"]
    others = ["tenant-acme", f"tenant-ct-{RUN}", f"xtenant-ct-{RUN}-a", f"tenant-ct-{RUN}-a:b"]
    for name in (*of_the_run, *others):
        leftover.execute_command("ACL", "SETUSER", name, "on", "~x", "+get")

    looked = clean(server, "--dry-run")
    assert f"{RUN}: 1 keys, 2 ACL users, left behind" in looked.stdout
    assert clean(server).returncode == 0
    assert sorted(leftover.acl_users()) == sorted(["default", *others])


def test_a_connected_run_is_spared_unless_forced(
    server: ServerProcess, leftover: redis.Redis
) -> None:
    alive = connect(server.endpoint, 0, name=f"kryonix:{RUN}:target")
    alive.ping()

    assert "still connected, left alone" in clean(server).stdout
    assert leftover.exists(left_key())
    assert clean(server, "--force").returncode == 0
    assert not leftover.exists(left_key())
    alive.close()


def test_where_the_connected_runs_cannot_be_seen_nothing_is_removed(
    server: ServerProcess, leftover: redis.Redis, blind: str
) -> None:
    """Without CLIENT LIST a run in progress looks like a killed one."""
    for arguments in ((), ("--run", RUN), ("--dry-run",)):
        result = clean(server, *arguments, user=blind)

        assert refused(result, "allow +client|list, or give --force")
        assert leftover.exists(left_key())


def test_who_says_that_no_run_is_connected_may_clean_up(
    server: ServerProcess, leftover: redis.Redis, blind: str
) -> None:
    result = clean(server, "--run", RUN, "--force", user=blind)

    assert (result.returncode, leftover.exists(left_key())) == (0, 0)


def test_a_wrong_limit_of_the_impact_is_refused(server: ServerProcess) -> None:
    assert refused(clean(server, "--max-impact", "7"), "low, medium")
