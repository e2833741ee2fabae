# SPDX-License-Identifier: Apache-2.0
"""The judges of the attacks, on real users of a real server: nothing passes unseen or unsaid."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING, cast

import pytest

from kryonix_cache.conformance.attacks.arena import ATTACKER, VICTIM, Arena, open_arena
from kryonix_cache.conformance.attacks.fuzz import Soil, changed, fuzz
from kryonix_cache.conformance.attacks.judge import Judge
from kryonix_cache.conformance.attacks.replies import (
    NoReply,
    TimedOut,
    is_locked_out,
    is_refusal,
    shown,
    traces,
)
from kryonix_cache.conformance.attacks.specs import CommandSpec
from kryonix_cache.conformance.attacks.sweep import Tally, ground, sweep
from kryonix_cache.conformance.attacks.table import Attack
from kryonix_cache.conformance.evidence import Evidence
from kryonix_cache.conformance.outcomes import Inconclusive, NotApplicable
from kryonix_cache.fixtures.faults.catalogue import PACKAGE
from tests.attacks.conftest import session_of
from tests.conformance.runs import conformance
from tests.packaging.tree import ROOT

if TYPE_CHECKING:
    from pathlib import Path

    from kryonix_cache.conformance.session import RunSession

REQUIREMENTS = (
    *("isolation.acl-keys", "isolation.acl-enumeration", "isolation.acl-escape"),
    *("isolation.acl-admin", "isolation.acl-push", "isolation.acl-shared-code"),
    *("isolation.identity", "isolation.revocation"),
)

DESK = """
[access]
user = "desk-{tenant}"
revocation_s = 1.0
session = ["ping", "echo", "select", "multi", "exec"]
channel = ["subscribe"]
[access.commands.any]
read = ["exists", "type"]
write = ["del"]
[access.commands.string]
read = ["get"]
write = ["set"]
[access.commands.hash]
read = ["hget", "hgetall"]
write = ["hset"]
"""

USERS = [(b"ACL", b"LIST")]
LIBRARY = b"#!lua name=left\nredis.register_function('left', function() return 1 end)"


def attack(*words: str, judge: str = "refused", **fields: object) -> Attack:
    made = Attack("made", "isolation.acl-escape", judge, "It is made up.", steps=(words,))
    return replace(made, **fields)


def play(arena: Arena, *attacks: Attack) -> Judge:
    """Play attacks of a tenant whose user keeps its own password and may do what it may."""
    if ATTACKER not in arena.logins:
        arena.admit(ATTACKER, VICTIM)
    arena.populate((ATTACKER, VICTIM))
    judge = Judge(arena)
    for each in attacks:
        judge._play(each)
    return judge


def allow(arena: Arena, *rules: str) -> None:
    """Give the attacker more than the system under test gave it."""
    arena.admit(ATTACKER, VICTIM)
    user = arena.logins[ATTACKER].username.encode()
    arena.as_admin([(b"ACL", b"SETUSER", user, *(rule.encode() for rule in rules))])


def test_a_system_without_access_control_makes_all_not_applicable(tmp_path: Path) -> None:
    run = conformance(
        *("--target", "embedded", "--select", ",".join(REQUIREMENTS)),
        *("--system", f"{PACKAGE}.wiring:offers_no_seeding"),
        out=tmp_path,
    )
    assert run.outcomes == dict.fromkeys(REQUIREMENTS, "not-applicable")
    assert "no access control" in run.result(REQUIREMENTS[0]).reason


def test_an_account_that_cannot_make_users_fails_all_with_the_reason(tmp_path: Path) -> None:
    run = conformance(
        *("--target", "embedded", "--select", ",".join(REQUIREMENTS)),
        *("--system", f"{PACKAGE}.access:without_the_right"),
        out=tmp_path,
    )
    assert run.code == 1
    assert run.outcomes == dict.fromkeys(REQUIREMENTS, "fail")
    for requirement in REQUIREMENTS:
        assert "raised NoPermissionError" in run.result(requirement).reason


def test_a_system_without_access_control_opens_no_arena(tmp_path: Path) -> None:
    with (
        session_of(tmp_path, f"{PACKAGE}.wiring:offers_no_seeding") as session,
        pytest.raises(NotApplicable),
        open_arena(session, "isolation.acl-keys", Evidence()),
    ):
        raise AssertionError("an arena was opened")


def test_tenants_log_in_on_servers_of_the_bench_only(session: RunSession) -> None:
    with pytest.raises(ValueError, match="no server of the bench"):
        session.tenant_pools(session.target, None, "tenant").__enter__()
    with pytest.raises(ValueError, match="no server of the bench"):
        session.administering(session.target, "admin").__enter__()


def test_a_command_that_the_server_does_not_understand_is_untried(arena: Arena) -> None:
    arena.admit(ATTACKER, VICTIM)
    arena.populate((ATTACKER, VICTIM))
    known = arena.commands["get"]
    made_up = replace(known, name="unheard-of", arguments=None)
    arena.commands = {"get": known, "unheard-of": made_up}
    tally = sweep(arena)
    assert (tally.tried, tally.untried) == (["get"], ["unheard-of"])
    assert arena.evidence.total == 0
    with pytest.raises(
        Inconclusive, match=r"1 of 2 commands untried \(unheard-of\), more than 2 %"
    ):
        tally.settle(2)


def test_few_untried_commands_are_named_and_do_not_matter() -> None:
    tally = Tally(tried=["a"] * 99, untried=["odd"])
    tally.settle(1)
    assert str(tally) == "1 of 100 commands untried (odd)"


def test_a_sweep_finds_every_command_that_gets_through(arena: Arena) -> None:
    """With every key permitted, each command is found out by its reply or by what it did."""
    allow(arena, "alldbs", "~*", "+@all")
    arena.populate((ATTACKER, VICTIM))
    names = ("get", "set", "del", "rename", "zunionstore", "xinfo|stream", "sort", "append")
    arena.commands = {name: arena.commands[name] for name in names}
    sweep(arena)
    found = " ".join(each.where for each in arena.evidence.findings)
    assert arena.evidence.total >= len(names)
    assert all(name.split("|")[0] in found.lower() for name in names), found


def test_changed_calls_find_what_gets_through(arena: Arena) -> None:
    """Whatever the server says of its keys, the other tenant's keys and secrets decide."""
    allow(arena, "alldbs", "~*", "+append", "+get")
    arena.populate((ATTACKER, VICTIM))
    arena.commands = {name: arena.commands[name] for name in ("append", "get")}
    assert fuzz(arena, Random(1), 500) > 100
    assert "APPEND" in "".join(each.where for each in arena.evidence.findings)
    assert "secret-of" in "".join(each.found for each in arena.evidence.findings)


