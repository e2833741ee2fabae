# SPDX-License-Identifier: Apache-2.0
"""Tables on the terminal, and the same rows in full width in a pipe."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# A pipe has no width: wrapped cells would break every grep.
_PIPE_WIDTH = 250


def print_rows(rows: Sequence[Mapping[str, object]]) -> None:
    """Print rows that all have the same columns; their names are the headings."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for index, name in enumerate(rows[0] if rows else ()):
        table.add_column(name.replace("_", " "), overflow="fold", no_wrap=index == 0)
    for row in rows:
        table.add_row(*(Text(_text(value)) for value in row.values()))
    Console(width=None if sys.stdout.isatty() else _PIPE_WIDTH).print(table)


def _text(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(str(item) for item in value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "-" if value is None else str(value)
