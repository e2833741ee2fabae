# SPDX-License-Identifier: Apache-2.0
"""How keys and values appear in findings: escaped, cut to length, and never a secret."""

from __future__ import annotations

LONGEST_NAME = 160
LONGEST_VALUE = 64


def shown_key(key: bytes) -> str:
    """Return a key in quotes, with everything that does not print escaped (E09).

    A key that is not UTF-8 shows as bytes, with a `b` before the quotes.
    """
    try:
        shown = repr(key.decode())
    except UnicodeDecodeError:
        shown = repr(key)
    return _cut(shown, LONGEST_NAME, len(key))


def shown_value(text: str) -> str:
    """Return a value that is no secret, in quotes and cut to length."""
    return _cut(repr(text), LONGEST_VALUE, len(text))


def place(database: int, key: bytes, path: str = "") -> str:
    """Return where a finding is: database, key, and the way to the field inside it."""
    return f"db {database} key {shown_key(key)}{path}"


def _cut(shown: str, longest: int, length: int) -> str:
    if len(shown) <= longest:
        return shown
    return f"{shown[:longest]}… ({length} in all)"
