# SPDX-License-Identifier: Apache-2.0
"""Questions to the server about keys and members that values refer to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import redis

from kryonix_cache.reference_impl.errors import ReadDeniedError
from kryonix_cache.reference_impl.scan import reader, told

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kryonix_cache.reference_impl.bulk import Reply
    from kryonix_cache.reference_impl.connection import Clients

KNOWN_KEYS = 50_000
"""How many keys that exist are remembered; sectors are asked for again and again."""


class Lookups:
    """Asks in pipelines, one for each database."""

    def __init__(self, clients: Clients) -> None:
        self._clients = clients
        self._there: set[tuple[int, bytes]] = set()
        self.commands = 0

    def missing(self, keys: Sequence[tuple[int, bytes]]) -> set[tuple[int, bytes]]:
        """Return those of the keys that do not exist."""
        asked = [key for key in dict.fromkeys(keys) if key not in self._there]
        replies = self._ask([(database, (b"EXISTS", key)) for database, key in asked])
        gone = {key for key, reply in zip(asked, replies, strict=True) if reply == 0}
        if len(self._there) > KNOWN_KEYS:
            self._there.clear()
        self._there.update(key for key in asked if key not in gone)
        return gone

    def not_members(
        self, questions: Sequence[tuple[int, bytes, tuple[str, ...]]]
    ) -> list[list[str]]:
        """Return, for each set and names, the names that the set does not hold.

        A key of another type holds what it holds: keyspace.type judges that.
        """
        replies = self._ask(
            [
                (
                    database,
                    (
                        b"SMISMEMBER",
                        key,
                        *(name.encode(errors="backslashreplace") for name in names),
                    ),
                )
                for database, key, names in questions
            ]
        )
        return [
            [name for name, there in zip(names, reply, strict=True) if not there]
            if isinstance(reply, list)
            else []
            for (_, _, names), reply in zip(questions, replies, strict=True)
        ]

    def _ask(self, commands: Sequence[tuple[int, tuple[bytes, ...]]]) -> list[Reply]:
        replies: list[Reply] = [None] * len(commands)
        for database in sorted({database for database, _ in commands}):
            places = [index for index, command in enumerate(commands) if command[0] == database]
            client = self._clients[database]
            with told(client, database), reader(client, untouched=True) as connection:
                answers = connection.exchange([commands[index][1] for index in places])
            for index, answer in zip(places, answers, strict=True):
                if isinstance(answer, redis.ResponseError) and str(answer).startswith("NOPERM"):
                    raise ReadDeniedError(commands[index][1][0].decode(), str(answer))
                replies[index] = answer
        self.commands += len(commands)
        return replies
