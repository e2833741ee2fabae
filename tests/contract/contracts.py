# SPDX-License-Identifier: Apache-2.0
"""Contracts for these tests: the project's own, another team's, and broken copies."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from hypothesis import strategies as st

from kryonix_cache.reference_impl.contract import Contract, Family, default_contract, load_contract

OWN = default_contract()
SHOP_FILE = Path(__file__).parent / "data" / "shop.toml"
SHOP = load_contract(SHOP_FILE)
SHOP_TEXT = SHOP_FILE.read_text(encoding="utf-8")
OWN_TEXT = (
    files("kryonix_cache.reference_impl.contract")
    .joinpath("kryonix.toml")
    .read_text(encoding="utf-8")
)


def parts_of(contract: Contract, family: Family) -> st.SearchStrategy[dict[str, str]]:
    """Generate what a key of `family` can be built from."""
    rules = {**contract.parts, "tenant": contract.tenant.pattern}
    return st.fixed_dictionaries(
        {name: st.from_regex(rules[name], fullmatch=True) for name in family.parts}
    )
