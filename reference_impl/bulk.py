# SPDX-License-Identifier: Apache-2.0
"""Read commands for very many keys, packed by hand and safe by construction.

A redis-py pipeline spends most of its time packing and parsing in Python. A template is
judged once; after that only keys enter it, each with its length before it, so no key can
turn into a command. Only the commands below fit into a template.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import redis

if TYPE_CHECKING:
    from collections.abc import Sequence

Reply: TypeAlias = bytes | int | redis.ResponseError | list["Reply"] | None
"""A RESP2 reply as it is on the wire."""

READ_COMMANDS = frozenset(
    b"DUMP EXISTS EXPIRETIME GET HGETALL HLEN HMGET HSTRLEN LLEN LRANGE MEMORY OBJECT PEXPIRETIME "
    b"PTTL SCARD SMEMBERS STRLEN TTL TYPE XLEN ZCARD ZRANGE".split()
)
"""What a template may hold; each reads, and names its one key."""


class KeyTemplate:
    """Some read commands for one key; `None` stands where the key goes.

    `KeyTemplate((b"TYPE", None), (b"MEMORY", b"USAGE", None, b"SAMPLES", b"0"))`.
    """

    __slots__ = ("_format", "commands")

    def __init__(self, *commands: Sequence[bytes | None]) -> None:
        """Raise ValueError for a command that is no plain read of one key."""
        for command in commands:
            name = (command[0] or b"").upper() if command else b""
            if name not in READ_COMMANDS or list(command).count(None) != 1:
                raise ValueError(f"{name.decode()!r} is no read command with one key")
        if not commands:
            raise ValueError("a template needs at least one command")
        self.commands: tuple[tuple[bytes | None, ...], ...] = tuple(
            tuple(command) for command in commands
        )
        self._format = b"".join(_format(command) for command in self.commands)

    def __len__(self) -> int:
        return len(self.commands)

    def commands_for(self, key: bytes) -> tuple[tuple[bytes, ...], ...]:
        """Return the commands with this key in them."""
        return tuple(
            tuple(key if argument is None else argument for argument in command)
            for command in self.commands
        )

    def packed(self, keys: Sequence[bytes]) -> bytes:
        """Return the commands for all keys as they go to the wire."""
        form, places = self._format, len(self.commands)
        return b"".join([form % ((b"$%d\r\n%b\r\n" % (len(key), key),) * places) for key in keys])


def _format(command: Sequence[bytes | None]) -> bytes:
    pieces = [b"*%d\r\n" % len(command)]
    for argument in command:
        if argument is None:
            pieces.append(b"%b")
        else:
            pieces.append((b"$%d\r\n%b\r\n" % (len(argument), argument)).replace(b"%", b"%%"))
    return b"".join(pieces)
