# SPDX-License-Identifier: Apache-2.0
"""The judges of directives, health and security, on servers that break one rule each."""

from __future__ import annotations

import dataclasses
import socket
from contextlib import contextmanager, suppress
from threading import Thread
from typing import TYPE_CHECKING

import pytest

from kryonix_cache.conformance.errors import ConfigFileError
from kryonix_cache.conformance.judging.attempts import (
    PROBES,
    Attempt,
    attempt_without_credentials,
)
from kryonix_cache.conformance.judging.configuration import BUILT_IN
from kryonix_cache.conformance.judging.judges import judge_server, server_judges
from kryonix_cache.conformance.judging.server_facts import DeploymentFacts, collect
from kryonix_cache.conformance.registry import load_registry
from kryonix_cache.fixtures.targets.configuration import ServerPlan
from kryonix_cache.fixtures.targets.server import ServerProcess
from kryonix_cache.reference_impl.connection import Endpoint, connect
from kryonix_cache.reference_impl.contract import default_contract
from kryonix_cache.reports.lines import Outcome
from tests.connection.certificates import make_certificate
from tests.seeding.servers import starter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from kryonix_cache.conformance.judging.judgement import Judgement

CONTRACT = default_contract()
CONFIG = sorted(name for name in server_judges(CONTRACT) if name.startswith("config."))
DEVIATING = {
    "databases": "8",
    "maxmemory": "0",
    "maxmemory-policy": "noeviction",
    "maxmemory-samples": "5",
    "timeout": "301",
    "tcp-keepalive": "300",
    "tcp-backlog": "511",
    "hash-max-listpack-entries": "512",
    "list-max-listpack-size": "-1",
    "set-max-intset-entries": "512",
    "zset-max-listpack-entries": "128",
    "save": "300 10",
    "appendonly": "no",
}
"""One wrong value for each requirement that a directive stands for."""


def facts_of(endpoint: Endpoint, config_file: Path | None = None) -> DeploymentFacts:
    client = connect(endpoint)
    try:
        return collect(client, endpoint, config_file=config_file)
    finally:
        client.close()


def judge(requirement: str, facts: DeploymentFacts, profile: str = "staging") -> Judgement:
    return judge_server(requirement, facts, CONTRACT, CONTRACT.profile(profile))


def plan_for(profile: str, *, open_access: bool = False) -> ServerPlan:
    directives = {
        name: each.value for each in CONTRACT.profile(profile).directives for name in each.names
    }
    return ServerPlan(optional=directives, open_access=open_access)


@pytest.fixture(scope="module", params=["redis", "valkey"])
def good(request: pytest.FixtureRequest) -> Iterator[ServerProcess]:
    """Start a server that is configured as the profile staging wants it."""
    with ServerProcess(starter(request.param).binary, plan_for("staging")) as server:
        yield server


@pytest.fixture(scope="module", params=["redis", "valkey"])
def fresh(request: pytest.FixtureRequest) -> Iterator[ServerProcess]:
    """Start a server with its own defaults, open to everybody."""
    with ServerProcess(starter(request.param).binary, ServerPlan(open_access=True)) as server:
        yield server


@pytest.fixture(scope="module")
def good_facts(good: ServerProcess) -> DeploymentFacts:
    return facts_of(good.endpoint, good.folder / "redis.conf")


def test_a_server_as_the_profile_wants_it_passes_with_its_witnesses(
    good_facts: DeploymentFacts,
) -> None:
    registry = load_registry()
    # Neither of the suite's servers has a certificate here, and that is found.
    passing = [name for name in server_judges(CONTRACT) if name != "security.tls"]

    for requirement in passing:
        judgement = judge(requirement, good_facts)
        assert judgement.outcome is Outcome.PASS, judgement
        for name, least in registry[requirement].witness.items():
            assert {**judgement.observations, "commands": good_facts.commands}[name] >= least


@pytest.mark.parametrize("name", DEVIATING)
def test_a_directive_that_differs_is_named_with_both_values(
    good_facts: DeploymentFacts, name: str
) -> None:
    directive = next(d for d in CONTRACT.profile("staging").directives if d.name == name)
    wrong = dataclasses.replace(
        good_facts, directives={**good_facts.directives, name: DEVIATING[name]}
    )

    judgement = judge(directive.requirement, wrong)

    (finding,) = judgement.findings
    assert finding.where == f"directive {name}"
    assert finding.found.startswith(DEVIATING[name])
    assert finding.erratum == directive.erratum
    assert ("restart" in str(finding.remedy)) is directive.restart_only
    for requirement in CONFIG:
        if requirement not in {directive.requirement, "config.persisted"}:
            assert judge(requirement, wrong).outcome is Outcome.PASS, requirement


