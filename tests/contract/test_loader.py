# SPDX-License-Identifier: Apache-2.0
"""Contract files: each broken rule is one sentence with its line, and nothing else comes out."""

from __future__ import annotations

import re
import time
import tomllib
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kryonix_cache.conformance.registry import load_registry
from kryonix_cache.reference_impl.contract import (
    Contract,
    default_contract,
    load_contract,
    load_errata,
)
from kryonix_cache.reference_impl.contract.positions import line_of
from kryonix_cache.reference_impl.errors import ContractError
from tests.contract.contracts import OWN, OWN_TEXT, SHOP, SHOP_FILE, SHOP_TEXT

BROKEN = tomllib.loads((SHOP_FILE.parent / "broken.toml").read_text(encoding="utf-8"))["case"]
MARK = "@@"


def load(text: str | bytes) -> Contract:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "contract.toml"
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return load_contract(path)


@pytest.mark.parametrize("case", BROKEN, ids=range(1, len(BROKEN) + 1))
def test_a_broken_rule_is_told_with_its_line(case: dict[str, str]) -> None:
    assert case["old"] in SHOP_TEXT
    text = SHOP_TEXT.replace(case["old"], case["new"], 1)
    line = text[: text.index(MARK)].count("\n") + 1
    with pytest.raises(ContractError) as caught:
        load(text.replace(MARK, ""))
    assert f", line {line}, " in str(caught.value)
    assert case["words"] in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"[contract\n", "is not valid TOML"),
        (b"a = 1\na = 2\n", "is not valid TOML"),
        (b'[contract]\nname = "\xff"\n', "line 2, is not UTF-8 text"),
        (b"\xef\xbb\xbf" + SHOP_TEXT.encode(), "is not valid TOML"),
        (b"a = " + b"[" * 100_000, "is not valid TOML"),
        (b"a = " + b"9" * 10_000, "is not valid TOML"),
        (b"", "line 1, the top level: 'contract' is a required property"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_contract_at_all_gets_one_sentence(raw: bytes, words: str) -> None:
    with pytest.raises(ContractError, match=re.escape(words)):
        load(raw)


def test_a_file_that_is_missing_or_a_folder_gets_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match="No such file"):
        load_contract(tmp_path / "missing.toml")
    with pytest.raises(ContractError, match="Is a directory"):
        load_contract(tmp_path)


FRAGMENTS = st.one_of(
    st.sampled_from(
        ["", "\n", "[", "]", "{", "}", '"', "'", "=", "1", "-1", "1.0", "nan", "true", "[]", "{}"]
    ),
    st.sampled_from(re.findall(r"[A-Za-z0-9_.\-]+|'[^'\n]*'|\"[^\"\n]*\"|\[[^\]\n]*\]", OWN_TEXT)),
    st.text(max_size=5),
)
TOKENS = list(re.finditer(r"\w+|'[^'\n]*'|\"[^\"\n]*\"|[^\w\s]", OWN_TEXT))


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_any_mutation_of_the_contract_loads_or_is_refused(data: st.DataObject) -> None:
    text = OWN_TEXT
    for _ in range(data.draw(st.integers(1, 2))):
        token = data.draw(st.sampled_from(TOKENS))
        text = text[: token.start()] + data.draw(FRAGMENTS) + text[token.end() :]
    with suppress(ContractError):
        load(text).parse(0, b"tenant:acme:nothing:of:the:kind")


def test_the_files_of_another_system_with_other_line_ends_point_to_the_same_line() -> None:
    text = SHOP_TEXT.replace('price = "number"', 'price = "euro"').replace("\n", "\r\n")
    with pytest.raises(ContractError) as caught:
        load(text)
    assert f", line {text[: text.index('price')].count(chr(10)) + 1}, " in str(caught.value)


def test_a_value_of_several_lines_stands_where_it_starts() -> None:
    text = "a = 1\nb = [\n  1,\n  { c = 2 },\n]\n[t.u]\nx = '''\n[t.v]\n'''\ny = 1\n"
    text += "[[t.w]]\n[[t.w]]\nz = 1\n"
    places: list[tuple[list[str | int], int]] = [
        (["b"], 2),
        (["b", 1, "c"], 2),
        (["t"], 6),
        (["t", "u", "x"], 7),
        (["t", "u", "y"], 10),
        (["t", "w", 1], 12),
        (["t", "w", 1, "z"], 13),
        (["t", "w", 1, "missing"], 12),
        (["missing"], 1),
        ([], 1),
    ]
    assert [line_of(text, path) for path, _ in places] == [line for _, line in places]


def test_another_teams_contract_is_loaded_and_builds_its_own_keys() -> None:
    shop = load_contract(SHOP_FILE)
    assert shop.key("orders", day="2025-01-15", tenant="shop-7") == b"orders:2025-01-15:shop-7"
    parsed = shop.parse(0, b"shop-7:stock:ABC1234")
    assert parsed is not None
    assert (parsed.family.name, parsed.tenant, parsed.parts["sku"]) == (
        "stock",
        "shop-7",
        "ABC1234",
    )
    assert shop.parse(3, b"shop-7:stock:ABC1234") is None
    assert [family.name for family in shop.families_in(0)] == ["stock", "settings"]


def test_the_hash_of_a_contract_is_that_of_its_bytes() -> None:
    assert load(SHOP_TEXT).sha256 == SHOP.sha256
    assert load(SHOP_TEXT + "\n").sha256 != SHOP.sha256


def test_the_contract_has_the_sixteen_databases_and_every_one_has_families() -> None:
    assert [database.number for database in OWN.databases] == list(range(16))
    assert all(OWN.families_in(number) for number in range(16))


def test_an_unknown_profile_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ContractError, match="give one of ci, staging, production, hardened"):
        OWN.profile("prod")


def test_what_contract_and_registry_refer_to_is_there() -> None:
    known = load_registry().requirements
    for requirement in known.values():
        assert set(requirement.errata) <= load_errata().keys()
        assert set(requirement.must_in) <= OWN.profiles.keys()
    for profile in OWN.profiles.values():
        assert {directive.requirement for directive in profile.directives} <= known.keys()


def test_every_erratum_that_the_contract_mentions_is_known() -> None:
    mentioned = set(re.findall(r"\bE[0-9]{2}\b", OWN_TEXT))
    assert mentioned
    assert mentioned <= load_errata().keys()
    assert list(load_errata()) == [f"E{number:02}" for number in range(1, 34)]


def test_loading_the_contract_takes_no_noticeable_time() -> None:
    default_contract.cache_clear()
    started = time.process_time()
    default_contract()
    assert time.process_time() - started < 0.3
