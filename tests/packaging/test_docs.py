# SPDX-License-Identifier: Apache-2.0
"""What the documentation shows works: its links, its waiver file, its adapter, its commands."""

from __future__ import annotations

import gzip
import importlib
import re
import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import click
import pytest

from kryonix_cache.conformance.cli.main import cli
from kryonix_cache.conformance.registry import load_registry
from kryonix_cache.conformance.waivers import load_waivers
from kryonix_cache.fixtures.system import Surroundings, build, load_factory
from kryonix_cache.fixtures.targets.configuration import ServerPlan
from kryonix_cache.fixtures.targets.server import ServerProcess
from kryonix_cache.reference_impl.async_connection import AsyncPools
from kryonix_cache.reference_impl.connection import Pools
from kryonix_cache.reference_impl.contract import default_contract
from kryonix_cache.reference_impl.demand import history
from tests.packaging.tree import ROOT, files

if TYPE_CHECKING:
    from pathlib import Path

PAGES = [name for name in files() if name.endswith(".md")]
LINK = re.compile(r"\]\((?!https?:|mailto:)([^)#\s]*)(?:#([^)\s]+))?\)")


def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def blocks(name: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text_of(name), re.DOTALL)


def anchors(text: str) -> set[str]:
    """Return the explicit anchors of a page, and those that its headings make."""
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    made = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
    return made | set(re.findall(r'<a id="([^"]+)">', text))


def broken_links(name: str, text: str) -> list[str]:
    broken = []
    for path, anchor in LINK.findall(re.sub(r"`[^`\n]*`", "", text)):
        target = (ROOT / name).parent / path if path else ROOT / name
        if not target.exists() or (
            anchor and anchor not in anchors(target.read_text(encoding="utf-8"))
        ):
            broken.append(f"{path}#{anchor}")
    return broken


@pytest.mark.parametrize("page", PAGES)
def test_every_link_of_a_page_leads_somewhere(page: str) -> None:
    assert broken_links(page, text_of(page)) == []


def test_a_link_that_leads_nowhere_is_found() -> None:
    text = "[a](missing.md) [b](verdict.md#nowhere) [c](verdict.md#waivers) [d](#here)"
    assert broken_links("docs/index.md", text) == ["missing.md#", "verdict.md#nowhere", "#here"]


@pytest.mark.parametrize("page", PAGES)
def test_every_command_that_a_page_names_exists(page: str) -> None:
    context = click.Context(cli)
    for line in re.findall(r"kryonix-cache ([a-z][a-z -]*)", text_of(page)):
        group: click.Command | None = cli
        for word in line.split():
            if not isinstance(group, click.Group):
                break
            group = group.get_command(context, word)
            assert group is not None, f"kryonix-cache {line}"


def test_the_waiver_file_of_the_docs_is_one(tmp_path: Path) -> None:
    (example,) = blocks("docs/verdict.md", "toml")
    file = tmp_path / "waivers.toml"
    file.write_text(example, encoding="utf-8")
    (waiver,) = load_waivers(file, load_registry(), today=datetime.now(UTC).date())
    assert waiver.requirement == "security.tls"


def test_the_adapter_of_the_docs_is_one(
    redis_binary: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (example,) = blocks("docs/adapter.md", "python")
    (tmp_path / "adapter_of_the_docs.py").write_text(example, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    with ServerProcess(redis_binary) as server, Pools(server.endpoint) as pools:
        surroundings = Surroundings(
            default_contract(), server.endpoint, pools, AsyncPools(server.endpoint)
        )
        system = build(load_factory("adapter_of_the_docs:system"), surroundings)
        assert system.tenant_store is not None
        handle = system.tenant_store.open("ct-docs")
        handle.put("crm", "users", {"n": 1}, ttl=60)
        assert handle.get("crm", "users") == {"n": 1}
        assert handle.delete("crm", "users")
        assert handle.get("crm", "users") is None
    sys.modules.pop("adapter_of_the_docs")


@pytest.mark.parametrize("number", [0, 1])
def test_the_examples_of_the_tenant_cache_run(redis_binary: Path, number: int) -> None:
    example = blocks("docs/tenant-cache.md", "python")[number]
    with ServerProcess(redis_binary, ServerPlan(open_access=True)) as server:
        code = example.replace("localhost:6379", f"127.0.0.1:{server.port}")
        exec(compile(code, "tenant-cache.md", "exec"), {"__name__": "example"})
        with Pools(server.endpoint) as pools:
            assert pools[1].exists(
                default_contract().key("api-cache", tenant="acme", module="crm", endpoint="users")
            )


def test_the_examples_of_counted_reads_run(
    redis_binary: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One counts a read, and the other one learns three from the log that the page shows."""
    now = datetime.now(UTC)
    header, line = blocks("docs/tenant-cache.md", "text")[0].splitlines()
    shown = line.partition(",")[0]
    log = f"{header}\n{line.replace(shown, now.isoformat())}\n"
    (tmp_path / "access.csv.gz").write_bytes(gzip.compress(log.encode()))
    monkeypatch.chdir(tmp_path)
    counting, learning = blocks("docs/tenant-cache.md", "python")[2:]
    with ServerProcess(redis_binary, ServerPlan(open_access=True)) as server:
        for example in (counting, learning):
            code = example.replace("localhost:6379", f"127.0.0.1:{server.port}")
            exec(compile(code, "tenant-cache.md", "exec"), {"__name__": "example"})
        with Pools(server.endpoint) as pools:
            later = now + timedelta(hours=1)
            demand, problems = history.load(pools, default_contract(), "acme", later)
    assert (demand.items, demand.counts.sum(), problems) == (("api-cache:crm.users",), 4.0, [])