def test_default_settings_differ_from_production_in_exactly_these_directives(
    fresh: ServerProcess,
) -> None:
    """What a fresh server lacks is what the contract asks and the server does not do anyway."""
    facts = facts_of(fresh.endpoint)
    # Durations and limits that the server's own defaults already keep are no findings.
    kept = {"databases", "list-max-listpack-size", "appendfsync", "auto-aof-rewrite-percentage"}

    named = {
        finding.where.removeprefix("directive ")
        for requirement in CONFIG
        for finding in judge(requirement, facts, "production").findings
    }

    assert named == {each.name for each in CONTRACT.profile("production").directives} - kept


def test_the_built_in_values_are_those_of_the_server(fresh: ServerProcess) -> None:
    facts = facts_of(fresh.endpoint)

    for name, value in BUILT_IN.items():
        found = facts.directives[name]
        assert found in {value, str(64 << 20) if value == "64mb" else value}, name


@pytest.mark.parametrize("profile", ["production", "staging"])
def test_a_limit_beyond_the_hosts_memory_fails(good_facts: DeploymentFacts, profile: str) -> None:
    small = dataclasses.replace(
        good_facts,
        directives={**good_facts.directives, "maxmemory": str(16 << 30)},
        info={**good_facts.info, "total_system_memory": str(4 << 30)},
    )

    (finding,) = judge("config.maxmemory", small, profile).findings

    assert "on a host with 4 GiB" in finding.found
    assert finding.erratum == "E04"


def test_an_unknown_host_memory_is_inconclusive(good_facts: DeploymentFacts) -> None:
    info = {k: v for k, v in good_facts.info.items() if k != "total_system_memory"}

    judgement = judge("config.maxmemory", dataclasses.replace(good_facts, info=info))

    assert judgement.outcome is Outcome.INCONCLUSIVE


def test_the_hardened_profile_wants_another_eviction_policy(good_facts: DeploymentFacts) -> None:
    (finding,) = judge("config.eviction-policy", good_facts, "hardened").findings

    assert (finding.found, finding.wanted) == ("allkeys-lru", "volatile-lru")


def test_old_names_of_directives_are_known(good_facts: DeploymentFacts) -> None:
    """Redis 6.2 knows the ziplist names only (E03)."""
    renamed = {
        name.replace("listpack", "ziplist"): value for name, value in good_facts.directives.items()
    }
    old = dataclasses.replace(good_facts, directives=renamed)

    assert judge("config.hash-encoding", old).outcome is Outcome.PASS
    old.directives["hash-max-ziplist-value"] = "64"  # type: ignore[index]
    (finding,) = judge("config.hash-encoding", old).findings
    assert finding.where == "directive hash-max-ziplist-value"
    assert "CONFIG SET hash-max-ziplist-value 128" in str(finding.remedy)


def test_the_order_of_snapshots_does_not_matter(good_facts: DeploymentFacts) -> None:
    turned = {**good_facts.directives, "save": "15 10000 60 1000 300 10"}

    judgement = judge("config.snapshots", dataclasses.replace(good_facts, directives=turned))

    assert judgement.outcome is Outcome.PASS


def test_a_refused_config_get_leaves_every_directive_inconclusive(
    good_facts: DeploymentFacts,
) -> None:
    blind = dataclasses.replace(
        good_facts, directives={}, refusals={"CONFIG GET": "NOPERM this user has no permissions"}
    )

    for requirement in [*CONFIG, "security.protected-mode", "security.admin-commands"]:
        judgement = judge(requirement, blind)
        assert judgement.outcome is Outcome.INCONCLUSIVE, requirement
        assert "NOPERM" in judgement.reason


def test_a_server_without_a_configuration_file_loses_its_configuration(
    good_facts: DeploymentFacts,
) -> None:
    bare = dataclasses.replace(good_facts, info={**good_facts.info, "config_file": ""})

    (finding,) = judge("config.persisted", bare).findings

    assert finding.erratum == "E06"
    assert "lost at restart" in finding.found


