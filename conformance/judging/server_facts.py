# SPDX-License-Identifier: Apache-2.0
"""What a server tells about itself, asked once and only by reading.

Each question may be refused by an ACL or unknown to an old server. A refusal is kept beside
the answers, so that a judge can say what it could not see instead of guessing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import redis

from kryonix_cache.conformance.judging.attempts import Attempt, attempt_without_credentials
from kryonix_cache.conformance.judging.config_file import ConfigFile, read_config_file
from kryonix_cache.reference_impl.reachability import product_of
from kryonix_cache.reference_impl.scan import reader, told

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from kryonix_cache.reference_impl.bulk import Reply
    from kryonix_cache.reference_impl.connection import CommandPolicy, Endpoint

_QUESTIONS: tuple[tuple[bytes, ...], ...] = (
    (b"PING",),
    (b"CONFIG", b"GET", b"*"),
    (b"INFO",),
    (b"ACL", b"WHOAMI"),
    (b"ACL", b"GETUSER", b"default"),
)
_NAMES = ("PING", "CONFIG GET", "INFO", "ACL WHOAMI", "ACL GETUSER")


@dataclass(frozen=True, slots=True)
class User:
    """What an ACL says of a user: its flags, and the keys and commands it may use.

    `selectors` counts the further rules of Redis 7 that add to the first.
    """

    flags: tuple[str, ...]
    keys: str
    commands: str
    selectors: int

    @property
    def is_open(self) -> bool:
        """Whether anybody can be this user without a password, and then run any command."""
        allowed = any(word.startswith("+") for word in self.commands.split())
        return "on" in self.flags and "nopass" in self.flags and (allowed or bool(self.selectors))


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentFacts:
    """Everything the server's judges look at.

    `directives` and `info` are empty, `user` and `default_user` None where `refusals` holds
    the server's reply to CONFIG GET, INFO, ACL WHOAMI or ACL GETUSER. `commands` counts what
    was sent.
    """

    scheme: str
    pong: bool
    directives: Mapping[str, str] = field(default_factory=dict)
    info: Mapping[str, str] = field(default_factory=dict)
    user: str | None = None
    default_user: User | None = None
    refusals: Mapping[str, str] = field(default_factory=dict)
    anonymous: tuple[Attempt, ...] = ()
    config_file: ConfigFile | None = None
    replica_allowed: bool = False
    commands: int = 0

    @property
    def host_memory(self) -> int | None:
        """The memory of the server's host in bytes, where the server tells it."""
        text = self.info.get("total_system_memory", "")
        return int(text) if text.isdigit() and int(text) > 0 else None

    @property
    def config_path(self) -> str | None:
        """Where the server's configuration file is: '' without one, None where unknown."""
        return self.info.get("config_file")

    @property
    def product(self) -> tuple[str, str]:
        """Name and version, 'unknown' where the server does not tell."""
        return product_of(self.info)


def collect(
    client: redis.Redis,
    endpoint: Endpoint,
    *,
    config_file: Path | None = None,
    replica_allowed: bool = False,
    policy: CommandPolicy | None = None,
) -> DeploymentFacts:
    """Ask the server once; `policy` binds the second, unauthenticated connection.

    Raises:
        ScanLostError: the server went away.
        ConfigFileError: `config_file` cannot be read.

    """
    file = None if config_file is None else read_config_file(config_file)
    with told(client, endpoint.database), reader(client) as connection:
        replies = dict(zip(_NAMES, connection.exchange(_QUESTIONS), strict=True))
    attempts = attempt_without_credentials(endpoint, policy=policy)
    user = replies["ACL WHOAMI"]
    return DeploymentFacts(
        scheme=endpoint.scheme,
        pong=replies["PING"] == b"PONG",
        directives=_pairs(replies["CONFIG GET"]),
        info=_info(replies["INFO"]),
        user=_text(user) if isinstance(user, bytes) else None,
        default_user=_user(replies["ACL GETUSER"]),
        refusals={
            name: str(reply)
            for name, reply in replies.items()
            if isinstance(reply, redis.ResponseError)
        },
        anonymous=attempts,
        config_file=file,
        replica_allowed=replica_allowed,
        commands=len(_QUESTIONS) + len(attempts),
    )


def _text(value: object) -> str:
    return value.decode(errors="backslashreplace") if isinstance(value, bytes) else str(value)


def _pairs(reply: Reply) -> dict[str, str]:
    if not isinstance(reply, list):
        return {}
    texts = [_text(each) for each in reply]
    return dict(zip(texts[0::2], texts[1::2], strict=True))


def _info(reply: Reply) -> dict[str, str]:
    if not isinstance(reply, bytes):
        return {}
    lines = (line.partition(":") for line in _text(reply).splitlines() if line[:1] != "#")
    return {name: value for name, colon, value in lines if colon}


def _user(reply: Reply) -> User | None:
    if not isinstance(reply, list):
        return None
    parts = dict(zip(map(_text, reply[0::2]), reply[1::2], strict=True))
    selectors = parts.get("selectors")
    return User(
        flags=tuple(_words(parts.get("flags"))),
        keys=" ".join(_words(parts.get("keys"))),
        commands=_text(parts.get("commands", b"")),
        selectors=len(selectors) if isinstance(selectors, list) else 0,
    )


def _words(value: Reply) -> Sequence[str]:
    # Redis 6.2 sends key patterns as a list, later servers as one string.
    if isinstance(value, list):
        return [_text(each) for each in value]
    return [] if not value else [_text(value)]
