# SPDX-License-Identifier: Apache-2.0
"""Commands that no tenant's user may be given, whatever a contract says.

They tell of every tenant or reach every tenant, run the server, or lead out of the keys that a
rule names. A server's own categories (@admin, @dangerous) are not asked: they differ by version,
and a contract is checked without a server. What is missing here is still found by a proof on the
server, which tries every command without a key that the contract does not name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

WITHHELD = frozenset(
    {
        # They tell of the keys, clients or channels of everybody.
        "keys", "scan", "randomkey", "dbsize", "info", "monitor", "pubsub", "client|list",
        "client|tracking", "memory|stats", "memory|doctor", "memory|malloc-stats", "slowlog",
        "commandlog", "latency", "lastsave", "role",
        # They empty, change, save or stop the server, or take part in its replication.
        "flushall", "flushdb", "swapdb", "shutdown", "save", "bgsave", "bgrewriteaof", "config",
        "debug", "module", "failover", "replicaof", "slaveof", "psync", "sync", "replconf",
        "cluster", "restore-asking", "memory|purge", "pfdebug", "pfselftest",
        # They manage users, or act on the connections of others.
        "acl", "client|kill", "client|pause", "client|unpause", "client|unblock",
        "client|no-evict", "client|reply",
        # Code runs for everybody, and computes keys.
        "eval", "eval_ro", "evalsha", "evalsha_ro", "script", "function", "fcall", "fcall_ro",
        # They name a second database or server, or keys that the rules do not see.
        "move", "copy", "migrate", "sort", "sort_ro", "restore",
    }
)  # fmt: skip

_CONTAINERS = frozenset(each.partition("|")[0] for each in WITHHELD)


def withheld(words: Iterable[str]) -> Iterator[str]:
    """Yield the words that grant something withheld; a command grants each of its subcommands."""
    for word in words:
        container, _, sub = word.partition("|")
        if word in WITHHELD or container in (WITHHELD if sub else _CONTAINERS):
            yield word