def test_without_the_file_at_hand_persistence_is_not_applicable(good: ServerProcess) -> None:
    judgement = judge("config.persisted", facts_of(good.endpoint))

    assert judgement.outcome is Outcome.NOT_APPLICABLE
    assert "--config-file" in judgement.reason


def test_a_change_that_was_not_written_to_the_file_is_found(good: ServerProcess) -> None:
    client = connect(good.endpoint)
    client.config_set("timeout", 299)
    try:
        facts = facts_of(good.endpoint, good.folder / "redis.conf")
    finally:
        client.config_set("timeout", 300)
        client.close()

    (finding,) = judge("config.persisted", facts).findings

    assert finding.found == "299 s now, 300 s after a restart"


def test_a_directive_that_the_file_leaves_out_has_its_built_in_value(
    good: ServerProcess, tmp_path: Path
) -> None:
    """CONFIG REWRITE leaves out what has its default value."""
    lines = (good.folder / "redis.conf").read_text().splitlines()
    kept = [line for line in lines if not line.startswith(("appendfsync", "tcp-keepalive"))]
    file = tmp_path / "redis.conf"
    file.write_text("\n".join(kept))

    (finding,) = judge("config.persisted", facts_of(good.endpoint, file)).findings

    assert finding.where == "directive tcp-keepalive"
    assert finding.found == "60 s now, 300 s after a restart"


def test_an_included_file_that_is_not_seen_is_inconclusive(
    good: ServerProcess, tmp_path: Path
) -> None:
    file = tmp_path / "redis.conf"
    file.write_text("include /etc/redis/more.conf\ntimeout 300\n")

    judgement = judge("config.persisted", facts_of(good.endpoint, file))

    assert judgement.outcome is Outcome.INCONCLUSIVE
    assert judgement.observations == {"directives": 1}


def test_a_configuration_file_that_cannot_be_read_is_refused(
    good: ServerProcess, tmp_path: Path
) -> None:
    with pytest.raises(ConfigFileError, match="cannot be read"):
        facts_of(good.endpoint, tmp_path / "nothing.conf")


@pytest.mark.parametrize(
    ("info", "where"),
    [
        ({"role": "slave", "master_host": "h", "master_port": "1"}, "INFO role"),
        ({"loading": "1"}, "INFO loading"),
        ({"redis_version": "6.0.16", "valkey_version": ""}, "INFO server"),
        ({"redis_version": "7.2.4", "dragonfly_version": "1.2", "valkey_version": ""},
         "INFO server"),
    ],
)  # fmt: skip
def test_a_server_that_is_unfit_fails_ping(
    good_facts: DeploymentFacts, info: dict[str, str], where: str
) -> None:
    (finding,) = judge(
        "server.ping", dataclasses.replace(good_facts, info={**good_facts.info, **info})
    ).findings

    assert finding.where == where


def test_a_server_that_does_not_answer_ping_fails(good_facts: DeploymentFacts) -> None:
    silent = dataclasses.replace(good_facts, pong=False, refusals={"PING": "NOPERM"})

    assert judge("server.ping", silent).outcome is Outcome.FAIL


def test_a_replica_may_be_allowed(good_facts: DeploymentFacts) -> None:
    replica = dataclasses.replace(
        good_facts, info={**good_facts.info, "role": "slave"}, replica_allowed=True
    )

    assert judge("server.ping", replica).outcome is Outcome.PASS


@pytest.mark.parametrize(
    "name", ["rdb_last_bgsave_status", "aof_last_write_status", "aof_last_bgrewrite_status"]
)
def test_a_failed_save_is_found(good_facts: DeploymentFacts, name: str) -> None:
    broken = dataclasses.replace(good_facts, info={**good_facts.info, name: "err"})

    (finding,) = judge("server.persistence-health", broken).findings

    assert finding.where == f"INFO {name}"


def test_memory_close_to_its_limit_is_found_with_the_evictions(good_facts: DeploymentFacts) -> None:
    info = {"used_memory": "900", "maxmemory": "1000", "evicted_keys": "7"}
    full = dataclasses.replace(good_facts, info={**good_facts.info, **info})

    judgement = judge("server.memory-headroom", full)

    assert "90 %" in judgement.findings[0].found
    assert judgement.observations["evicted_keys"] == 7


