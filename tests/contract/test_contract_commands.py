# SPDX-License-Identifier: Apache-2.0
"""The commands `contract` and `requirements`, started as a user starts them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import jsonschema
import pytest

from kryonix_cache.reference_impl.contract import FORMATS
from tests.conformance.runs import command
from tests.contract.contracts import OWN, SHOP_FILE, SHOP_TEXT

if TYPE_CHECKING:
    import subprocess

DOCS = Path(__file__).parents[2] / "docs"


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return command(*map(str, arguments))


def test_check_counts_what_a_good_contract_holds() -> None:
    done = run("contract", "check")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("ok: kryonix 2.0, 16 databases, 47 key families, ")
    assert run("contract", "check", "--contract", SHOP_FILE).returncode == 0


def test_check_names_line_and_rule_of_a_broken_contract(tmp_path: Path) -> None:
    broken = tmp_path / "broken.toml"
    broken.write_text(SHOP_TEXT.replace('"number"', '"euro"'), encoding="utf-8")
    done = run("contract", "check", "--contract", broken)
    line = SHOP_TEXT[: SHOP_TEXT.index('price = "number"')].count("\n") + 1
    assert done.returncode == 4
    assert f"broken.toml, line {line}, family.stock.fields.price: 'euro' is no" in done.stderr
    assert "Traceback" not in done.stderr


def test_check_refuses_a_directive_whose_requirement_does_not_exist(tmp_path: Path) -> None:
    broken = tmp_path / "broken.toml"
    broken.write_text(SHOP_TEXT.replace('"config.databases"', '"config.nothing"'), encoding="utf-8")
    done = run("contract", "check", "--contract", broken)
    assert done.returncode == 4
    assert "'config.nothing', which is not in the registry" in done.stderr


def test_show_gives_every_family_as_json() -> None:
    rows = json.loads(run("contract", "show", "--json").stdout)
    assert [row["family"] for row in rows] == [family.name for family in OWN.families]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--family", "sdk-registration"], ["api_key", "sdk:tenant:{tenant}", "never expires"]),
        (["--family", "api-cache"], ["(value)", "cached_at", "expires within 7200 s"]),
        (["--database", "3"], ["system:db_metrics:{database}", "metrics:tenant:{tenant}"]),
        (["--formats"], list(FORMATS)),
        (["--profile", "hardened"], ["volatile-lru", "config.eviction-policy", "E05"]),
    ],
)  # fmt: skip
def test_show_gives_a_table_of_what_is_asked_for(arguments: list[str], words: list[str]) -> None:
    done = run("contract", "show", *arguments)
    assert done.returncode == 0
    assert [word for word in words if word not in done.stdout] == []


@pytest.mark.parametrize(
    "arguments",
    [
        ["contract", "show", "--family", "nothing"],
        ["contract", "show", "--database", "16"],
        ["contract", "show", "--profile", "nothing"],
        ["contract", "show", "--formats", "--database", "1"],
        ["contract", "redis-conf", "--profile", "nothing"],
        ["requirements", "show", "config.nothing"],
        ["requirements", "list", "--profile", "nothing"],
    ],
    ids=" ".join,
)
def test_what_does_not_exist_is_refused_with_exit_code_4(arguments: list[str]) -> None:
    done = run(*arguments)
    assert done.returncode == 4
    assert "Error: " in done.stderr
    assert "Traceback" not in done.stderr


def test_the_schema_is_a_valid_json_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(json.loads(run("contract", "schema").stdout))


def test_a_file_is_written_whole_and_never_overwritten_unasked(tmp_path: Path) -> None:
    out = tmp_path / "redis.conf"
    command = ("contract", "redis-conf", "--profile", "ci", "--out", out)
    assert run(*command).returncode == 0
    written = out.read_text(encoding="utf-8")
    assert written == run("contract", "redis-conf", "--profile", "ci").stdout
    out.write_text("mine", encoding="utf-8")
    refused = run(*command)
    assert refused.returncode == 4
    assert "give --force" in refused.stderr
    assert out.read_text(encoding="utf-8") == "mine"
    assert run(*command, "--force").returncode == 0
    assert out.read_text(encoding="utf-8") == written
    assert [path.name for path in tmp_path.iterdir()] == ["redis.conf"]


def test_a_folder_that_is_not_there_gets_one_sentence(tmp_path: Path) -> None:
    done = run("contract", "docs", "--out", tmp_path / "missing" / "page.md")
    assert done.returncode == 4
    assert "cannot be written (No such file or directory)" in done.stderr


def test_requirements_and_errata_can_be_looked_up() -> None:
    assert "config.aof" in run("requirements", "list").stdout
    assert (
        "MUST in production, hardened"
        in run("requirements", "show", "security.authentication").stdout
    )
    assert run("requirements", "show", "e18").stdout.startswith("E18: ")


@pytest.mark.parametrize(
    ("page", "command"),
    [
        ("keyspace.md", "contract docs"),
        ("requirements.md", "requirements docs"),
        ("errata.md", "requirements errata"),
    ],
)
def test_the_generated_pages_are_up_to_date(page: str, command: str) -> None:
    expected = run(*command.split()).stdout
    assert (DOCS / page).read_text(encoding="utf-8") == expected, (
        f"run: kryonix-cache {command} --out docs/{page} --force"
    )
