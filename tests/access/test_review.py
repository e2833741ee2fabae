# SPDX-License-Identifier: Apache-2.0
"""What a proof finds, and what it does not take for proven."""

from __future__ import annotations

import re
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from kryonix_cache.conformance.access_review import review
from kryonix_cache.conformance.cli.secret_files import SecretFile
from kryonix_cache.conformance.cli.user_changes import consider
from kryonix_cache.fixtures.declared_users import DeclaredUsers
from kryonix_cache.reference_impl.access import TenantUsers
from kryonix_cache.reference_impl.access.errors import (
    AccessInexpressibleError,
    AccessRefusedError,
)
from kryonix_cache.reference_impl.connection import Pools
from kryonix_cache.reference_impl.contract import load_contract
from kryonix_cache.reference_impl.contract.withheld import withheld
from kryonix_cache.reference_impl.errors import ContractError
from tests.access.accounts import PLACE, ask
from tests.access.contracts import OWN, RULE
from tests.contract.contracts import OWN_TEXT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from kryonix_cache.conformance.access_review import Review
    from kryonix_cache.fixtures.targets.server import ServerProcess
    from kryonix_cache.reference_impl.access import Login
    from kryonix_cache.reference_impl.contract import Contract

SECRET = "0123456789abcdef" * 2


@contextmanager
def managing(
    server: ServerProcess, contract: Contract = OWN, **account: str
) -> Iterator[tuple[TenantUsers, Pools]]:
    """Give what a command of an account has in hand."""
    endpoint = replace(server.endpoint, **account)
    with Pools(endpoint, policy=DeclaredUsers(contract)) as clients:
        yield TenantUsers(contract, clients), clients


def reviewed(
    server: ServerProcess,
    tenant: str,
    login: Login | None,
    contract: Contract = OWN,
    **account: str,
) -> Review:
    with managing(server, contract, **account) as (users, clients):
        return review(contract, users, clients, tenant, login)


def has_dry_runs(pools: Pools) -> bool:
    return "unknown" not in str(ask(pools[0], "ACL", "DRYRUN", "default", "PING")).lower()


@pytest.mark.parametrize(
    ("word", "place"),
    [
        ("keys", 'session = ["ping"'),
        ("pubsub|channels", 'channel = ["publish"'),
        ("flushall", '[access.commands.any]\nread = ["exists"'),
    ],
)
def test_a_contract_cannot_give_a_tenant_what_reaches_everybody(
    word: str, place: str, tmp_path: Path
) -> None:
    assert place in OWN_TEXT
    file = tmp_path / "contract.toml"
    file.write_text(OWN_TEXT.replace(place, f'{place}, "{word}"'))
    line = OWN_TEXT[: OWN_TEXT.index(place)].count("\n") + 1 + place.count("\n")
    with pytest.raises(ContractError, match="no tenant may have") as caught:
        load_contract(file)
    assert f"line {line}, " in str(caught.value)
    assert word in str(caught.value)


def test_what_is_withheld_is_so_in_part_and_as_a_whole() -> None:
    refused = ["monitor", "shutdown", "psync", "client", "client|kill", "config|get", "acl|whoami",
               "pubsub|numsub", "eval", "migrate", "sort", "scan", "info", "memory"]  # fmt: skip
    assert list(withheld(["get", *refused, "client|id", "object|encoding"])) == refused


@pytest.mark.parametrize("word", ["keys", "monitor", "psync", "pubsub|channels", "lolwut"])
def test_a_command_without_a_key_that_the_contract_does_not_name_is_asked_for(
    server: ServerProcess, pools: Pools, tenant: str, word: str
) -> None:
    """The user is as another contract plans it, so only the proof can find the command."""
    wider = replace(OWN, access=replace(RULE, session=(*RULE.session, word)))
    with Pools(server.endpoint) as clients:
        login = TenantUsers(wider, clients).admit(tenant)
    found = reviewed(server, tenant, login)
    call = word.upper().replace("|", " ")
    wrong = [each for each in found.deviations if each.found == "allowed by ACL DRYRUN"]
    assert [each.what.startswith(call) for each in wrong] == [True] * has_dry_runs(pools)
    assert found.verdict == "deviating"


def test_a_user_as_planned_is_proven_in_process(server: ServerProcess, tenant: str) -> None:
    with Pools(server.endpoint) as clients:
        login = TenantUsers(OWN, clients).admit(tenant)
    found = reviewed(server, tenant, login)
    assert (found.verdict, found.deviations, found.gaps) == ("proven", (), ())


def test_an_account_that_may_not_ask_for_dry_runs_proves_a_part(
    server: ServerProcess, pools: Pools, users: TenantUsers, tenant: str
) -> None:
    login = users.admit(tenant)
    if not has_dry_runs(pools):
        found = reviewed(server, tenant, login)
        assert (found.verdict, found.asked) == ("proven", 0)
        return
    words = ("reset", "on", f">{SECRET}", "~*", "&*", "+@all", "-acl|dryrun")
    assert ask(pools[0], "ACL", "SETUSER", "poor", *words) == b"OK"
    found = reviewed(server, tenant, login, username="poor", password=SECRET)
    assert (found.verdict, found.asked) == ("partly proven", 0)
    assert any("ACL DRYRUN is refused to this account" in gap for gap in found.gaps)


