# SPDX-License-Identifier: Apache-2.0
"""`kryonix-cache audit` as a user runs it: output, exit codes, bad input, and no trace left."""

from __future__ import annotations

import io
import json
import os
import shlex
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

import pytest

from kryonix_cache.conformance.cli.main import main
from kryonix_cache.conformance.judging.golden import GoldenFinding, golden_list
from kryonix_cache.conformance.judging.judges import server_judges
from kryonix_cache.conformance.judging.keyspace import WITNESSES
from kryonix_cache.reference_impl.connection import Pools
from kryonix_cache.reference_impl.contract import default_contract
from kryonix_cache.reference_impl.seeding import (
    SamplePlan,
    Seeder,
    SyntheticPlan,
    synthetic_tenant_ids,
)
from kryonix_cache.reports.record import read_record
from tests.seeding.servers import new_server

if TYPE_CHECKING:
    from kryonix_cache.fixtures.targets.server import ServerProcess

READ_ONLY = (
    "~*", "-@all", "+@read", "+@connection", "+info", "+role", "+command", "+config|get",
    "+acl|whoami", "+acl|getuser",
)  # fmt: skip
HOSTILE = (
    b"\x1b[31mred\x1b[0m", b"line\nbreak", b"\xff\xfe\x00", "\u202etenant".encode(),
    b"tenant:<script>alert(1)</script>:mobile:session:s", b"x" * 5000,
)  # fmt: skip


@dataclass(frozen=True)
class Ended:
    """What a command printed, and its exit code."""

    returncode: int
    stdout: str
    stderr: str


def audit(*arguments: str, **environment: str) -> Ended:
    """Run the command in this process, which spares each test the imports."""
    kept = {name: value for name, value in os.environ.items() if "KRYONIX" not in name}
    out, err = io.StringIO(), io.StringIO()
    with (
        mock.patch.dict(os.environ, {**kept, "COLUMNS": "400", **environment}, clear=True),
        mock.patch.object(sys, "argv", ["kryonix-cache", "audit", *arguments]),
        redirect_stdout(out),
        redirect_stderr(err),
        pytest.raises(SystemExit) as end,
    ):
        main()
    return Ended(int(str(end.value.code)), out.getvalue(), err.getvalue())


def url(server: ServerProcess, account: str = "") -> str:
    return f"redis://{account}{server.endpoint.host_and_port}"


def results(process: Ended) -> dict[str, dict[str, Any]]:
    return {result["requirement"]: result for result in json.loads(process.stdout)["results"]}


def seed_clean(pools: Pools, tenants: int = 3) -> None:
    contract = default_contract()
    Seeder(pools).seed(SyntheticPlan(contract, synthetic_tenant_ids(contract, tenants, 1), 1))


def allow(pools: Pools, *rules: str) -> str:
    """Make a user with these rules and return its account as it stands in a URL."""
    pools[0].execute_command("ACL", "SETUSER", "auditor", "reset", "on", ">sesame-open", *rules)
    return "auditor:sesame-open@"


def test_json_on_standard_output_holds_all_results_and_nothing_else(
    server: ServerProcess, pools: Pools
) -> None:
    seed_clean(pools)

    process = audit("--target", url(server), "--json")
    document = json.loads(process.stdout)

    assert process.stderr == ""
    assert document["exit_code"] == process.returncode == 1
    assert document["verdict"] == "non-conformant"
    assert results(process).keys() == {*server_judges(default_contract()), *WITNESSES}
    assert document["profile"] == "production"


def test_the_installed_command_exits_with_the_verdict(server: ServerProcess) -> None:
    command = Path(sys.executable).with_name("kryonix-cache")
    process = subprocess.run(
        [command, "audit", "--target", url(server), "--select", "keyspace"],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )

    assert process.returncode == 11
    assert "Verdict: inconclusive, exit code 11" in process.stdout
    assert process.stderr == ""


def test_clean_data_is_conformant_over_the_keyspace(server: ServerProcess, pools: Pools) -> None:
    seed_clean(pools)

    process = audit("--target", url(server), "--select", "keyspace,security.secrets-at-rest")

    assert process.returncode == 0, process.stdout
    assert "Verdict: conformant, exit code 0" in process.stdout


def test_the_sample_gives_its_golden_list(server: ServerProcess, pools: Pools) -> None:
    Seeder(pools).seed(SamplePlan())

    process = audit("--target", url(server), "--fields", "all", "--json")
    found = {
        GoldenFinding(name, each["where"], each["erratum"])
        for name, result in results(process).items()
        if name in WITNESSES
        for each in result["evidence"]
    }

    assert found == golden_list("sample")


