# SPDX-License-Identifier: Apache-2.0
"""One made-up run as a team would see it: a server with default settings, judged for production."""

from collections.abc import Mapping

from kryonix_cache.reports.lines import (
    Check,
    ChecklistItem,
    Finding,
    Footprint,
    RefusedCommand,
    Requirement,
)
from tests.reports.records import Run, check, requirement, waiver

HOSTILE_KEY = "tenant:<img src=x onerror=alert(1)>\"'{{7*7}}[bold]`|"

_REGISTRY: Mapping[str, tuple[str, str]] = {
    "config.databases": ("MUST", "16 logical databases"),
    "config.maxmemory": ("MUST", "maxmemory is 16gb, and the host has it"),
    "config.eviction-policy": ("MUST", "maxmemory-policy is allkeys-lru"),
    "config.eviction-samples": ("MUST", "maxmemory-samples is 10"),
    "config.idle-timeout": ("MUST", "idle clients are closed after 300 s"),
    "config.tcp-keepalive": ("MUST", "TCP keep-alive is 60 s"),
    "config.tcp-backlog": ("MUST", "the listen backlog is 2048"),
    "config.hash-encoding": ("MUST", "hashes stay compact up to 1024 entries and 128 bytes"),
    "config.list-encoding": ("MUST", "list nodes hold up to 8 KiB"),
    "config.snapshots": ("MUST", "snapshots after 300 s/10, 60 s/1000 and 15 s/10000 changes"),
    "config.aof": ("MUST", "append-only file on, synced every second, rewritten at 100 %"),
    "config.persisted": ("MUST", "a restart keeps the configuration"),
    "server.ping": ("MUST", "answers PING, is not loading, is no replica"),
    "server.persistence-health": ("MUST", "last snapshot and last AOF write succeeded"),
    "server.memory-headroom": ("SHOULD", "used memory is below 80 % of maxmemory"),
    "security.authentication": ("MUST", "an unauthenticated connection can do nothing"),
    "security.default-user": ("SHOULD", "the default user is off or has no keys"),
    "security.tls": ("SHOULD", "reached over TLS with a verified certificate"),
    "security.secrets-at-rest": ("HAZARD", "secret fields are held in clear"),
    "keyspace.known-families": ("MUST", "every key belongs to a family of the contract"),
    "keyspace.database-purpose": ("MUST", "each family lives only in its database"),
    "keyspace.type": ("MUST", "each key has its family's type"),
    "keyspace.ttl": ("MUST", "expiring families expire in time, persistent ones never"),
    "keyspace.fields": ("MUST", "required fields are there, each in its format"),
    "keyspace.references": ("MUST", "what one family says of a tenant agrees with the others"),
    "keyspace.shared-lists": ("HAZARD", "lists that mix tenants"),
    "keyspace.big-keys": ("HAZARD", "keys above 1 MiB"),
    "isolation.own-namespace": ("MUST", "a tenant handle touches only that tenant's keys"),
    "isolation.read": ("MUST", "no tenant reads another's keys"),
    "isolation.write": ("MUST", "no tenant changes another's keys"),
    "isolation.delete": ("MUST", "no tenant deletes another's keys"),
    "isolation.acl-keys": ("MUST", "a tenant's user is refused on another's key"),
    "seeding.complete": ("MUST", "the source's sample, key for key"),
    "seeding.idempotent": ("MUST", "seeding twice gives what once gives"),
    "seeding.foreign-untouched": ("MUST", "keys it does not own keep value and TTL"),
    "durability.eviction": ("HAZARD", "an eviction storm loses no durable key"),
    "monitor.freshness": ("MUST", "metrics are at most 10 minutes old"),
}
_ERRATA = {
    "config.maxmemory": ("E04",),
    "config.eviction-policy": ("E05",),
    "config.tcp-backlog": ("E01",),
    "config.hash-encoding": ("E03",),
    "config.persisted": ("E06",),
    "security.secrets-at-rest": ("E26", "E29"),
    "keyspace.fields": ("E18", "E29"),
    "keyspace.shared-lists": ("E11",),
}


def deployment_run() -> Run:
    """Return a non-conformant run that shows every outcome but `not-offered`."""
    deviating = {line.requirement: line for line in _deviations()}
    registry = tuple(_requirement(identifier) for identifier in _REGISTRY)
    checks = [deviating.get(entry.id) or _passed(entry) for entry in registry if entry.in_scope]
    return Run(
        requirements=registry,
        checks=checks,
        waivers=(
            waiver(
                "config.aof",
                reason="append-only file is switched on in the December maintenance window",
            ),
        ),
        checklist=_checklist(),
        footprint=Footprint(
            commands=18_204,
            foreign_keys_written=0,
            keys_created=312,
            keys_removed=312,
            keys_left=0,
            values_read=640,
            refused=(
                RefusedCommand(
                    command="CONFIG SET maxmemory-samples",
                    reason="needs the power config; a live target grants observe and own",
                ),
            ),
            digest="equal",
            note="",
        ),
    )


def _requirement(identifier: str) -> Requirement:
    level, statement = _REGISTRY[identifier]
    return requirement(
        identifier,
        statement,
        level=level,
        errata=_ERRATA.get(identifier, ()),
        in_scope=identifier != "monitor.freshness",
    )