def test_the_same_seed_changes_calls_alike(arena: Arena) -> None:
    arena.admit(ATTACKER, VICTIM)
    place = ground(arena, "string")
    soil = Soil(place, ((b"GET", b"k"), (b"SET", b"k", b"v")), (b"x", b"y"), fixed=1)
    first, again, other = ([changed(Random(n), soil) for _ in range(3)] for n in (1, 1, 2))
    assert first == again != other
    assert all(words[0] in {b"GET", b"SET"} for words in first + other)


def test_a_contract_of_another_team_is_judged(tmp_path: Path) -> None:
    """Its tenants have no channels, few families, and one of them for reading only."""
    contract = tmp_path / "desk.toml"
    example = ROOT.joinpath("examples", "contract", "tickets.toml").read_text(encoding="utf-8")
    contract.write_text(
        example.replace('type = "hash"', 'type = "hash"\naccess = "read"', 1) + DESK
    )
    run = conformance(
        *("--target", "embedded", "--contract", str(contract), "--profile", "staging"),
        *("--select", ",".join(REQUIREMENTS)),
        out=tmp_path / "runs",
    )
    assert (run.code, run.outcomes) == (0, dict.fromkeys(REQUIREMENTS, "pass")), run.output


def test_an_attack_that_is_answered_is_found(arena: Arena) -> None:
    allow(arena, "+dbsize")
    play(arena, attack("DBSIZE"))
    (finding,) = arena.evidence.findings
    assert (finding.where, finding.wanted) == ("made: DBSIZE", "NOPERM")


def test_a_count_that_changes_with_the_other_tenant_is_found(arena: Arena) -> None:
    allow(arena, "+dbsize")
    play(arena, attack("DBSIZE", judge="silent"))
    (finding,) = arena.evidence.findings
    assert finding.wanted == "the same, whatever the other tenant does"


def test_a_reply_that_tells_nothing_is_no_finding(arena: Arena) -> None:
    play(arena, attack("ECHO", "hello", judge="silent"))
    assert (arena.evidence.total, arena.evidence.observations["attempts"]) == (0, 1)


def test_a_changed_key_is_found_whatever_the_reply(arena: Arena) -> None:
    allow(arena, "alldbs", "~*", "+append")
    play(arena, attack("APPEND", "{other}", "x", judge="harmless"))
    assert "string" in arena.evidence.findings[0].found


