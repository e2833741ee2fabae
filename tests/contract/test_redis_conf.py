# SPDX-License-Identifier: Apache-2.0
"""The generated configuration starts real servers unchanged, and they have every value of it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from kryonix_cache.fixtures.targets.server import ServerPlan, ServerProcess
from kryonix_cache.reference_impl.connection import connect
from kryonix_cache.reference_impl.contract import load_errata
from kryonix_cache.reference_impl.contract.redis_conf import (
    directives,
    known_before_7,
    redis_conf,
)
from kryonix_cache.reference_impl.errors import ContractError
from tests.contract.contracts import OWN, SHOP

if TYPE_CHECKING:
    from pathlib import Path

BYTES = {"kb": 1024, "mb": 1024**2, "gb": 1024**3}


def as_the_server_says_it(value: str) -> str:
    match = re.fullmatch(r"([0-9]+)([kmg]b)", value)
    return str(int(match[1]) * BYTES[match[2]]) if match else value


@pytest.mark.parametrize("names", ["modern", "legacy"])
@pytest.mark.parametrize("profile", OWN.profiles)
def test_a_server_starts_with_the_file_and_has_every_wanted_value(
    binary: Path, tmp_path: Path, profile: str, names: str
) -> None:
    file = tmp_path / "generated.conf"
    known = known_before_7(OWN) if names == "legacy" else None
    file.write_text(redis_conf(OWN, profile, known), encoding="utf-8")
    with ServerProcess(binary, ServerPlan(directives={"include": str(file)})) as server:
        client = connect(server.endpoint)
        try:
            found = {name: client.config_get(name)[name] for name in directives(OWN, profile)}
        finally:
            client.close()
    wanted = {n: as_the_server_says_it(v) for n, v in directives(OWN, profile).items()}
    assert found == wanted


def test_a_value_that_the_file_lacks_is_not_there_by_chance(redis_binary: Path) -> None:
    """The defaults of a server differ from the contract in most directives."""
    with ServerProcess(redis_binary) as server:
        client = connect(server.endpoint)
        try:
            found = {name: client.config_get(name)[name] for name in directives(OWN, "production")}
        finally:
            client.close()
    assert sum(found[name] != value for name, value in directives(OWN, "production").items()) > 10


def test_turning_the_append_only_file_on_by_a_restart_loses_the_data(
    binary: Path, tmp_path: Path
) -> None:
    """The warning at the head of the file is true."""
    file = tmp_path / "generated.conf"
    file.write_text("save 300 10\n", encoding="utf-8")
    with ServerProcess(binary, ServerPlan(directives={"include": str(file)})) as server:
        for size in (1, 0):
            client = connect(server.endpoint)
            try:
                if size:
                    client.set("a", "b")
                assert client.dbsize() == size
            finally:
                client.close()
            file.write_text(redis_conf(OWN, "ci"), encoding="utf-8")
            server.restart()
    assert "starts empty" in redis_conf(OWN, "ci")


def test_every_directive_stands_below_its_requirement_and_its_erratum() -> None:
    text = redis_conf(OWN, "production")
    for directive in OWN.profile("production").directives:
        block = next(b for b in text.split("\n\n") if f"\n{directive.name} " in b)
        assert block.startswith(f"# {directive.requirement}")
        if directive.erratum:
            assert f"({directive.erratum}: {load_errata()[directive.erratum].title})" in block


def test_older_servers_get_the_names_that_they_know() -> None:
    modern, legacy = redis_conf(OWN, "ci"), redis_conf(OWN, "ci", known_before_7(OWN))
    assert "\nhash-max-listpack-entries 1024" in modern
    assert "\nhash-max-ziplist-entries 1024" in legacy
    assert "listpack" not in legacy
    assert "\nenable-debug-command no" in modern
    assert "\nenable-debug-command" not in legacy


def test_a_directive_that_the_server_does_not_know_is_left_out_and_named() -> None:
    text = redis_conf(OWN, "ci", lambda name: name != "tcp-backlog")
    assert "\ntcp-backlog" not in text
    assert "# config.tcp-backlog: this server has no tcp-backlog" in text


def test_the_file_holds_no_secret_and_says_what_it_cannot_hold() -> None:
    for profile in OWN.profiles:
        text = redis_conf(OWN, profile)
        settings = [line for line in text.splitlines() if line and not line.startswith("#")]
        assert not [s for s in settings if s.split()[0] in {"requirepass", "user", "masterauth"}]
        for requirement in ("security.authentication", "security.default-user", "security.tls"):
            assert f"# {requirement}" in text


def test_another_contract_gets_its_own_file() -> None:
    assert directives(SHOP, "ci") == {"databases": "4"}
    assert "\ndatabases 4\n" in redis_conf(SHOP, SHOP.profile("ci"))


def test_an_unknown_profile_is_refused() -> None:
    with pytest.raises(ContractError, match="no profile 'prod'"):
        redis_conf(OWN, "prod")