def test_out_keeps_a_record_that_can_be_verified(
    server: ServerProcess, pools: Pools, tmp_path: Path
) -> None:
    seed_clean(pools)

    process = audit("--target", url(server), "--select", "keyspace", "--out", str(tmp_path))
    (folder,) = tmp_path.iterdir()
    record = read_record(folder)

    assert record.header.command == "audit"
    assert record.footer.exit_code == process.returncode == 0
    assert (folder / "report.html").exists()
    assert record.footprint is not None
    assert record.footprint.foreign_keys_written == record.footprint.keys_created == 0
    assert record.footprint.values_read > 0


def test_an_audit_works_for_a_read_only_user_and_changes_nothing(
    server: ServerProcess, pools: Pools
) -> None:
    Seeder(pools).seed(SamplePlan())
    # Expiry while the audit runs is no write of the audit.
    for database, key in [
        (6, "verify:phone:+5517988776655"),
        (6, "verify:email:dr.pedro@novaclinica.com"),
    ]:
        pools[database].expire(key, 500)
    account = allow(pools, *READ_ONLY)
    pools[0].config_resetstat()
    before = pools[0].execute_command("DEBUG", "DIGEST")

    process = audit("--target", url(server, account), "--fields", "all", "--json")

    assert pools[0].execute_command("DEBUG", "DIGEST") == before
    assert process.returncode == 1
    assert json.loads(process.stdout)["footprint"]["refused"] == []
    assert results(process)["keyspace.fields"]["evidence_total"] == 5
    refused = pools[0].info("errorstats")
    assert "errorstat_NOPERM" not in refused or refused["errorstat_NOPERM"]["count"] <= 3


def test_a_user_without_config_get_leaves_the_directives_open(
    server: ServerProcess, pools: Pools
) -> None:
    seed_clean(pools)
    account = allow(pools, "~*", "+@all", "-config")

    process = audit("--target", url(server, account), "--select", "config", "--json")
    found = results(process)

    assert process.returncode == 11
    assert {result["outcome"] for result in found.values()} == {"inconclusive"}
    assert "refuses CONFIG GET to this user" in found["config.maxmemory"]["reason"]


def test_a_user_without_scan_gets_one_sentence(server: ServerProcess, pools: Pools) -> None:
    account = allow(pools, "~*", "+@all", "-scan")

    process = audit("--target", url(server, account))

    assert process.returncode == 4
    assert process.stdout == ""
    assert process.stderr.startswith("Error: The server refuses SCAN to this user")
    assert len(process.stderr.splitlines()) == 1


def test_the_password_appears_nowhere(server: ServerProcess, pools: Pools, tmp_path: Path) -> None:
    seed_clean(pools)
    account = allow(pools, "~*", "&*", "+@all")

    shown = audit("--target", url(server, account), "--out", str(tmp_path))
    as_json = audit("--target", url(server, account), "--json")

    written = "".join(path.read_text() for path in tmp_path.rglob("*") if path.is_file())
    for text in (shown.stdout, shown.stderr, as_json.stdout, as_json.stderr, written):
        assert "sesame" not in text


def test_account_and_target_may_come_from_the_environment(
    server: ServerProcess, pools: Pools
) -> None:
    seed_clean(pools)
    allow(pools, "~*", "&*", "+@all")

    process = audit(
        "--select", "keyspace",
        KRYONIX_TARGET=url(server),
        KRYONIX_TARGET_USERNAME="auditor",
        KRYONIX_TARGET_PASSWORD="sesame-open",
    )  # fmt: skip

    assert process.returncode == 0, process.stderr


def test_hostile_names_neither_break_nor_drive_the_output(
    server: ServerProcess, pools: Pools
) -> None:
    for name in HOSTILE:
        pools[0].set(name, "x")

    process = audit("--target", url(server), "--select", "keyspace")
    as_json = audit("--target", url(server), "--select", "keyspace", "--json")
    result = results(as_json)["keyspace.known-families"]

    assert process.returncode == as_json.returncode == 1
    assert "\x1b" not in process.stdout
    assert "\u202e" not in process.stdout
    # The name with the tags belongs to a family: its tenant and its type are what is wrong.
    assert result["evidence_total"] == len(HOSTILE) - 1
    assert all(len(each["where"]) < 250 for each in result["evidence"])


def test_binary_keys_and_values_are_findings_and_no_crash(
    server: ServerProcess, pools: Pools
) -> None:
    seed_clean(pools)
    tenant = synthetic_tenant_ids(default_contract(), 3, 1)[0]
    pools[7].hset(f"branding:tenant:{tenant}", "app_name", b"\xff\xfe\x00")
    pools[3].set(b"\xff\xfe", b"\x80")

    found = results(audit("--target", url(server), "--select", "keyspace", "--json"))

    assert found["keyspace.known-families"]["evidence"][0]["erratum"] == "E09"
    assert found["keyspace.fields"]["evidence_total"] == 1


