# SPDX-License-Identifier: Apache-2.0
"""Calls that are generated from a server's own description reach the key that they are about."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kryonix_cache.conformance.attacks.specs import Argument, CommandSpec, read_commands
from kryonix_cache.conformance.attacks.sweep import sees
from kryonix_cache.conformance.attacks.variants import Call, calls, filled

if TYPE_CHECKING:
    import pytest

    from kryonix_cache.reference_impl.connection import GuardedConnection

KEY = Argument("key", "key")
KEYS = Argument("key", "key", multiple=True)


def spec(*arguments: Argument, arity: int = -2, name: str = "command") -> CommandSpec:
    return CommandSpec(
        name=name,
        arity=arity,
        flags=frozenset(),
        first=1,
        last=1,
        step=1,
        categories=frozenset(),
        takes_keys=True,
        arguments=arguments or None,
    )


def arguments_of(call: Call) -> list[str]:
    return ["KEY" if word is None else word.decode() for word in call[1:]]


def variants(*arguments: Argument, arity: int = -2) -> list[list[str]]:
    return [arguments_of(call) for call in calls(spec(*arguments, arity=arity))]


def test_every_command_that_takes_keys_gets_a_call_in_which_the_server_sees_the_key(
    connection: GuardedConnection, capsys: pytest.CaptureFixture[str]
) -> None:
    """The server's own parser is asked about each command that it lists, subcommands included."""
    commands = [each for each in read_commands(connection).values() if each.takes_keys]
    untried = []
    for each in commands:
        probes = [words for call in calls(each) for words in filled(call, [b"other"], [b"own"])]
        answers = connection.exchange([(b"COMMAND", b"GETKEYS", *words) for words in probes])
        if not any(sees(answer, [b"other"]) for answer in answers):
            untried.append(each.name)
    with capsys.disabled():
        print(f"{len(commands)} commands take keys, untried: {untried or 'none'}")  # noqa: T201 (a reader wants to see it)
    assert len(commands) > 150
    assert untried == []


def test_channels_of_sharded_messages_are_no_keys(connection: GuardedConnection) -> None:
    commands = read_commands(connection)
    assert not any(commands[name].takes_keys for name in ("spublish",) if name in commands)
    assert commands["get"].takes_keys
    assert not commands["ping"].takes_keys


def test_optional_parts_are_left_out_taken_alone_and_taken_together() -> None:
    options = [Argument(name, "pure-token", token=name.encode(), optional=True) for name in "AB"]
    assert variants(KEY, *options) == [["KEY"], ["KEY", "A"], ["KEY", "B"], ["KEY", "A", "B"]]


def test_each_alternative_is_taken() -> None:
    words = tuple(Argument(name, "pure-token", token=name.encode()) for name in "AB")
    assert variants(KEY, Argument("choice", "oneof", children=words), arity=3) == [
        ["KEY", "A"],
        ["KEY", "B"],
    ]


def test_the_number_of_keys_is_the_number_of_keys() -> None:
    found = variants(Argument("numkeys", "integer"), KEYS, arity=-3)
    assert ["1", "KEY"] in found
    assert ["2", "KEY", "KEY"] in found


def test_a_key_behind_an_optional_word_is_tried_with_every_other_option() -> None:
    store = Argument("target", "key", token=b"STORE", optional=True)
    ascending = Argument("asc", "pure-token", token=b"ASC", optional=True)
    assert ["KEY", "ASC", "STORE", "KEY"] in variants(KEY, ascending, store)


def test_an_optional_part_that_names_a_key_is_given_twice() -> None:
    store = Argument("target", "key", token=b"STORE", optional=True)
    assert ["KEY", "STORE", "KEY", "STORE", "KEY"] in variants(KEY, store)


def test_a_call_is_cut_to_the_fewest_words_that_the_server_takes() -> None:
    """Where the description wants more than the arity, the shorter call is tried as well."""
    assert variants(Argument("target", "key"), KEYS)[-1] == ["KEY"]


def test_the_other_key_stands_in_each_place_once_and_in_all() -> None:
    found = list(filled((b"C", None, b"x", None), [b"B"], [b"own", b"own2"]))
    assert found == [
        [b"C", b"B", b"x", b"own"],
        [b"C", b"own", b"x", b"B"],
        [b"C", b"B", b"x", b"B"],
    ]


def test_a_command_without_a_description_is_called_by_the_places_of_its_keys() -> None:
    assert [arguments_of(call) for call in calls(spec(arity=3))] == [["KEY", "1"]]
