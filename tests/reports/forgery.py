# SPDX-License-Identifier: Apache-2.0
"""Changing a record the way a careful forger would: with a footer that fits the new bytes."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

Lines = list[dict[str, Any]]


def forge(path: Path, change: Callable[[Lines], None]) -> None:
    """Apply `change` to the parsed lines; line count and hash in the footer follow."""
    lines: Lines = [json.loads(line) for line in path.read_bytes().splitlines()]
    change(lines)
    *body, footer = lines
    head = b"".join(json.dumps(line).encode() + b"\n" for line in body)
    footer["lines"] = len(body)
    footer["sha256"] = hashlib.sha256(head).hexdigest()
    path.write_bytes(head + json.dumps(footer).encode() + b"\n")


def first(lines: Lines, kind: str) -> dict[str, Any]:
    """Return the first line of a kind."""
    return next(line for line in lines if line["kind"] == kind)
