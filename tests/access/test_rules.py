# SPDX-License-Identifier: Apache-2.0
"""The rules that follow from a contract, without a server."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kryonix_cache.reference_impl.access import (
    DIALECTS,
    Dialect,
    is_tenants_user,
    plan_user,
)
from kryonix_cache.reference_impl.access.dialect import commands_of
from kryonix_cache.reference_impl.access.errors import (
    AccessInexpressibleError,
    AccessUndeclaredError,
)
from kryonix_cache.reference_impl.errors import InvalidTenantIdError
from tests.access.contracts import OWN, RULE, contract_of, family
from tests.contract.contracts import SHOP

VALKEY = DIALECTS["valkey-9.1"]
REDIS_7 = DIALECTS["redis-7"]
REDIS_6 = DIALECTS["redis-6.2"]
SETTINGS = settings(max_examples=30, deadline=None)
TENANTS = st.from_regex(OWN.tenant.pattern, fullmatch=True)


@SETTINGS
@given(TENANTS)
def test_no_family_of_the_own_contract_is_left_out_for_its_pattern(tenant: str) -> None:
    """Whatever the id: also one that is a word of another family's key."""
    for dialect in DIALECTS.values():
        plan = plan_user(OWN, tenant, dialect)
        wanted = {
            each.name
            for each in OWN.tenant_families
            if each.access == "write" or (each.access == "read" and dialect.selectors)
        }
        assert plan.families == wanted
        assert not any("would reach" in limit for limit in plan.limits)


@SETTINGS
@given(st.sampled_from(["tenant", "system", "channels", "api", "default", "events", "queue"]))
def test_a_tenant_called_as_a_word_of_keys_has_its_own_keys_only(tenant: str) -> None:
    for word in plan_user(OWN, tenant, REDIS_6).words():
        if word.startswith("~"):
            assert tenant in word.split(":")


@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=DIALECTS)
def test_rules_begin_with_nothing_and_grant_only_what_the_contract_names(dialect: Dialect) -> None:
    words = plan_user(OWN, "acme", dialect).words()
    assert words[0] == "resetchannels"
    assert ("resetdbs" in words) is dialect.databases
    plain = [word for word in words if not word.startswith("(")]
    brackets = [word.strip("()").split() for word in words if word.startswith("(")]
    assert bool(brackets) is dialect.selectors
    for group in (plain, *brackets):
        assert group.count("-@all") == 1
        granted = {word[1:] for word in group if word.startswith("+")}
        assert {word for word in granted if not word.startswith("select|")} <= commands_of(RULE)
        assert not any(word in {"~*", "&*", "allkeys", "+@all", "alldbs"} for word in group)
        assert not any(word.startswith("+@") for word in group)


def test_what_is_only_read_has_no_write_in_its_selector() -> None:
    writes = {word for each in RULE.commands.values() for word in each.write}
    for dialect in (VALKEY, REDIS_7):
        reading = [
            each
            for each in plan_user(OWN, "acme", dialect).selectors
            if any(key.startswith("%R~") for key in each.keys)
        ]
        assert reading
        for each in reading:
            assert all(key.startswith("%R~") for key in each.keys)
            assert not each.commands & writes


def test_each_selector_belongs_to_the_home_of_its_families_and_to_one_type() -> None:
    for each in plan_user(OWN, "acme", VALKEY).selectors:
        assert each.databases is not None
        patterns = {key.partition("~")[2] for key in each.keys}
        homes = {known.databases for known in OWN.families if known.per_tenant}
        assert len(each.databases) == 1 or tuple(sorted(each.databases)) in homes
        types = {
            known.type
            for number in each.databases
            for known in OWN.families_in(number)
            for pattern in patterns
            if known.pattern.replace("{tenant}", "acme").split(":")[:2] == pattern.split(":")[:2]
            and len(known.pattern.split(":")) == len(pattern.split(":"))
        }
        assert len(types) == 1


def test_an_exact_key_has_no_star() -> None:
    keys = {key for each in plan_user(OWN, "acme", VALKEY).selectors for key in each.keys}
    assert "~metrics:tenant:acme" in keys
    assert "~queue:tenant:acme:*" in keys
    assert not any("acme*" in key for key in keys)


def test_what_the_contract_closes_is_in_no_rule() -> None:
    closed = [each for each in OWN.tenant_families if each.access == "none"]
    assert closed
    for dialect in DIALECTS.values():
        text = " ".join(plan_user(OWN, "acme", dialect).words())
        assert "config:auto_setup" not in text
        assert "system" not in text


def test_a_server_without_selectors_leaves_out_what_is_only_read_and_says_so() -> None:
    plan = plan_user(OWN, "acme", REDIS_6)
    assert plan.selectors == frozenset()
    assert "~sdk:tenant:acme" not in plan.root.keys
    assert any("sdk-registration" in limit and "left out" in limit for limit in plan.limits)


def test_databases_are_bound_by_rules_or_by_the_number_of_select() -> None:
    names = plan_user(OWN, "acme", VALKEY).families
    homes = frozenset(number for name in names for number in OWN.family(name).databases)
    valkey, redis = plan_user(OWN, "acme", VALKEY), plan_user(OWN, "acme", REDIS_7)
    assert valkey.root.databases == homes
    assert "select" in valkey.root.commands
    assert {f"select|{number}" for number in homes} <= redis.root.commands
    assert "select" not in redis.root.commands
    assert "select|15" not in redis.root.commands