def test_without_info_health_is_inconclusive(good_facts: DeploymentFacts) -> None:
    blind = dataclasses.replace(good_facts, info={}, refusals={"INFO": "NOPERM"})

    for requirement in ("server.ping", "server.persistence-health", "server.memory-headroom"):
        assert judge(requirement, blind).outcome is Outcome.INCONCLUSIVE


def test_an_open_server_fails_authentication_and_its_default_user(fresh: ServerProcess) -> None:
    facts = facts_of(fresh.endpoint)

    served = [finding.where for finding in judge("security.authentication", facts).findings]
    (user,) = judge("security.default-user", facts).findings

    assert len(served) == len(PROBES) + 1
    assert served[:2] == ["PING without credentials", "GET without credentials"]
    assert served[-1] == "ACL user default"
    assert user.found == "on, with no password and the keys ~*"


def test_a_user_that_may_only_ping_without_credentials_is_found(
    good_facts: DeploymentFacts,
) -> None:
    half = (
        Attempt("PING", allowed=True, reply="PONG"),
        Attempt("GET", allowed=False, reply="NOPERM"),
    )

    judgement = judge("security.authentication", dataclasses.replace(good_facts, anonymous=half))

    assert [finding.where for finding in judgement.findings] == ["PING without credentials"]


def test_a_second_connection_that_fails_is_inconclusive(good_facts: DeploymentFacts) -> None:
    none = (Attempt("PING", allowed=False, reply=None, reason="connection refused"),)

    judgement = judge("security.authentication", dataclasses.replace(good_facts, anonymous=none))

    assert judgement.outcome is Outcome.INCONCLUSIVE


OPEN_RULES = {
    "all but get and ping": ("+@all", "-get", "-ping"),
    "one that only lists": ("-@all", "+scan"),
    "one that is not tried": ("-@all", "+randomkey"),
    "writing": ("-@all", "+set"),
}


@pytest.fixture
def fresh_default_user(fresh: ServerProcess) -> Iterator[Callable[..., DeploymentFacts]]:
    """Give the facts of a server under rules for its default user, taken back at the end."""
    admin = dataclasses.replace(fresh.endpoint, username="boss", password="boss-password")
    client = connect(fresh.endpoint)
    client.execute_command("ACL", "SETUSER", "boss", "on", ">boss-password", "~*", "&*", "+@all")

    def facts(*rules: str) -> DeploymentFacts:
        client.execute_command("ACL", "SETUSER", "default", *rules)
        return facts_of(admin)

    yield facts
    back = connect(admin)
    back.execute_command("ACL", "SETUSER", "default", "reset", "on", "nopass", "~*", "&*", "+@all")
    back.execute_command("ACL", "DELUSER", "boss")
    back.close()
    client.close()


@pytest.mark.parametrize("rules", OPEN_RULES.values(), ids=OPEN_RULES)
def test_a_default_user_that_may_do_anything_without_a_password_fails(
    fresh_default_user: Callable[..., DeploymentFacts], rules: tuple[str, ...]
) -> None:
    facts = fresh_default_user(*rules)

    judgement = judge("security.authentication", facts)

    assert judgement.outcome is Outcome.FAIL
    assert judgement.findings[-1].where == "ACL user default"


@pytest.mark.parametrize("rules", [("-@all",), ("resetpass", ">pw"), ("off",)])
def test_a_default_user_that_may_do_nothing_without_a_password_passes(
    fresh_default_user: Callable[..., DeploymentFacts], rules: tuple[str, ...]
) -> None:
    facts = fresh_default_user(*rules)

    assert judge("security.authentication", facts).outcome is Outcome.PASS


@pytest.mark.parametrize("version", ["TLSv1.2", "TLSv1.3"])
def test_a_server_that_asks_for_a_client_certificate_has_refused(
    tmp_path: Path, version: str
) -> None:
    files = make_certificate(tmp_path)
    plan = ServerPlan(tls=files, directives={"tls-protocols": version})
    with ServerProcess(starter("redis").binary, plan) as server:
        endpoint = dataclasses.replace(
            server.endpoint, cert_file=files.certificate, key_file=files.key
        )
        client = connect(endpoint)
        client.config_set("tls-auth-clients", "yes")
        client.close()

        facts = facts_of(endpoint)

    (attempt,) = facts.anonymous
    assert attempt.reply
    assert judge("security.authentication", facts).outcome is Outcome.PASS


