# SPDX-License-Identifier: Apache-2.0
"""What the handle writes is what the contract wants: the judges of the keyspace find nothing."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from click.testing import CliRunner

from kryonix_cache.conformance.cli.main import cli
from kryonix_cache.reference_impl.connection import Pools
from kryonix_cache.reference_impl.contract import default_contract
from kryonix_cache.reference_impl.tenant import TenantCache, TenantCaches
from kryonix_cache.reference_impl.tenant.timelines import Figure
from tests.seeding.servers import new_server

if TYPE_CHECKING:
    from pathlib import Path

JUDGED = ("known-families", "type", "ttl", "fields", "tenant-id", "tenant-embedded")


def write_everything(cache: TenantCache) -> None:
    cache.answers.put("crm", "users", {"n": 1}, ttl=300)
    cache.sessions.start("s1", {"user_id": "u1", "device_type": "mobile", "platform": "ios"})
    cache.sessions.touch("s1")
    cache.queues.push("mail", {"n": 1})
    cache.timeline.add(Figure(1_737_972_000, "response_time", 145))
    cache.warmed.put("crm", "users", {"n": 1})
    cache.preloaded.put("dashboard", {"n": 1})
    cache.essentials.put("profile", [1])
    cache.websockets.connect("c1", {"user_id": "u1", "platform": "web"})
    cache.channels.add("news")
    cache.websockets.subscribe("c1", "news")
    cache.websockets.ping("c1")
    cache.configuration.write(
        {
            "timezone": "America/Sao_Paulo",
            "language": "pt-BR",
            "currency": "BRL",
            "date_format": "DD/MM/YYYY",
            "business_hours": json.dumps({"mon": "9-18"}),
            "notification_preferences": json.dumps({"push": True}),
            "business_sector": "default",
        }
    )


def test_what_every_area_writes_keeps_the_contract(tmp_path: Path) -> None:
    with new_server() as server, Pools(server.endpoint) as pools:
        write_everything(TenantCaches(default_contract(), pools).open("acme"))
        judged = ",".join(f"keyspace.{name}" for name in JUDGED)
        arguments = ["audit", "--target", f"redis://127.0.0.1:{server.port}", "--fields", "all"]
        result = CliRunner().invoke(
            cli, [*arguments, "--select", judged, "--out", str(tmp_path)], catch_exceptions=False
        )
    assert (result.exit_code, result.output.count("conformant")) == (0, 1), result.output
