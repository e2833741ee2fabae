# SPDX-License-Identifier: Apache-2.0
"""
What a user may send, without sending it: ACL DRYRUN where the server has it, else its rules.

For commands that the project never sends, and those that do harm where they are allowed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, cast

import redis

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from kryonix_cache.reference_impl.connection import Command, Reply

Verdict = Literal["permitted", "refused", "unknown"]

_ALL = "@all"


def ask_server(
    send: Callable[[Sequence[Command]], list[Reply]], user: bytes, words: Sequence[bytes]
) -> tuple[Verdict, str]:
    """Ask by ACL DRYRUN whether the user may send this; return the server's words as well."""
    reply = send([(b"ACL", b"DRYRUN", user, *words)])[0]
    if reply == b"OK":
        return "permitted", "OK"
    if isinstance(reply, bytes):
        return "refused", reply.decode(errors="replace")
    return "unknown", str(reply)


def ask_rules(
    send: Callable[[Sequence[Command]], list[Reply]], user: bytes, words: Sequence[bytes]
) -> tuple[Verdict, str]:
    """Find out from the rules of the user whether it may send this command with some keys."""
    groups, members = read_rules(send, user)
    if not groups:
        return "unknown", "the rules of the user cannot be read"
    command = words[0].decode().lower()
    first = words[1].decode(errors="replace").lower() if len(words) > 1 else ""
    permitted = any(evaluate(rules, members, command, first) for rules in groups)
    return ("permitted" if permitted else "refused"), "; ".join(" ".join(each) for each in groups)


def read_rules(
    send: Callable[[Sequence[Command]], list[Reply]], user: bytes
) -> tuple[list[list[str]], Mapping[str, frozenset[str]]]:
    """Return the command rules of a user and of each of its selectors, and their categories.

    The first are empty where the user cannot be read.
    """
    reply = send([(b"ACL", b"GETUSER", user)])[0]
    if not isinstance(reply, list):
        return [], {}
    fields = _fields(reply)
    selectors = cast("list[object]", fields.get(b"selectors", []))
    groups = [
        cast("bytes", each[b"commands"]).decode().lower().split()
        for each in (fields, *(_fields(selector) for selector in selectors))
    ]
    named = {rule[2:] for rules in groups for rule in rules if rule[1:2] == "@"} - {_ALL[1:]}
    return groups, {name: _members(send([(b"ACL", b"CAT", name.encode())])[0]) for name in named}


def read_channels(send: Callable[[Sequence[Command]], list[Reply]], user: bytes) -> list[bytes]:
    """Return the patterns of channels in the rules of a user and of each of its selectors."""
    reply = send([(b"ACL", b"GETUSER", user)])[0]
    if not isinstance(reply, list):
        return []
    fields = _fields(reply)
    selectors = cast("list[object]", fields.get(b"selectors", []))
    found: list[bytes] = []
    for each in (fields, *(_fields(selector) for selector in selectors)):
        channels = each[b"channels"]
        # Redis 6.2 gives a list, later servers one text with a sign before each.
        listed = channels.split() if isinstance(channels, bytes) else channels
        found += [name.removeprefix(b"&") for name in cast("list[bytes]", listed)]
    return found


def _fields(reply: object) -> Mapping[bytes, object]:
    if isinstance(reply, dict):
        return reply
    pairs = cast("Sequence[object]", reply)
    return dict(zip(cast("Sequence[bytes]", pairs[::2]), pairs[1::2], strict=True))


def evaluate(
    rules: Iterable[str], members: Mapping[str, frozenset[str]], command: str, first: str = ""
) -> bool:
    """Say whether command rules such as `-@all +get +client|id` permit a command.

    The last rule that speaks of it decides. `members` are the commands of each category;
    `first` is the first argument, by which a subcommand is permitted.
    """
    names = {command, f"{command}|{first}"}
    permitted = False
    for rule in rules:
        sign, what = rule[0], rule[1:]
        if what == _ALL or what in names or (what[:1] == "@" and names & members[what[1:]]):
            permitted = sign == "+"
    return permitted


def _members(reply: Reply) -> frozenset[str]:
    if isinstance(reply, redis.ResponseError) or not isinstance(reply, list):
        return frozenset()
    return frozenset(cast("bytes", each).decode().lower() for each in reply)