def test_an_empty_server_is_never_conformant(server: ServerProcess) -> None:
    process = audit("--target", url(server), "--select", "keyspace", "--json")

    assert process.returncode == 11
    assert "kryonix-cache seed" in results(process)["keyspace.type"]["reason"]


def test_a_server_with_fewer_databases_is_judged_on_those_it_has() -> None:
    with new_server(databases="4") as server, Pools(server.endpoint) as pools:
        pools[3].hset("metrics:tenant:acme", "mobile_users", "1")
        found = results(audit("--target", url(server), "--json"))

    assert found["config.databases"]["outcome"] == "fail"
    unused = [each["where"] for each in found["keyspace.database-purpose"]["evidence"]]
    assert unused == [f"db {number}" for number in range(16) if number != 3]


def test_keys_beyond_the_contracts_databases_are_found() -> None:
    with new_server(databases="20") as server, Pools(server.endpoint) as pools:
        seed_clean(pools)
        pools[17].set("stray", "x")
        found = results(audit("--target", url(server), "--json"))

    (finding,) = found["keyspace.known-families"]["evidence"]
    assert finding["where"] == "db 17 key 'stray'"


def test_default_redis_in_production_names_each_directive_and_how_to_mend_it() -> None:
    with new_server() as server:
        found = results(audit("--target", url(server), "--select", "config", "--json"))

    evidence = [each for result in found.values() for each in result["evidence"]]
    assert {each["where"].removeprefix("directive ") for each in evidence} == {
        "maxmemory", "maxmemory-policy", "maxmemory-samples", "timeout", "tcp-keepalive",
        "tcp-backlog", "hash-max-listpack-entries", "hash-max-listpack-value",
        "set-max-intset-entries", "zset-max-listpack-entries", "save", "appendonly",
        "auto-aof-rewrite-min-size",
    }  # fmt: skip
    assert all(each["remedy"] for each in evidence)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--select", "isolation.read"), "An audit does not judge isolation.read"),
        (("--select", "seeding"), "An audit judges nothing of what --select names"),
        (("--select", "keyspace.tpye"), "did you mean keyspace.type"),
        (("--profile", "prod"), "has no profile 'prod'"),
        (("--max-impact", "2"), "The impact '2' is not valid"),
        (("--config-file", "/no/such/file"), "cannot be read"),
        (("--contract", "/no/such/file"), "cannot be read"),
        (("--fields", "some"), "is not one of"),
    ],
)
def test_wrong_usage_is_one_sentence_and_exit_4(
    server: ServerProcess, arguments: tuple[str, ...], sentence: str
) -> None:
    process = audit("--target", url(server), *arguments)

    assert process.returncode == 4
    assert process.stdout == ""
    assert sentence in process.stderr
    assert "Traceback" not in process.stderr


@pytest.mark.parametrize(
    ("target", "sentence"),
    [
        ("redis://127.0.0.1:1", "No server answers at redis://127.0.0.1:1"),
        ("http://127.0.0.1", "its scheme is none of"),
        ("embedded", "An audit needs a server that holds data"),
    ],
)
def test_a_wrong_target_is_one_sentence_and_exit_4(target: str, sentence: str) -> None:
    process = audit("--target", target)

    assert process.returncode == 4
    assert sentence in process.stderr


def test_empty_parts_of_a_selection_are_nothing(server: ServerProcess) -> None:
    process = audit(
        "--target", url(server), "--json", "--select", "config.databases,, ", "--select", ""
    )

    assert results(process).keys() == {"config.databases"}


def test_the_command_that_reproduces_a_result_works_as_it_stands(
    server: ServerProcess, tmp_path: Path
) -> None:
    """It names the contract, and a path with a blank in it is one word of the shell."""
    contract = tmp_path / "my contract.toml"
    shipped = resources.files("kryonix_cache.reference_impl.contract").joinpath("kryonix.toml")
    contract.write_bytes(shipped.read_bytes())
    rest = ("--select", "config.databases", "--fields", "all", "--json", "--contract")
    first = audit("--target", url(server), *rest, str(contract))
    (reproduce,) = (result["reproduce"] for result in results(first).values())

    program, name, *words = shlex.split(reproduce)
    again = audit(*words, "--json")

    assert (program, name) == ("kryonix-cache", "audit")
    assert {"--contract", str(contract), "--fields", "all"} <= set(words)
    assert results(again)["config.databases"]["reproduce"] == reproduce
    assert again.returncode == first.returncode


def test_a_target_file_stands_in_the_command_in_place_of_its_url(
    server: ServerProcess, tmp_path: Path
) -> None:
    file = tmp_path / "target.toml"
    file.write_text(f'url = "{url(server)}"\n')

    process = audit("--target-file", str(file), "--select", "config.databases", "--json")

    words = shlex.split(results(process)["config.databases"]["reproduce"])
    assert words[2:4] == ["--target-file", str(file)]
    assert "--target" not in words