def test_a_channel_of_another_tenant_is_asked_for_and_tried(
    server: ServerProcess, pools: Pools, users: TenantUsers, tenant: str
) -> None:
    login = users.admit(tenant)
    assert ask(pools[0], "ACL", "SETUSER", login.username, "allchannels") == b"OK"
    wrong = [each for each in reviewed(server, tenant, login).deviations if "allowed" in each.found]
    assert wrong
    assert {each.what.split()[0] for each in wrong} <= {"PUBLISH", "SUBSCRIBE", "PSUBSCRIBE", "16"}
    assert any("own connection" in each.found for each in wrong)
    assert any("DRYRUN" in each.found for each in wrong) == has_dry_runs(pools)


def test_an_own_channel_that_is_closed_is_found(
    server: ServerProcess, pools: Pools, users: TenantUsers, tenant: str
) -> None:
    login = users.admit(tenant)
    assert ask(pools[0], "ACL", "SETUSER", login.username, "resetchannels") == b"OK"
    found = reviewed(server, tenant, login).deviations
    assert any(
        each.what.startswith("PUBLISH") and each.found.startswith("refused") for each in found
    )


def test_an_own_key_in_the_database_of_another_family_is_asked_for(
    server: ServerProcess, pools: Pools, users: TenantUsers, tenant: str
) -> None:
    login = users.admit(tenant)
    state = users.describe(login.username)
    assert state is not None
    if state.root.databases is None:
        assert "no rules by database" in " ".join(users.plan(tenant).limits)
        return
    key = OWN.family("api-cache").pattern.replace("{tenant}", tenant)
    words = (f"(~{re.sub('{[a-z]+}', '*', key)} alldbs -@all +get +exists +set +del)",)
    assert ask(pools[0], "ACL", "SETUSER", login.username, *words) == b"OK"
    wrong = [each for each in reviewed(server, tenant, login).deviations if "allowed" in each.found]
    assert any("wrong database" in each.what for each in wrong)


def test_an_account_that_may_not_ask_about_commands_is_told_so(
    server: ServerProcess, pools: Pools, users: TenantUsers, tenant: str, tmp_path: Path
) -> None:
    """A plan that guesses what the server knows would call a correct user deviating."""
    login = users.admit(tenant)
    words = ("reset", "on", f">{SECRET}", "~*", "&*", "+@all", "-command")
    assert ask(pools[0], "ACL", "SETUSER", "poor", *words) == b"OK"
    with managing(server, username="poor", password=SECRET) as (poor, clients):
        with pytest.raises(AccessRefusedError, match="refuses COMMAND INFO to this account"):
            review(OWN, poor, clients, tenant, login)
        with pytest.raises(AccessRefusedError, match="refuses COMMAND INFO to this account"):
            consider(poor, tenant, SecretFile(tmp_path / "x", force=False, place=PLACE))


def test_an_account_that_may_ask_about_some_commands_only_proves_a_part(
    server: ServerProcess, pools: Pools, users: TenantUsers, tenant: str
) -> None:
    login = users.admit(tenant)
    words = ("reset", "on", f">{SECRET}", "~*", "&*", "+@all", "-command", "+command|info")
    assert ask(pools[0], "ACL", "SETUSER", "poor", *words) == b"OK"
    found = reviewed(server, tenant, login, username="poor", password=SECRET)
    assert found.verdict == "partly proven"
    assert any("COMMAND is refused to this account" in gap for gap in found.gaps)


@pytest.mark.parametrize(
    ("rules", "spoils"),
    [("-@all", False), ("-@all ~*", False), ("-@all +get", True), ("+@all -flushall", True)],
)
def test_a_default_user_that_may_do_nothing_spoils_no_proof(
    server: ServerProcess,
    pools: Pools,
    users: TenantUsers,
    tenant: str,
    rules: str,
    *,
    spoils: bool,
) -> None:
    login = users.admit(tenant)
    words = ("reset", "on", "nopass", *rules.split())
    assert ask(pools[0], "ACL", "SETUSER", "default", *words) == b"OK"
    try:
        found = reviewed(server, tenant, login)
    finally:
        assert ask(pools[0], "ACL", "SETUSER", "default", "reset", "off") == b"OK"
    assert any("RESET away" in each.remedy for each in found.deviations) is spoils


def test_no_method_touches_the_default_user(pools: Pools) -> None:
    bare = replace(OWN, access=replace(RULE, user="{tenant}"))
    users = TenantUsers(bare, pools)
    before = users.describe("default")
    for change in (users.admit, users.rotate, users.suspend, users.revoke, users.user_of):
        with pytest.raises(AccessInexpressibleError, match="'default'"):
            change("default")
    assert users.describe("default") == before
