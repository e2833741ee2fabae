# SPDX-License-Identifier: Apache-2.0
"""What a server was sent, as MONITOR and its own figures tell, whoever sent it."""

from __future__ import annotations

import re
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from kryonix_cache.reference_impl.connection import bulk

if TYPE_CHECKING:
    from collections.abc import Iterator

    import redis

    from kryonix_cache.reference_impl.connection import Pools

_END = b"the end of the window"
_LINE = re.compile(rb"[0-9.]+ \[([0-9]+) [^\]]*\] (.*)", re.DOTALL)
_WORD = re.compile(rb'"((?:[^"\\]|\\.)*)"')
_ESCAPED = re.compile(rb"\\(x[0-9a-fA-F]{2}|.)")
_PLAIN = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"a": b"\a", b"b": b"\b"}


@dataclass(frozen=True, slots=True)
class Sent:
    """One command: the database it was sent to, its name in upper case, its arguments."""

    database: int
    name: str
    arguments: tuple[bytes, ...]

    def __str__(self) -> str:
        words = b" ".join(self.arguments[:4]).decode(errors="backslashreplace")
        return f"{self.name} {words[:120]} (db {self.database})"


@contextmanager
def monitored(client: redis.Redis, sent: list[Sent]) -> Iterator[None]:
    """Put into `sent` every command that the server processes inside the block.

    The lines wait in the server until the block is left, so it must send thousands of commands
    and no millions.
    """
    with bulk(client) as connection:
        connection.exchange([(b"MONITOR",)])
        try:
            yield
            client.echo(_END)
            while True:
                (line,) = connection.read_replies(1)
                command = _parsed(cast("bytes", line))
                if command.arguments[:1] == (_END,):
                    break
                sent.append(command)
        finally:
            # A connection that has monitored can do nothing else.
            connection.drop()


def _parsed(line: bytes) -> Sent:
    found = _LINE.fullmatch(line)
    if found is None:
        raise ValueError(line)
    name, *arguments = (_ESCAPED.sub(_unescaped, word) for word in _WORD.findall(found[2]))
    return Sent(int(found[1]), name.decode(errors="replace").upper(), tuple(arguments))


def _unescaped(match: re.Match[bytes]) -> bytes:
    code = match[1]
    if code.startswith(b"x") and len(code) > 1:
        return bytes([int(code[1:], 16)])
    return _PLAIN.get(code, code)


def writing_commands(client: redis.Redis) -> frozenset[str]:
    """Return the names of the commands that the server itself calls writes, in upper case."""
    table = cast("dict[str, dict[str, list[str]]]", client.command())
    found = frozenset(name.upper() for name, entry in table.items() if "write" in entry["flags"])
    assert {"SET", "EXPIRE", "UNLINK"} <= found
    return found


def calls(client: redis.Redis) -> dict[str, int]:
    """Return how often each command was called since the figures were last reset."""
    figures = cast("dict[str, dict[str, int]]", client.info("commandstats"))
    return {name.removeprefix("cmdstat_"): each["calls"] for name, each in figures.items()}


@contextmanager
def slow_commands(admin: Pools, above_us: int, slow: list[tuple[str, int]]) -> Iterator[None]:
    """Put into `slow` what took longer than `above_us` microseconds, and how long each took."""
    client = admin[0]
    names = ("slowlog-log-slower-than", "slowlog-max-len")
    usual = {name: cast("dict[str, str]", client.config_get(name))[name] for name in names}
    client.config_set(names[1], 1000)
    client.config_set(names[0], above_us)
    client.slowlog_reset()
    try:
        yield
        client.config_set(names[0], -1)
        for entry in cast("list[dict[str, object]]", client.slowlog_get(1000)):
            words = b" ".join(cast("bytes", entry["command"]).split()[:3])
            text = words.decode(errors="backslashreplace")[:120]
            slow.append((text, cast("int", entry["duration"])))
    finally:
        for name, value in usual.items():
            client.config_set(name, value)