def _passed(entry: Requirement) -> Check:
    more = {"keys": 58_412} if entry.area == "keyspace" else {}
    where = "bench" if entry.area == "seeding" else "target"
    return check(entry.id, observations=more, operations=24, seconds=0.084, ran_on=where)


def _directive(name: str, found: str, wanted: str, erratum: str | None = None) -> Finding:
    return Finding(
        where=f"directive {name}",
        found=found,
        wanted=wanted,
        erratum=erratum,
        remedy=f"CONFIG SET {name} {wanted}, then CONFIG REWRITE",
    )


def _deviations() -> list[Check]:
    return [
        _failed("config.maxmemory", _directive("maxmemory", "0", "17179869184", "E04")),
        _failed(
            "config.eviction-policy",
            _directive("maxmemory-policy", "noeviction", "allkeys-lru", "E05"),
        ),
        _failed("config.eviction-samples", _directive("maxmemory-samples", "5", "10")),
        _failed(
            "config.tcp-backlog",
            Finding(
                where="directive tcp-backlog",
                found="511",
                wanted="2048",
                erratum="E01",
                remedy="set it in the server's config file and restart: it cannot be changed live",
            ),
        ),
        check("config.aof", "fail", "appendonly is no", seconds=0.004),
        check("config.persisted", "not-applicable", "the server has no config file to compare"),
        check("security.authentication", "pass", operations=0, seconds=0.002),
        _failed(
            "security.tls",
            Finding(where="connection", found="plain TCP", wanted="TLS, certificate verified"),
        ),
        check("security.default-user", "inconclusive", "ACL LIST was refused to this user"),
        _failed(
            "security.secrets-at-rest",
            Finding(
                where="db 5 key 'sdk:tenant:acme' field 'api_key'",
                found="a value in clear (secret, not shown)",
                wanted="a digest",
                erratum="E26",
                remedy="store sha256:<hex> and compare digests",
            ),
            total=1_204,
        ),
        _failed(
            "keyspace.known-families",
            Finding(
                where=f"db 1 key '{HOSTILE_KEY}'",
                found="a key of no family",
                wanted="one of the 41 families of the contract",
                remedy="delete it, or add its family to the contract",
            ),
            Finding(
                where="db 3 key 'tmp:export:8812'",
                found="a key of no family",
                wanted="one of the 41 families of the contract",
                remedy="delete it, or add its family to the contract",
            ),
            total=37,
        ),
        _failed(
            "keyspace.fields",
            Finding(
                where="db 7 key 'metrics:tenant:clinica' field 'avg_response_time'",
                found="fast",
                wanted="a number of milliseconds, such as 145ms",
                erratum="E18",
                remedy="write the measured figure with its unit",
            ),
        ),
        check("isolation.acl-keys", "skipped", "the bench could not be started: no free port"),
        _failed(
            "keyspace.shared-lists",
            Finding(
                where="db 11 key 'websocket:events:performance'",
                found="entries of 3 tenants in one list",
                wanted="one list for each tenant",
                erratum="E11",
            ),
        ),
        check("durability.eviction", "error", "the bench stopped answering after 30 s"),
    ]


def _failed(identifier: str, *findings: Finding, total: int = 0) -> Check:
    return check(
        identifier, "fail", evidence=findings, evidence_total=total, operations=12, seconds=0.031
    )


def _checklist() -> tuple[ChecklistItem, ...]:
    validations = (
        ("Redis answers PING", ("server.ping",)),
        ("16 databases are configured", ("config.databases", "keyspace.database-purpose")),
        ("Tenants are completely isolated", ("isolation.read", "isolation.acl-keys")),
        ("The optimiser analyses every tenant", ("optimiser.discovery", "optimiser.analysis")),
        ("The cache is namespaced per client", ("isolation.own-namespace",)),
        ("The SDK is integrated per tenant", ("sdk.session", "keyspace.fields")),
        ("Performance integration is active", ("performance.queue", "performance.drain")),
        ("Isolated backup is scheduled at 03:00", ("backup.snapshot", "operations.schedule")),
        ("Monitoring is active, with alerts", ("monitor.freshness", "monitor.alerts")),
        ("Mobile apps per tenant", ("app.records",)),
        ("Automatic creation works", ("provisioning.queue",)),
        ("WebSockets are isolated per tenant", ("websocket.registry", "isolation.websockets")),
        ("Predictive cache is active", ("optimiser.preload-rule",)),
        ("Automatic clean-up", ("cleanup.sweep",)),
        ("Below 50 ms for mobile", ("latency.mobile",)),
        ("WhatsApp notification is sent", ("notify.payload",)),
    )
    tests = (
        ("Connectivity", ("server.ping",)),
        ("16 databases", ("config.databases",)),
        ("Tenant isolation", ("isolation.read", "isolation.write", "isolation.delete")),
        ("SDK", ("sdk.session", "keyspace.references")),
        ("Optimiser", ("optimiser.discovery",)),
        ("Performance", ("latency.mobile",)),
    )
    return tuple(
        ChecklistItem(kind=kind, number=number, statement=statement, requirements=requirements)
        for kind, items in (("validation", validations), ("test", tests))
        for number, (statement, requirements) in enumerate(items, start=1)
    )
