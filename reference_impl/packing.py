# SPDX-License-Identifier: Apache-2.0
"""
Packing: from a command to the bytes for the wire, through the check that nothing goes round.

A policy decides about each command just before its bytes are made, and a connection sends
nothing but bytes that were made here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, cast

import hiredis
import redis

from kryonix_cache.reference_impl.errors import DatabaseSwitchError, ForbiddenCommandError
from kryonix_cache.reference_impl.forbidden import Command, refuse_forbidden

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from kryonix_cache.reference_impl.bulk import KeyTemplate

_CHUNK = 1 << 16


class CommandPolicy(Protocol):
    """What decides about each command before it is sent.

    Each method raises to refuse; what it lets pass is sent. Commands of the connection's
    own set-up (AUTH, SELECT, CLIENT SETNAME) are not shown to a policy. Subclass the
    Protocol to inherit `check_batch` and `check_bulk`.
    """

    def check(self, args: Command, database: int) -> None:
        """Judge one command that goes out alone."""
        ...

    def refused(self, name: str) -> None:
        """Take note of a command that is forbidden in the whole project, and was not sent."""
        del name

    def check_batch(self, commands: Sequence[Command], database: int) -> None:
        """Judge the commands of one pipeline, MULTI and EXEC among them."""
        for command in commands:
            self.check(command, database)

    def check_bulk(self, template: KeyTemplate, database: int, keys: int) -> None:
        """Judge a bulk read of so many keys; a template holds read commands only."""
        for command in template.commands_for(b"") if keys else ():
            self.check(command, database)


class CheckedBytes(list[bytes]):
    """Bytes for the wire that came out of the check; nothing else is sent."""


class GuardedPacker:
    """Packs one command for the wire, after the check of exactly these bytes.

    redis-py hands each command that is not part of a pipeline to the packer of its
    connection, whichever way it came.
    """

    def __init__(self, policy: CommandPolicy | None, database: int) -> None:
        self._policy = policy
        self._database = database
        self.setting_up = False

    def pack(self, *args: object) -> list[bytes]:
        """Pack a command that goes out alone."""
        command = _as_sent(args)
        self._refuse(command)
        if self._policy is not None and not self.setting_up:
            self._policy.check(command, self._database)
        return CheckedBytes([_packed(command)])

    def pack_batch(self, commands: Iterable[Sequence[object]]) -> list[bytes]:
        """Pack a pipeline, which is judged as a whole."""
        batch = [_as_sent(command) for command in commands]
        for command in batch:
            self._refuse(command)
        if self._policy is not None:
            self._policy.check_batch(batch, self._database)
        return _in_chunks(_packed(command) for command in batch)

    def pack_bulk(self, template: KeyTemplate, keys: Sequence[bytes]) -> list[bytes]:
        """Pack the reads of a template for each key."""
        if self._policy is not None:
            self._policy.check_bulk(template, self._database, len(keys))
        return CheckedBytes([template.packed(keys)])

    def _refuse(self, command: Command) -> None:
        try:
            refuse_forbidden(command)
        except ForbiddenCommandError as error:
            if self._policy is not None:
                self._policy.refused(error.command)
            raise
        if command[0].upper() == b"SELECT" and not self.setting_up:
            raise DatabaseSwitchError(self._database)


def _as_sent(args: Sequence[object]) -> tuple[bytes, ...]:
    # redis-py writes 'CONFIG GET' as one word where the wire has two.
    first = _encoded(args[0])
    name = tuple(first.split()) or (first,)
    return name + tuple(
        argument if type(argument) is bytes else _encoded(argument) for argument in args[1:]
    )


def _encoded(argument: object) -> bytes:
    if isinstance(argument, bytes | bytearray | memoryview):
        return bytes(argument)
    if isinstance(argument, str):
        return argument.encode()
    if isinstance(argument, int | float) and not isinstance(argument, bool):
        return repr(argument).encode()
    raise redis.DataError(
        f"a command takes bytes, str, int or float, not {type(argument).__name__}"
    )


def _packed(command: tuple[bytes, ...]) -> bytes:
    return cast("bytes", hiredis.pack_command(cast("Any", command)))


def _in_chunks(packed: Iterable[bytes]) -> list[bytes]:
    chunks, pieces, size = CheckedBytes(), [], 0
    for piece in packed:
        pieces.append(piece)
        size += len(piece)
        if size >= _CHUNK:
            chunks.append(b"".join(pieces))
            pieces, size = [], 0
    if pieces:
        chunks.append(b"".join(pieces))
    return chunks
