# SPDX-License-Identifier: Apache-2.0
"""The table of attacks: what it holds, and that a broken one is refused."""

from __future__ import annotations

import pytest

from kryonix_cache.conformance.attacks.table import PLACEHOLDERS, attack_table, filled, parse_table
from kryonix_cache.conformance.errors import AttackTableError
from kryonix_cache.conformance.registry import load_registry

ATTACK = """
[[attack]]
id = "scan"
requirement = "isolation.acl-enumeration"
words = ["SCAN", "0"]
judge = "silent"
reason = "It lists."
"""
LIMITS = "[limits]\nuntried_percent = 2\n"
PLAYED = (
    *("acl-enumeration", "acl-escape", "acl-admin", "acl-push", "acl-shared-code"),
    "identity",
)


def test_a_table_is_read() -> None:
    table = parse_table(LIMITS + ATTACK)
    assert table.untried_percent == 2
    assert [str(each) for each in table.of("isolation.acl-enumeration")] == ["SCAN 0"]
    assert table.of("isolation.acl-push") == ()


@pytest.mark.parametrize(
    ("broken", "named"),
    [
        ("", "limits.untried_percent"),
        ("[limits]\nuntried_percent = true", "limits.untried_percent"),
        (LIMITS, "holds none"),
        ("[[attack", "no TOML"),
        (LIMITS + ATTACK + ATTACK, "Two attacks are called 'scan'"),
        (LIMITS + ATTACK.replace("reason", "because"), "has no reason"),
        (LIMITS + ATTACK + "because = 'x'", "field 'because'"),
        (LIMITS + ATTACK + "times = 'x'", "field 'times'"),
        (LIMITS + ATTACK + "steps = [['PING']]", "words or steps"),
        (LIMITS + ATTACK.replace("words", "before"), "words or steps"),
        (LIMITS + ATTACK.replace('"silent"', '"green"'), "judge 'green'"),
        (LIMITS + ATTACK + "type = 'tree'", "type 'tree'"),
        (LIMITS + ATTACK + "then = ['PING']", "then without gives"),
        (LIMITS + ATTACK.replace('"0"', "0"), "word 0"),
        (LIMITS + ATTACK.replace('["SCAN", "0"]', "[]"), "command without words"),
        (LIMITS + ATTACK.replace('"0"', '"{nobody}"'), "placeholder nobody"),
        (LIMITS + ATTACK + "before = ['PING']", "command without words"),
        (LIMITS + ATTACK + "[[exempt]]\ncommand = 'auth'", "exempt command"),
        ("exempt = ['auth']\n" + LIMITS + ATTACK, "exempt command"),
    ],
)
def test_a_broken_table_is_refused(broken: str, named: str) -> None:
    with pytest.raises(AttackTableError) as caught:
        parse_table(broken)
    assert named in str(caught.value)
    assert str(caught.value).endswith(".")


def test_each_attack_belongs_to_a_requirement_and_says_why() -> None:
    registry = load_registry()
    for attack in attack_table().attacks:
        assert registry[attack.requirement].id == attack.requirement
        assert attack.reason.endswith("."), attack.id


def test_each_requirement_has_more_attacks_than_its_witness_asks_for() -> None:
    """Servers lack some commands, and the rest has to be enough to say something."""
    registry = load_registry()
    for name in PLAYED:
        requirement = f"isolation.{name}"
        attacks = attack_table().of(requirement)
        assert len(attacks) >= registry[requirement].witness["attempts"], requirement


def test_each_placeholder_is_used() -> None:
    text = repr(attack_table().attacks)
    assert {name for name in PLACEHOLDERS if f"{{{name}}}" not in text} == set()


def test_placeholders_are_filled_within_words() -> None:
    words = ("GET", "x:{own}:{own_id}", "{ }", "{1}")
    assert filled(words, {"own": b"k", "own_id": b"a"}) == [b"GET", b"x:k:a", b"{ }", b"{1}"]
