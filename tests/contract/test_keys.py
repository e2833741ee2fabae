# SPDX-License-Identifier: Apache-2.0
"""Keys: building is injective, parsing is its inverse, and nothing crosses a separator."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kryonix_cache.reference_impl.contract.keys import KeyBuilder, KeyParser, Matcher, may_meet
from kryonix_cache.reference_impl.contract.model import Family, TenantRule, TtlRule
from kryonix_cache.reference_impl.errors import (
    InvalidTenantIdError,
    KeyPartError,
    UnknownFamilyError,
)
from tests.contract.contracts import OWN, SHOP, parts_of

if TYPE_CHECKING:
    from kryonix_cache.reference_impl.contract import Contract

CONTRACTS = {"own": OWN, "shop": SHOP}
FAMILIES = [
    pytest.param(contract, family, id=f"{name}-{family.name}")
    for name, contract in CONTRACTS.items()
    for family in contract.families
]
every_family = pytest.mark.parametrize(("contract", "family"), FAMILIES)
HOSTILE = [
    *("", " ", "a:b", ":", "a\n", "\na", "a\0", "a b", "*", "a*", "?", "[a]", "\\", "{a}"),
    *("tenant:other", "é", "\uff41cme", "acme\u200b", "\u0430cme", "\ud800", "a" * 1000),
]


@every_family
@given(data=st.data())
def test_a_key_is_parsed_into_the_parts_it_was_built_from(
    contract: Contract, family: Family, data: st.DataObject
) -> None:
    parts = data.draw(parts_of(contract, family))
    key = contract.key(family.name, **parts)
    for database in family.databases:
        parsed = contract.parse(database, key)
        assert parsed is not None
        assert (parsed.family.name, dict(parsed.parts)) == (family.name, parts)
        assert parsed.tenant == parts.get("tenant")
        assert contract.key(parsed.family.name, **parsed.parts) == key


@given(data=st.data())
def test_two_different_keys_of_one_database_have_different_bytes(data: st.DataObject) -> None:
    database = data.draw(st.sampled_from(OWN.databases)).number
    named = st.sampled_from(OWN.families_in(database)).flatmap(
        lambda family: st.tuples(st.just(family.name), parts_of(OWN, family))
    )
    (first, mine), (second, others) = data.draw(named), data.draw(named)
    same_bytes = OWN.key(first, **mine) == OWN.key(second, **others)
    assert same_bytes == ((first, mine) == (second, others))


@every_family
def test_a_hostile_part_is_refused(contract: Contract, family: Family) -> None:
    good = {part: "ct-a" if part == "tenant" else "0" for part in family.parts}
    for name in family.parts:
        for value in HOSTILE:
            with pytest.raises((KeyPartError, InvalidTenantIdError)):
                contract.key(family.name, **good | {name: value})


def test_a_refused_tenant_names_the_character_that_offends() -> None:
    with pytest.raises(InvalidTenantIdError, match="CYRILLIC SMALL LETTER A at position 1"):
        OWN.key("tenant-config", tenant="\u0430cme")


def test_missing_and_unknown_parts_are_named() -> None:
    with pytest.raises(KeyPartError, match=r"takes tenant, session, but tenant was given"):
        OWN.key("mobile-session", tenant="acme")
    with pytest.raises(KeyPartError, match=r"takes no part, but tenant was given"):
        OWN.key("system-metrics", tenant="acme")


def test_an_unknown_family_is_refused() -> None:
    with pytest.raises(UnknownFamilyError, match="no key family 'sessions'"):
        OWN.key("sessions", tenant="acme")


@pytest.mark.parametrize("contract", CONTRACTS.values(), ids=CONTRACTS)
def test_no_two_families_of_a_database_can_share_a_key(contract: Contract) -> None:
    for database in contract.databases:
        for first, second in combinations(contract.families_in(database.number), 2):
            assert not may_meet(first.pattern, second.pattern, contract.parts)


raw_keys = st.one_of(
    st.binary(max_size=40),
    st.lists(
        st.one_of(
            st.sampled_from(
                [b"tenant", b"api", b"mobile", b"session", b"acme", b"crm", b"", b"\xff"]
            ),
            st.binary(max_size=6),
        ),
        max_size=6,
    ).map(b":".join),
)


@given(key=raw_keys, database=st.integers(0, 16))
@example(key=b"tenant:\xff:sdk:config", database=1)
@example(key=b"tenant:\n:sdk:config", database=1)
@example(key="tenant:é:sdk:config".encode(), database=1)
def test_matcher_and_parsers_agree_on_any_bytes(key: bytes, database: int) -> None:
    families = OWN.families_in(database)
    parsed = [
        (family, parts)
        for family in families
        if (parts := KeyParser(family, OWN.parts).parse(key)) is not None
    ]
    match = OWN.matcher(database).match(key)
    assert len(parsed) == (match is not None)
    if match is not None:
        (family, parts) = parsed[0]
        assert families[match.index].name == family.name
        tenant = None if match.tenant is None else match.tenant.decode()
        assert tenant == parts.get("tenant")


def test_a_key_that_is_not_utf8_belongs_to_no_family() -> None:
    assert OWN.parse(1, b"tenant:\xff\xfe:sdk:config") is None
    assert OWN.matcher(1).match(b"tenant:\xff\xfe:sdk:config") is None


def test_a_key_whose_tenant_breaks_the_rule_still_belongs_to_its_family() -> None:
    parsed = OWN.parse(1, b"tenant:ACME Inc:sdk:config")
    assert parsed is not None
    assert parsed.family.name == "sdk-config-cache"
    assert not OWN.tenant.is_valid(str(parsed.tenant))


def test_a_key_in_a_wrong_database_is_found_by_its_family() -> None:
    key = OWN.key("branding", tenant="acme")
    assert OWN.parse(0, key) is None
    parsed = OWN.parse_anywhere(key)
    assert parsed is not None
    assert parsed.family.name == "branding"


def test_a_part_whose_own_pattern_takes_separators_cannot_reach_over_one() -> None:
    """A careless pattern such as `a:b` or `.{3}` never makes one key belong to two families."""
    parts = {"item": "(?s:.{1,9})"}
    tenant = TenantRule("(?s:.{1,9})", "anything", "ct-")
    short = _family("short", "a:{item}", ("item",))
    long = _family("long", "a:{tenant}:c", ("tenant",))
    with pytest.raises(KeyPartError):
        KeyBuilder(short, parts, tenant).build({"item": "b:c"})
    with pytest.raises(InvalidTenantIdError):
        KeyBuilder(long, parts, tenant).build({"tenant": "b:c"})
    match = Matcher((short, long), parts).match(b"a:b:c")
    assert match is not None
    assert (match.index, match.tenant) == (1, b"b")
    assert KeyParser(short, parts).parse(b"a:b:c") is None


def _family(name: str, pattern: str, parts: tuple[str, ...]) -> Family:
    return Family(
        name=name,
        databases=(0,),
        pattern=pattern,
        type="string",
        ttl=TtlRule(None),
        durable=False,
        access="write",
        required=False,
        purpose="For this test",
        parts=parts,
        fields={},
    )