@pytest.mark.parametrize("version", ["TLSv1.2", "TLSv1.3"])
def test_an_open_server_fails_over_tls_as_well(tmp_path: Path, version: str) -> None:
    plan = ServerPlan(
        tls=make_certificate(tmp_path), open_access=True, directives={"tls-protocols": version}
    )
    with ServerProcess(starter("redis").binary, plan) as server:
        attempts = attempt_without_credentials(server.endpoint)

    assert [each.allowed for each in attempts] == [True] * len(PROBES)


@contextmanager
def last_words(words: bytes) -> Iterator[Endpoint]:
    """Listen like a server that says so much to each client and closes the connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    client, _ = listener.accept()
                    client.sendall(words)
                    client.close()

        thread = Thread(target=serve, daemon=True)
        thread.start()
        yield Endpoint.parse(f"redis://127.0.0.1:{listener.getsockname()[1]}")
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


def test_a_connection_closed_by_protected_mode_has_been_refused(
    good_facts: DeploymentFacts,
) -> None:
    with last_words(b"-DENIED Redis is running in protected mode\r\n") as endpoint:
        attempts = attempt_without_credentials(endpoint)

    assert [each.reply for each in attempts] == ["DENIED Redis is running in protected mode"]
    facts = dataclasses.replace(good_facts, anonymous=attempts)
    assert judge("security.authentication", facts).outcome is Outcome.PASS


def test_the_limit_of_clients_and_a_closed_port_prove_nothing(
    good_facts: DeploymentFacts,
) -> None:
    with last_words(b"-ERR max number of clients reached\r\n") as endpoint:
        full = attempt_without_credentials(endpoint)
    closed = attempt_without_credentials(endpoint)

    for attempts, reason in ((full, "max number of clients"), (closed, "refused")):
        judgement = judge(
            "security.authentication", dataclasses.replace(good_facts, anonymous=attempts)
        )
        assert judgement.outcome is Outcome.INCONCLUSIVE
        assert reason in judgement.reason


def test_a_hidden_default_user_is_inconclusive(good_facts: DeploymentFacts) -> None:
    hidden = dataclasses.replace(good_facts, default_user=None, refusals={"ACL GETUSER": "NOPERM"})

    assert judge("security.default-user", hidden).outcome is Outcome.INCONCLUSIVE


@pytest.mark.parametrize(
    ("bind", "outcome"),
    [
        ("127.0.0.1 -::1", Outcome.PASS),
        ("10.1.2.3 fd00::1", Outcome.PASS),
        ("* -::*", Outcome.FAIL),
        ("", Outcome.FAIL),
        ("0.0.0.0", Outcome.FAIL),
        ("127.0.0.1 8.8.8.8", Outcome.FAIL),
        ("cache.example.com", Outcome.FAIL),
    ],
)
def test_without_protected_mode_the_addresses_decide(
    good_facts: DeploymentFacts, bind: str, outcome: Outcome
) -> None:
    directives = {**good_facts.directives, "protected-mode": "no", "bind": bind}

    judgement = judge(
        "security.protected-mode", dataclasses.replace(good_facts, directives=directives)
    )

    assert judgement.outcome is outcome


def test_a_connection_in_clear_is_found(good_facts: DeploymentFacts) -> None:
    (finding,) = judge("security.tls", good_facts).findings
    over_tls = judge("security.tls", dataclasses.replace(good_facts, scheme="rediss"))
    over_socket = judge("security.tls", dataclasses.replace(good_facts, scheme="unix"))

    assert finding.found == "in clear"
    assert over_tls.outcome is Outcome.PASS
    assert over_socket.outcome is Outcome.NOT_APPLICABLE


def test_open_admin_commands_are_found(good_facts: DeploymentFacts) -> None:
    names = ("enable-debug-command", "enable-protected-configs")
    open_ = dataclasses.replace(
        good_facts, directives={**good_facts.directives, "enable-debug-command": "local"}
    )
    old = dataclasses.replace(
        good_facts,
        directives={k: v for k, v in good_facts.directives.items() if k not in names},
    )

    assert [f.where for f in judge("security.admin-commands", open_).findings] == [
        "directive enable-debug-command"
    ]
    assert [f.where for f in judge("security.admin-commands", old).findings] == [
        f"directive {name}" for name in names
    ]


def test_every_judge_stands_for_a_requirement_of_the_registry() -> None:
    for requirement in server_judges(CONTRACT):
        assert load_registry()[requirement].subject == "server"
