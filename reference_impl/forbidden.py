# SPDX-License-Identifier: Apache-2.0
"""The commands that are never sent, by nobody, in no spelling.

FLUSHALL and FLUSHDB remove every tenant's data, SWAPDB exchanges it, and KEYS blocks the
server for all of them (E08). The check sees the arguments exactly as they go to the wire.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TypeAlias

from kryonix_cache.reference_impl.errors import ForbiddenCommandError

Command: TypeAlias = Sequence[bytes]
"""A command as it goes to the wire: name and arguments, each as bytes."""

FORBIDDEN = frozenset({b"FLUSHALL", b"FLUSHDB", b"KEYS", b"SWAPDB"})

_CARRIERS = frozenset({b"EVAL", b"EVAL_RO", b"EVALSHA", b"EVALSHA_RO", b"FCALL", b"FCALL_RO"})
_CONTAINERS = {b"SCRIPT": frozenset({b"LOAD"}), b"FUNCTION": frozenset({b"LOAD", b"RESTORE"})}

_ESCAPE = re.compile(rb"\\(?:x([0-9a-fA-F]{2})|u\{0*([0-9a-fA-F]{2})\}|([0-9]{1,3})|z\s*)")
_JOINT = re.compile(rb"""(?:['"]|\]=*\])[\s()]*\.\.[\s()]*(?:['"]|\[=*\[)""")
# KEYS[1] is how each script names its keys, so KEYS counts only as the content of a string.
_NAMED = re.compile(
    rb"""(?i)(?<![a-z0-9_])(flushall|flushdb|swapdb)(?![a-z0-9_])"""
    rb"""|(?:['"]|\[=*\[)\s*(keys)\s*(?:['"]|\]=*\])"""
)


def refuse_forbidden(command: Command) -> None:
    """Refuse a forbidden command, also where a script or a function body names it.

    A script that puts the name together at run time from numbers cannot be seen here; on a
    live target the power guard therefore sends no script at all.

    Raises:
        ForbiddenCommandError: the command was not sent.

    """
    name = command[0].upper()
    if name in FORBIDDEN:
        raise ForbiddenCommandError(name.decode())
    if name in _CARRIERS:
        _refuse_in_script(command, name.decode())
    elif name in _CONTAINERS and len(command) > 1:
        subcommand = command[1].upper()
        if subcommand in _CONTAINERS[name]:
            _refuse_in_script(command[1:], f"{name.decode()} {subcommand.decode()}")


def _refuse_in_script(command: Command, carrier: str) -> None:
    for argument in command[1:]:
        # A script may take the name of the command to call from its arguments.
        if argument.strip().upper() in FORBIDDEN:
            raise ForbiddenCommandError(argument.strip().upper().decode(), carrier)
        found = _NAMED.search(_JOINT.sub(b"", _ESCAPE.sub(_unescaped, argument)))
        if found:
            raise ForbiddenCommandError((found[1] or found[2]).upper().decode(), carrier)


def _unescaped(escape: re.Match[bytes]) -> bytes:
    hexadecimal = escape[1] or escape[2]
    if hexadecimal:
        return bytes([int(hexadecimal, 16)])
    return bytes([int(escape[3]) % 256]) if escape[3] else b""