def test_a_contract_without_select_says_that_the_user_stays_where_it_is() -> None:
    session = tuple(word for word in RULE.session if word != "select")
    plan = plan_user(replace(OWN, access=replace(RULE, session=session)), "acme", REDIS_7)
    assert not any(word.startswith("select") for word in plan.root.commands)
    assert any("stays in database 0" in limit for limit in plan.limits)


def test_a_command_that_the_server_does_not_know_is_left_out_and_named() -> None:
    dialect = replace(VALKEY, unknown=frozenset({"getex", "client|setinfo"}))
    plan = plan_user(OWN, "acme", dialect)
    assert "+getex" not in " ".join(plan.words())
    assert any("client|setinfo, getex" in limit for limit in plan.limits)


@pytest.mark.parametrize(
    ("patterns", "reason"),
    [
        (("a:{x}:{tenant}", "a:{x}:{tenant}:{sku}"), "its pattern a:*:acme would reach keys"),
        (("a:{x}:{tenant}", "a:{tenant}:b:{x}"), "would reach keys of other"),
        (("{x}:{tenant}", "{tenant}:{x}"), "would reach keys of other"),
        (("a:{tenant}:{x}", "a:acme:{x}:b"), "would reach keys of other"),
    ],
)  # fmt: skip
def test_a_pattern_that_reaches_a_foreign_key_is_left_out(
    patterns: tuple[str, str], reason: str
) -> None:
    mine, other = (each.replace("{sku}", "{queue}") for each in patterns)
    contract = contract_of(family("mine", mine), family("other", other))
    for dialect in DIALECTS.values():
        plan = plan_user(contract, "acme", dialect)
        assert "mine" not in plan.families
        assert any(reason in limit for limit in plan.limits)
        glob = mine.replace("{tenant}", "acme").replace("{x}", "*")
        assert f"~{glob}" not in " ".join(plan.words()).replace("(", "").split()


def test_a_pattern_that_reaches_closed_keys_of_the_same_tenant_is_left_out() -> None:
    contract = contract_of(
        family("open", "a:{tenant}:{x}"), family("closed", "a:{tenant}:secret:{x}", access="none")
    )
    plan = plan_user(contract, "acme", VALKEY)
    assert plan.families == frozenset()
    assert any("keys of closed" in limit for limit in plan.limits)


def test_databases_keep_patterns_apart_where_the_server_can() -> None:
    contract = contract_of(
        family("mine", "a:{x}:{tenant}", database=1),
        family("other", "a:{x}:{tenant}:{queue}", database=2),
    )
    assert "mine" in plan_user(contract, "acme", VALKEY).families
    assert "mine" not in plan_user(contract, "acme", REDIS_7).families


def test_channels_that_reach_foreign_ones_are_left_out() -> None:
    contract = contract_of(channels=("c:{x}:{tenant}", "c:{x}:{tenant}:{queue}"))
    plan = plan_user(contract, "acme", VALKEY)
    assert plan.root.channels == {"c:*:acme:*"}
    assert any("channels c:{x}:{tenant} are left out" in limit for limit in plan.limits)


@pytest.mark.parametrize("bad", ["", "a:b", "*", "a b", "a\x00", "ä", "A", "x" * 64, "a\n"])
def test_a_bad_id_has_no_plan(bad: str) -> None:
    with pytest.raises(InvalidTenantIdError):
        plan_user(OWN, bad, VALKEY)


def test_a_contract_that_says_nothing_of_access_has_no_plans() -> None:
    with pytest.raises(AccessUndeclaredError, match=r"\[access\]"):
        plan_user(replace(OWN, access=None), "acme", VALKEY)
    if SHOP.access is None:
        with pytest.raises(AccessUndeclaredError):
            plan_user(SHOP, "shop-1", VALKEY)


@pytest.mark.parametrize("tenant", ["a b", "a)", "(a", "a\tb", "a\x7f"])
def test_an_id_that_would_break_a_rule_is_refused_whatever_the_contract_allows(tenant: str) -> None:
    loose = replace(OWN, tenant=replace(OWN.tenant, pattern=r"[a-z ()\t\x7f]+"))
    with pytest.raises(AccessInexpressibleError, match="cannot stand in an ACL rule"):
        plan_user(loose, tenant, VALKEY)


def test_glob_characters_of_an_id_are_escaped() -> None:
    loose = replace(OWN, tenant=replace(OWN.tenant, pattern=r"[a-z*?\[\]\\]+"))
    keys = plan_user(loose, "a*[b]?\\", REDIS_6).root.keys
    assert r"~metrics:tenant:a\*\[b\]\?\\" in keys


def test_no_tenant_is_given_the_default_user() -> None:
    bare = replace(OWN, access=replace(RULE, user="{tenant}"))
    with pytest.raises(AccessInexpressibleError, match="'default'"):
        plan_user(bare, "default", VALKEY)
    assert not is_tenants_user(bare, "default")
    assert is_tenants_user(bare, "acme")


@pytest.mark.parametrize(
    ("user", "is_one"),
    [
        ("tenant-acme", True),
        ("tenant-", False),
        ("tenant", False),
        ("acme", False),
        ("default", False),
        ("admin", False),
        ("tenant-a:b", False),
        ("tenant-A", False),
        ("xtenant-acme", False),
        ("tenant-acme\n", False),
    ],
)
def test_a_user_is_a_tenants_by_its_whole_name(user: str, is_one: bool) -> None:  # noqa: FBT001 (a column of the table)
    assert is_tenants_user(OWN, user) is is_one


@SETTINGS
@given(TENANTS)
def test_the_tenant_of_a_user_is_found_again(tenant: str) -> None:
    assert RULE.tenant_of(RULE.user_of(OWN.tenant.parse(tenant))) == tenant
