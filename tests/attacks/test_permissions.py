# SPDX-License-Identifier: Apache-2.0
"""What a user may send is found out without sending it, with and without ACL DRYRUN."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import redis

from kryonix_cache.conformance.attacks.permissions import ask_rules, ask_server, evaluate
from kryonix_cache.conformance.attacks.specs import read_commands
from kryonix_cache.conformance.attacks.variants import FILLER

if TYPE_CHECKING:
    from kryonix_cache.reference_impl.connection import GuardedConnection

MEMBERS = {"dangerous": frozenset({"flushall", "keys", "client|kill"})}
RULES = [
    "-@all +get",
    "+@all -@dangerous",
    "+@all -@admin -flushall",
    "-@all +@read +@write +@connection -@admin -@dangerous",
    "-@all +@all -@dangerous +keys",
]


@pytest.mark.parametrize(
    ("rules", "command", "first", "permitted"),
    [
        ("-@all", "flushall", "", False),
        ("+@all", "flushall", "", True),
        ("+@all -@dangerous", "flushall", "", False),
        ("+@all -@dangerous +flushall", "flushall", "", True),
        ("-@dangerous +@all", "flushall", "", True),
        ("-@all +client|id", "client", "id", True),
        ("-@all +client|id", "client", "kill", False),
        ("+@all -@dangerous", "client", "kill", False),
        ("-@all +client -client|kill", "client", "kill", False),
        ("-@all +get", "getdel", "", False),
    ],
)
def test_the_last_rule_that_speaks_of_a_command_decides(
    rules: str, command: str, first: str, *, permitted: bool
) -> None:
    assert evaluate(rules.split(), MEMBERS, command, first) is permitted


@pytest.mark.parametrize("rules", RULES)
def test_the_rules_say_what_the_server_says(rules: str, connection: GuardedConnection) -> None:
    """Every command that takes no key is asked about in both ways, where the server has both."""
    commands = read_commands(connection)
    connection.exchange([(b"ACL", b"SETUSER", b"somebody", *rules.encode().split())])
    compared = 0
    for spec in commands.values():
        words = [*spec.words, *[FILLER] * (spec.fewest_words - len(spec.words))]
        verdict, told = ask_server(connection.exchange, b"somebody", words)
        # No rule can deny what works without a login, and no command rule speaks of channels.
        beside = spec.takes_keys or "no_auth" in spec.flags or "channel" in told
        if beside or verdict == "unknown":
            continue
        assert ask_rules(connection.exchange, b"somebody", words)[0] == verdict, (words, told)
        compared += 1
    assert compared > 40 or "acl|dryrun" not in commands


def test_what_is_never_sent_is_refused_or_permitted_by_the_rules(
    connection: GuardedConnection,
) -> None:
    for rules, verdict in (("+@all -@dangerous", "refused"), ("+@all", "permitted")):
        connection.exchange([(b"ACL", b"SETUSER", b"somebody", b"reset", *rules.encode().split())])
        for name in (b"FLUSHALL", b"FLUSHDB", b"SWAPDB", b"KEYS", b"SHUTDOWN"):
            assert ask_rules(connection.exchange, b"somebody", [name])[0] == verdict, name


def test_a_user_that_is_not_there_says_nothing(connection: GuardedConnection) -> None:
    assert ask_rules(connection.exchange, b"nobody", [b"FLUSHALL"])[0] == "unknown"
    if not isinstance(connection.exchange([(b"ACL", b"DRYRUN")])[0], redis.ResponseError):
        assert ask_server(connection.exchange, b"nobody", [b"FLUSHALL"])[0] == "unknown"
