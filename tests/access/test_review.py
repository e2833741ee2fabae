# SPDX-License-Identifier: Apache-2.0
"""What a proof finds, and what it does not take for proven."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from kryonix_cache.conformance.access_review import review
from kryonix_cache.fixtures.declared_users import DeclaredUsers
from kryonix_cache.reference_impl.access import TenantUsers
from kryonix_cache.reference_impl.connection import Pools
from kryonix_cache.reference_impl.contract import load_contract
from kryonix_cache.reference_impl.errors import ContractError
from tests.access.accounts import ask
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
    "word",
    ["keys", "monitor", "flushall", "shutdown", "psync", "pubsub|channels", "client", "client|kill",
     "config|get", "acl|whoami", "eval", "migrate", "sort", "scan", "info"],
)  # fmt: skip
@pytest.mark.parametrize("place", ['session = ["ping"', '[access.commands.any]\nread = ["exists"'])
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
