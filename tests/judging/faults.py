# SPDX-License-Identifier: Apache-2.0
"""Faults in data, each with the findings that an audit must make of it, and no other."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from kryonix_cache.conformance.judging.golden import GoldenFinding
from kryonix_cache.reference_impl.contract import default_contract
from kryonix_cache.reference_impl.seeding import SyntheticPlan, synthetic_tenant_ids

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from kryonix_cache.reference_impl.connection import Pools

TENANTS = tuple(synthetic_tenant_ids(default_contract(), 2, 1))
A, B = TENANTS
Command = tuple[str | bytes | int, ...]


@dataclass(frozen=True)
class Fault:
    """Commands that spoil one key, and the findings: requirement, place in the key, erratum.

    The key is that of `family` and tenant A, or `key` of `database`. KEY in a command stands
    for its name. A place that begins with `db` is taken as it is.
    """

    name: str
    commands: tuple[Command, ...]
    expected: tuple[tuple[str, str, str | None], ...]
    family: str = ""
    tenant: str = A
    database: int = -1
    key: bytes = b""

    @property
    def target(self) -> tuple[int, bytes]:
        """The database and the name of the key."""
        return places()[self.family, self.tenant] if self.family else (self.database, self.key)

    def findings(self) -> frozenset[GoldenFinding]:
        """Return what the audit must find."""
        database, key = self.target
        shown = repr(key.decode()) if key.isascii() else repr(key)
        return frozenset(
            GoldenFinding(
                requirement,
                place if place.startswith("db") else f"db {database} key {shown}{place}",
                erratum,
            )
            for requirement, place, erratum in self.expected
        )


@cache
def places() -> Mapping[tuple[str, str], tuple[int, bytes]]:
    """Return one key of each family of each tenant; system keys stand under every tenant."""
    contract = default_contract()
    found: dict[tuple[str, str], tuple[int, bytes]] = {}
    plan = SyntheticPlan(contract, TENANTS, 1)
    for database in plan.sizes:
        for key in plan.keys(database):
            parsed = contract.parse(database, key.name)
            assert parsed is not None
            for tenant in [parsed.tenant] if parsed.tenant else TENANTS:
                found.setdefault((parsed.family.name, tenant), (database, key.name))
    return found


@contextmanager
def planted(pools: Pools, fault: Fault) -> Iterator[None]:
    """Plant a fault, and give the key its old value and expiry back."""
    database, key = fault.target
    client = pools[database]
    before, ttl = client.dump(key), client.pttl(key)
    try:
        for command in fault.commands:
            client.execute_command(*(key if word == "KEY" else word for word in command))
        yield
    finally:
        client.delete(key)
        if before is not None:
            client.restore(key, max(ttl, 0), before)


def field(name: str) -> str:
    """Return the place of a field."""
    return f" field '{name}'"


FIELDS, REFERENCES = "keyspace.fields", "keyspace.references"
SECRETS, EMBEDDED = "security.secrets-at-rest", "keyspace.tenant-embedded"
JSON = f'{{"tenant_id":"{A}","module":"MODULE","cached_at":"2025-01-27T10:00:00Z","data":[]}}'
MODULE = places()["api-cache", A][1].split(b":")[3].decode()
API = JSON.replace("MODULE", MODULE)
OTHER_API_KEY = "sha256:" + "0" * 64

FAULTS = (
    Fault(
        "a key of no family",
        (("SET", "KEY", "x"),),
        (("keyspace.known-families", "", None),),
        database=3,
        key=b"somebody:else",
    ),
    Fault(
        "a key that is not UTF-8",
        (("SET", "KEY", "x"),),
        (("keyspace.known-families", "", "E09"),),
        database=0,
        key=b"tenant:\xff\xfe:mobile:session:s",
    ),
    Fault(
        "a name that would drive a terminal",
        (("SET", "KEY", "x"),),
        (("keyspace.known-families", "", None),),
        database=0,
        key=b"\x1b[2J\n\r\tforged: line",
    ),
    Fault(
        "a family in a foreign database",
        (("SADD", "KEY", "alerts"),),
        (("keyspace.database-purpose", "", "E12"),),
        database=4,
        key=f"websocket:channels:tenant:{A}".encode(),
    ),
    Fault(
        "a database that nobody uses",
        (("DEL", "KEY"),),
        (
            ("keyspace.database-purpose", "db 13", None),
            ("keyspace.system-info", "db 13", None),
        ),
        database=13,
        key=b"system:database_info:13",
    ),
    Fault(
        "another type",
        (("DEL", "KEY"), ("SET", "KEY", "x")),
        (("keyspace.type", "", None),),
        family="tenant-config",
    ),
    Fault(
        "a session that never expires",
        (("PERSIST", "KEY"),),
        (("keyspace.ttl", "", None),),
        family="mobile-session",
    ),
    Fault(
        "a session that lives too long",
        (("PEXPIRE", "KEY", 1_900_000),),
        (("keyspace.ttl", "", None),),
        family="mobile-session",
    ),
    Fault(
        "a configuration that expires",
        (("EXPIRE", "KEY", 1000),),
        (("keyspace.ttl", "", None),),
        family="tenant-config",
    ),
    Fault(
        "a required field that is missing",
        (("HDEL", "KEY", "timezone"),),
        ((FIELDS, field("timezone"), None),),
        family="tenant-config",
    ),
    Fault(
        "a required field under another name",
        (("HDEL", "KEY", "typical_workflows"), ("HSET", "KEY", "workflows", '["a"]')),
        ((FIELDS, field("typical_workflows"), "E29"),),
        family="sector-template",
    ),
    Fault(
        "a number with a unit that is none",
        (("HSET", "KEY", "cache_hit_rate", "many"),),
        ((FIELDS, field("cache_hit_rate"), "E18"),),
        family="tenant-metrics",
    ),
    Fault(
        "a local time",
        (("HSET", "KEY", "created_at", "2025-01-27T10:00:00"),),
        ((FIELDS, field("created_at"), "E27"),),
        family="mobile-session",
    ),
    Fault(
        "a word that is not on the list",
        (("HSET", "KEY", "platform", "amiga"),),
        ((FIELDS, field("platform"), None),),
        family="mobile-session",
    ),
    Fault(
        "a value that is not UTF-8",
        (("HSET", "KEY", "app_name", b"\xff\x00\xfe"),),
        ((FIELDS, field("app_name"), "E09"),),
        family="branding",
    ),
    Fault(
        "a string that is not JSON",
        (("SET", "KEY", '{"tenant_id":', "KEEPTTL"),),
        ((FIELDS, "", None),),
        family="api-cache",
    ),
    Fault(
        "a field that is not JSON",
        (("HSET", "KEY", "business_hours", "from nine to five"),),
        ((FIELDS, field("business_hours"), None),),
        family="tenant-config",
    ),
    Fault(
        "JSON of another kind",
        (("SET", "KEY", '["a list"]', "KEEPTTL"),),
        ((FIELDS, "", None),),
        family="api-cache",
    ),
    Fault(
        "a job that is binary",
        (("RPUSH", "KEY", b"\x80\x81"),),
        ((FIELDS, " element 3", "E09"),),
        family="queue",
    ),
    Fault(
        "a member of JSON that is missing",
        (("SET", "KEY", API.replace(',"data":[]', ""), "KEEPTTL"),),
        ((FIELDS, field("data"), None),),
        family="api-cache",
    ),
    Fault(
        "a module that is not the key's",
        (("SET", "KEY", API.replace(f'"module":"{MODULE}"', '"module":"other"'), "KEEPTTL"),),
        ((FIELDS, field("module"), None),),
        family="api-cache",
    ),
    Fault(
        "a figure without its time",
        (("ZADD", "KEY", 1, "response_time:145"),),
        ((FIELDS, " member 'response_time:145'", "E33"),),
        family="perf-timeline",
    ),
    Fault(
        "a tenant id that breaks the rule",
        (("SADD", "KEY", "alerts"),),
        (("keyspace.tenant-id", "", None),),
        database=11,
        key=b"websocket:channels:tenant:Not Valid",
    ),
    Fault(
        "another tenant inside a value",
        (("SET", "KEY", API.replace(A, B), "KEEPTTL"),),
        ((EMBEDDED, field("tenant_id"), None),),
        family="api-cache",
    ),
    Fault(
        "a list that mixes tenants",
        (
            (
                "RPUSH",
                "KEY",
                f'{{"event":"e","tenant_id":"{A}","data":{{}},"timestamp":"2025-01-27T10:00:00Z"}}',
            ),
        ),
        (("keyspace.shared-lists", "", "E11"),),
        database=9,
        key=b"websocket:events:performance",
    ),
    Fault(
        "a list that mixes tenants, one of them not valid",
        (
            (
                "RPUSH",
                "KEY",
                '{"event":"e","tenant_id":"A B","data":{},"timestamp":"2025-01-27T10:00:00Z"}',
            ),
        ),
        (("keyspace.shared-lists", "", "E11"), (EMBEDDED, " element 0 field 'tenant_id'", None)),
        database=9,
        key=b"websocket:events:performance",
    ),
    Fault(
        "a secret in clear",
        (("HSET", "KEY", "temp_password", "hunter2hunter2"),),
        ((SECRETS, field("temp_password"), "E26"),),
        family="auto-setup",
    ),
    Fault(
        "a code in clear",
        (("SET", "KEY", "456789", "EX", 300),),
        ((SECRETS, "", "E26"),),
        database=6,
        key=b"verify:phone:+5517988776655",
    ),
    Fault(
        "another API key than the tenant's",
        (("HSET", "KEY", "api_key", OTHER_API_KEY),),
        ((REFERENCES, field("api_key"), None),),
        family="sdk-session",
    ),
    Fault(
        "another subdomain than the tenant's",
        (("HSET", "KEY", "pwa_url", "https://elsewhere.example.com/app"),),
        ((REFERENCES, field("pwa_url"), None),),
        family="app-build",
    ),
    Fault(
        "a sector without a template",
        (("HSET", "KEY", "identified_sector", "astrology"),),
        ((REFERENCES, field("identified_sector"), "E29"),),
        family="creation-analysis",
    ),
    Fault(
        "a prediction of another tenant's key",
        (("HSET", "KEY", "next_hour_keys", f'["tenant:{B}:sdk:config"]'),),
        ((REFERENCES, field("next_hour_keys"), "E29"),),
        family="prediction",
    ),
    Fault(
        "a prediction of a key of no family",
        (("HSET", "KEY", "next_hour_keys", f'["tenant:{A}:mobile:dashboard"]'),),
        ((REFERENCES, field("next_hour_keys"), "E29"),),
        family="prediction",
    ),
    Fault(
        "a subscription to no channel",
        (("HSET", "KEY", "subscribed_events", '["alerts","no-such"]'),),
        ((REFERENCES, field("subscribed_events"), "E29"),),
        family="websocket-connection",
    ),
    Fault(
        "metrics without their timeline",
        (("DEL", "KEY"),),
        ((REFERENCES, f"db 3 key 'metrics:tenant:{A}'", "E07"),),
        family="perf-timeline",
    ),
    Fault(
        "a description of another database",
        (("RENAME", "KEY", "system:database_info:15"),),
        (
            ("keyspace.system-info", "db 14 key 'system:database_info:15'", None),
            ("keyspace.system-info", "db 14", None),
        ),
        database=14,
        key=b"system:database_info:14",
    ),
    Fault(
        "a key above the limit",
        (("SETRANGE", "KEY", 1_100_000, "x"), ("EXPIRE", "KEY", 1000)),
        (("keyspace.big-keys", "", None),),
        family="api-cache",
    ),
)

SHARED_PACKAGE = Fault(
    "a package name of two tenants",
    (("HSET", "KEY", "android_package", "com.example.shared"),),
    (),
    family="mobile-app",
)
