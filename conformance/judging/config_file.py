# SPDX-License-Identifier: Apache-2.0
"""Reading a server's configuration file: what a restart would set."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kryonix_cache.conformance.errors import ConfigFileError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_WORD = re.compile(r"""\s*(?:"((?:[^"\\]|\\.)*)"|'((?:[^'\\]|\\')*)'|(\S+))""")


@dataclass(frozen=True, slots=True)
class ConfigFile:
    """The directives that stand in a file, with lower-case names; `save` lines are joined.

    `includes` names further files, which are not followed.
    """

    directives: Mapping[str, str]
    includes: tuple[str, ...]


def read_config_file(path: Path) -> ConfigFile:
    """Read a redis.conf or valkey.conf.

    Raises:
        ConfigFileError: it cannot be read, or is no text.

    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ConfigFileError(
            f"The configuration file {path} cannot be read ({reason}): "
            "give --config-file a readable copy of the server's own file."
        ) from None
    directives: dict[str, str] = {}
    includes: list[str] = []
    for line in text.splitlines():
        words = _words(line)
        if not words or words[0].startswith("#"):
            continue
        name, value = words[0].lower(), " ".join(words[1:])
        if name == "include":
            includes.append(value)
        elif name == "save" and value and directives.get("save"):
            directives["save"] += f" {value}"
        else:
            # As in the server: the last line of a name wins, and `save ""` clears the list.
            directives[name] = value
    return ConfigFile(directives, tuple(includes))


def _words(line: str) -> list[str]:
    found = _WORD.finditer(line.strip())
    return [next(group for group in match.groups() if group is not None) for match in found]