def test_a_new_key_among_anothers_is_found(arena: Arena) -> None:
    allow(arena, "alldbs", "~*", "+set")
    play(arena, attack("SET", "{other}:more", "x", judge="harmless"))
    assert arena.evidence.findings[0].found == "it is there now"


def test_a_pushed_message_of_another_is_found(arena: Arena) -> None:
    allow(arena, "allchannels")
    play(arena, attack("SUBSCRIBE", "{other_channel}", judge="quiet"))
    assert "secret-of" in arena.evidence.findings[0].found


def test_a_session_that_may_do_more_is_found(arena: Arena) -> None:
    arena.admit(ATTACKER, VICTIM)
    arena.as_admin([(b"ACL", b"SETUSER", b"default", b"on", b"nopass", b"~*", b"+@all")])
    try:
        play(arena, attack("RESET", judge="no-more"))
    finally:
        arena.as_admin([(b"ACL", b"SETUSER", b"default", b"reset")])
    assert "CONFIG GET maxmemory gives" in "".join(f.found for f in arena.evidence.findings)


def test_what_would_harm_is_asked_and_not_sent(arena: Arena) -> None:
    allow(arena, "+shutdown", "+flushall", "alldbs")
    play(arena, attack("SHUTDOWN", "NOSAVE", asked=True), attack("FLUSHALL"))
    assert [each.found for each in arena.evidence.findings] == ["the server permits it (OK)"] * 2


def test_an_attack_in_words_that_no_command_takes_is_not_counted(arena: Arena) -> None:
    judge = play(arena, attack("GET"))
    assert judge.unjudged == ["made (ERR wrong number of arguments for 'get' command)"]
    assert arena.evidence.observations["attempts"] == 0


def test_an_attack_whose_preparation_fails_is_not_counted(arena: Arena) -> None:
    judge = play(arena, attack("PING", before=(("LPUSH", "{own}", "x"),)))
    assert "its preparation: WRONGTYPE" in judge.unjudged[0]


def test_a_password_stands_in_no_finding(arena: Arena) -> None:
    arena.admit(ATTACKER, VICTIM)
    play(arena, attack("ECHO", "{own_password}"))
    password = arena.logins[ATTACKER].password
    (finding,) = arena.evidence.findings
    assert password not in finding.where
    assert "(its password)" in finding.where


def test_an_arena_leaves_its_server_as_it_was(session: RunSession) -> None:
    for _ in range(2):
        with open_arena(session, "isolation.acl-keys", Evidence()) as arena:
            assert arena._places() == []
            assert arena.as_admin([(b"ACL", b"USERS")])[0] == [b"admin", b"default"]
            assert b"user default off" in cast("list[bytes]", arena.as_admin(USERS)[0])[1]
            assert arena.as_admin([(b"FUNCTION", b"LIST")])[0] == []
            arena.admit(ATTACKER)
            arena.populate([ATTACKER])
            arena.as_admin([(b"ACL", b"SETUSER", b"default", b"on", b"nopass", b"+@all")])
            arena.as_admin([(b"FUNCTION", b"LOAD", LIBRARY)])


def test_only_the_code_of_a_refusal_counts() -> None:
    assert not is_refusal(NoReply("no reply"))
    assert not is_refusal(None)
    assert not is_refusal(b"NOPERM")


def test_silence_is_no_refusal_and_a_closed_connection_is() -> None:
    assert is_locked_out(NoReply("closed"))
    assert not is_locked_out(TimedOut("nothing came"))


def test_traces_are_found_however_deep() -> None:
    assert traces([1, [{b"k": [b"a secret"]}]], [b"secret", b"other"]) == [b"secret"]
    assert traces(None, [b"secret"]) == []


def test_a_digest_of_a_password_is_not_shown() -> None:
    assert shown(b"user a on #0123456789abcdef0123 ~*") == "b'user a on #... ~*'"


def test_a_spec_says_with_how_few_words_it_can_be_called() -> None:
    made = CommandSpec("a|b", -3, frozenset(), 0, 0, 0, frozenset(), takes_keys=True, arguments=())
    assert (made.words, made.fewest_words) == ((b"A", b"B"), 3)


def test_a_system_that_closes_connections_one_by_one_in_time_passes(tmp_path: Path) -> None:
    """What was queued is judged once its connection is closed or the contract's time is over."""
    run = conformance(
        *("--target", "embedded", "--select", "isolation.revocation"),
        *("--system", "tests.attacks.systems:closes_one_by_one"),
        out=tmp_path,
    )
    assert run.outcomes == {"isolation.revocation": "pass"}, run.output
