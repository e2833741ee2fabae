# SPDX-License-Identifier: Apache-2.0
"""
The burden of a run: how much of the keyspace it walks, how often it asks, how long a reply takes.

What SCAN walks is counted from what the server was sent, so that a walk for each tenant shows
however fast it is. What is slow is tried again: a machine that was busy elsewhere is slow once.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, cast

from kryonix_cache.conformance.optimising.broken import enormous_hash
from kryonix_cache.conformance.optimising.families import (
    ANSWERS,
    CONFIGURATION,
    METRICS,
    PATTERNS,
    REGISTRATION,
    SDK_ANALYTICS,
    SESSIONS,
)
from kryonix_cache.conformance.optimising.loaders import TellingLoader
from kryonix_cache.conformance.optimising.traffic import Sent, calls, monitored, slow_commands

if TYPE_CHECKING:
    from kryonix_cache.conformance.optimising.scene import Scene
    from kryonix_cache.conformance.optimising.tenants import MadeTenant

_FEW, _MANY = 6, 24
_PASSES = 3
"""How often each key may be walked over in one run, whatever the number of tenants."""

_SPARE = 60
_LIMIT_US = 10_000
_TRIES = 4
_FIELDS = 250_000
_MEMBERS = 100_000
_BYTES = 24_000_000
_USUAL_COUNT = 10
_HOME, _MASTER = 15, b"enormous"
"""Where the enormous hash lies that the others are copies of: a key of nobody."""


class Burden:
    """What a run costs the server."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene

    def judge_growth(self) -> None:
        """Judge what is walked and asked with few tenants, and with four times as many."""
        for number in range(_FEW):
            self._fill(self._scene.tenant(f"t{number}"))
        few = self._measure()
        for number in range(_FEW, _MANY):
            self._fill(self._scene.tenant(f"t{number}"))
        many = self._measure()
        most = few / _FEW * _MANY * 1.5 + _SPARE
        if many > most:
            self._scene.evidence.found(
                f"commands of a run over {_MANY} tenants",
                found=many,
                wanted=f"at most {most:.0f}: over {_FEW} tenants it sent {few}",
                erratum="E08",
            )

    def _fill(self, tenant: MadeTenant) -> None:
        tenant.metrics(cache_hit_rate="40")
        tenant.users(mobile=3, others=1)
        for number in range(20):
            tenant.answer("crm", f"e{number}", ttl=900)

    def _measure(self) -> int:
        """Let a run work, judge how much it walks, and return how much it asks."""
        scene, sent = self._scene, list[Sent]()
        keys = {
            each.number: scene.clients[each.number].dbsize() for each in scene.contract.databases
        }
        scene.admin[0].config_resetstat()
        with monitored(scene.admin[0], sent):
            scene.run()
        scene.evidence.saw("sent", len(sent))
        scene.evidence.saw("keys", sum(keys.values()))
        if called := calls(scene.admin[0]).get("keys", 0):
            wanted = "none: KEYS holds the server up for everybody"
            scene.evidence.found("KEYS", found=f"{called} calls", wanted=wanted, erratum="E08")
        self._judge_walks(sent, keys)
        return len(sent)

    def _judge_walks(self, sent: list[Sent], keys: dict[int, int]) -> None:
        walked: Counter[int] = Counter()
        for command in sent:
            if command.name == "SCAN":
                size = max(keys.get(command.database, 0), 1)
                walked[command.database] += min(_count_of(command), size)
        for database, walks in sorted(walked.items()):
            # The last page may reach over the end.
            most = _PASSES * max(keys.get(database, 0), 1) + 2 * _USUAL_COUNT
            if walks > most:
                self._scene.evidence.found(
                    f"SCAN in database {database}",
                    found=f"{walks} keys walked over",
                    wanted=f"at most {most}: it holds {keys.get(database, 0)}; one pass will do",
                    erratum="E08",
                )

    def judge_slowness(self) -> None:
        """Judge that no command is slow, though enormous keys lie where a run looks."""
        self._lay_traps()
        again: set[str] | None = None
        slow: list[tuple[str, int]] = []
        for _ in range(_TRIES):
            slow = []
            with slow_commands(self._scene.admin, _LIMIT_US, slow):
                self._scene.run(loader=TellingLoader())
            names = {words for words, _ in slow}
            again = names if again is None else again & names
            if not again:
                return
        for words, took in slow:
            if words in (again or ()):
                self._scene.evidence.found(
                    f"the command {words}",
                    found=f"it took {took / 1000:.0f} ms, in each of {_TRIES} runs",
                    wanted=f"at most {_LIMIT_US // 1000} ms: nobody else is served meanwhile",
                    erratum="E08",
                )

    def _lay_traps(self) -> None:
        """Write enormous keys of the families that an optimiser reads."""
        tenant = self._scene.tenant("traps")
        self._fill(tenant)
        hashes = (METRICS, CONFIGURATION, REGISTRATION, SDK_ANALYTICS, PATTERNS)
        places = [tenant.place(family) for family in hashes]
        session = tenant.place(SESSIONS, session="enormous")
        for database, key in (*places, session):
            self._make_enormous(tenant, database, key)
        tenant.clients[session[0]].expire(session[1], 1500)
        for answer in self._scene.rule.hot[:1]:
            parts = {"module": answer.module, "endpoint": answer.endpoint}
            tenant.string(ANSWERS, b"x" * _BYTES, ttl=900, **parts)
        self._lay_traps_of_bookkeeping(tenant)

    def _make_enormous(self, tenant: MadeTenant, database: int, key: bytes) -> None:
        """Add fields to a hash; they are sent once, and copied on the server."""
        usual = cast("dict[bytes, bytes]", tenant.clients[database].hgetall(key))
        home = tenant.clients[_HOME]
        if not home.exists(_MASTER):
            enormous_hash(tenant, _HOME, _MASTER, _FIELDS)
        # COPY names another database without leaving this one (E12).
        home.execute_command("COPY", _MASTER, key, "DB", database, "REPLACE")
        for field, text in usual.items():
            tenant.clients[database].hset(key, field, text)

    def _lay_traps_of_bookkeeping(self, tenant: MadeTenant) -> None:
        for family in self._scene.contract.tenant_families:
            if not family.bookkeeping or "day" in family.parts:
                continue
            client = tenant.clients[family.databases[0]]
            _, key = tenant.place(family.name)
            names = [f"enormous{number}" for number in range(_MEMBERS)]
            if family.type == "zset":
                client.zadd(key, dict.fromkeys(names, 1))
            elif family.type == "list":
                client.rpush(key, *names)
            elif family.type == "string":
                client.set(key, b"x" * _BYTES)
            client.expire(key, 80_000)


def _count_of(command: Sent) -> int:
    words = [word.upper() for word in command.arguments]
    if b"COUNT" not in words[:-1]:
        return _USUAL_COUNT
    return int(words[words.index(b"COUNT") + 1])
