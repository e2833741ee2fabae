# SPDX-License-Identifier: Apache-2.0
"""`kryonix-cache acl` changes the users of the contract's tenants and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from kryonix_cache.fixtures.declared_users import DeclaredUsers, DiscardedTrials
from kryonix_cache.fixtures.errors import PowerRefusedError
from kryonix_cache.reference_impl.access import DIALECTS, TenantUsers, plan_user
from kryonix_cache.reference_impl.access.users import setuser_words
from kryonix_cache.reference_impl.connection import Pools, lease
from kryonix_cache.reference_impl.contract import default_contract
from kryonix_cache.reference_impl.errors import ForbiddenCommandError
from tests.seeding.servers import new_server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kryonix_cache.fixtures.targets.server import ServerProcess

CONTRACT = default_contract()


@pytest.fixture(scope="module")
def server() -> Iterator[ServerProcess]:
    with new_server() as running:
        yield running


@pytest.fixture
def pools(server: ServerProcess) -> Iterator[Pools]:
    with Pools(server.endpoint, policy=DeclaredUsers(CONTRACT)) as clients:
        yield clients


@pytest.fixture
def trials(server: ServerProcess) -> Iterator[Pools]:
    with Pools(server.endpoint, policy=DiscardedTrials()) as clients:
        yield clients


def processed(server: ServerProcess) -> int:
    with Pools(server.endpoint) as clients:
        return int(clients[0].info("stats")["total_commands_processed"])


def test_managing_users_needs_nothing_more(pools: Pools) -> None:
    users = TenantUsers(CONTRACT, pools)
    users.admit("acme")
    users.rotate("acme")
    users.suspend("acme")
    users.rename("acme", "acme2")
    users.revoke("acme2")


@pytest.mark.parametrize(
    "command",
    [
        "ACL SETUSER default off",
        "ACL SETUSER admin on",
        "ACL SETUSER tenant- on",
        "ACL SETUSER tenant-a:b on",
        "acl setuser DEFAULT off",
        "ACL SETUSER",
        "ACL SETUSER tenant-acme on >password",
        "ACL SETUSER tenant-acme on <password",
        "ACL SETUSER tenant-acme nopass",
        "ACL SETUSER tenant-acme +@all",
        "ACL SETUSER tenant-acme ~*",
        "ACL SETUSER tenant-acme allkeys",
        "ACL SETUSER tenant-acme &*",
        "ACL SETUSER tenant-acme allchannels",
        "ACL SETUSER tenant-acme %RW~*",
        "ACL SETUSER tenant-acme +@dangerous",
        "ACL SETUSER tenant-acme +scan",
        "ACL SETUSER tenant-acme -get",
        "ACL SETUSER tenant-acme alldbs",
        "ACL SETUSER tenant-acme ~tenant:acme2:api:*:*",
        "ACL SETUSER tenant-acme #abcd",
        "CONFIG GET *",
        "CONFIG GET requirepass",
        "CONFIG GET aclfile requirepass",
        "CONFIG GET",
        "ACL DELUSER default",
        "ACL DELUSER tenant-acme admin",
        "ACL DELUSER",
        "CLIENT KILL USER default",
        "CLIENT KILL TYPE normal",
        "CLIENT KILL USER tenant-acme SKIPME no",
        "CLIENT KILL ID 1",
        "CLIENT KILL 127.0.0.1:1",
        "CLIENT PAUSE 1000",
        "ACL LOAD",
        "ACL LOG RESET",
        "CONFIG SET requirepass x",
        "CONFIG REWRITE",
        "GET x",
        "SET x y",
        "SCAN 0",
        "EVAL return(1) 0",
        "SHUTDOWN",
    ],
)
def test_everything_else_is_refused_before_it_is_sent(
    server: ServerProcess, pools: Pools, command: str
) -> None:
    pools[0].ping()
    before = processed(server)
    with pytest.raises(PowerRefusedError, match="power acl"):
        pools[0].execute_command(*command.split())
    assert processed(server) == before + 1


@pytest.mark.parametrize(
    "selector", ["(~* +@all)", "(~tenant:acme:api:*:* +@all)", "(%W~* +get)", "()", "(reset)",
                 "(~tenant:acme:api:*:* nopass)", "(on)"]
)  # fmt: skip
def test_a_selector_that_no_plan_holds_is_refused(pools: Pools, selector: str) -> None:
    with pytest.raises(PowerRefusedError, match="no plan for this tenant"):
        pools[0].execute_command("ACL", "SETUSER", "tenant-acme", selector)


@pytest.mark.parametrize("dialect", list(DIALECTS))
def test_every_word_of_a_plan_can_be_said(dialect: str) -> None:
    plan = plan_user(CONTRACT, "acme", DIALECTS[dialect])
    policy = DeclaredUsers(CONTRACT)
    words = [word.encode() for word in setuser_words(plan, ["ab" * 32])]
    policy.check([b"ACL", b"SETUSER", b"tenant-acme", *words], 0)
    with pytest.raises(PowerRefusedError):
        policy.check([b"ACL", b"SETUSER", b"tenant-acme2", *words], 0)


def test_what_the_whole_project_never_sends_is_not_sent_either(pools: Pools) -> None:
    with pytest.raises(ForbiddenCommandError):
        pools[0].execute_command("FLUSHALL")


@pytest.mark.parametrize(
    "commands",
    [
        ["SET x y"],
        ["GET x"],
        ["MULTI", "SET x y"],
        ["MULTI", "SET x y", "DISCARD"],
        ["SET x y", "EXEC", "DISCARD"],
        ["SET x y", "exec", "DISCARD"],
        ["SET x y", "DISCARD", "SET x y"],
        ["DISCARD", "SET x y", "DISCARD"],
        ["EXEC"],
        ["EVAL return(1) 0"],
    ],
    ids=" ".join,
)
def test_a_trial_has_no_effect_or_is_not_sent(trials: Pools, commands: list[str]) -> None:
    with lease(trials[0]) as connection, pytest.raises(PowerRefusedError):
        connection.exchange([tuple(each.encode().split()) for each in commands])


def test_a_trial_is_queued_and_discarded(trials: Pools, server: ServerProcess) -> None:
    with lease(trials[0]) as connection:
        opened = connection.exchange([(b"EXISTS", b"x"), (b"WATCH", b"x"), (b"MULTI",)])
        assert opened == [0, b"OK", b"OK"]
        tried = connection.exchange([(b"SET", b"x", b"y"), (b"DISCARD",)])
        assert tried == [b"QUEUED", b"OK"]
    with Pools(server.endpoint) as clients:
        assert clients[0].exists("x") == 0
