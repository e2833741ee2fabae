# SPDX-License-Identifier: Apache-2.0
"""`kryonix-cache optimise` as a user runs it."""

from __future__ import annotations

import json
import signal
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from kryonix_cache.fixtures.targets.server import free_port
from tests.conformance.runs import command, start_command
from tests.optimiser.keyspace import put_answer, put_metrics, put_session
from tests.seeding.observed import values

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

    from kryonix_cache.fixtures.targets.server import ServerProcess
    from kryonix_cache.reference_impl.connection import Pools

LOCK = "ai:optimiser:lock"
MOBILE = {"user_id": "u1", "device_type": "mobile", "platform": "ios"}
LOADERS = """
import os, pathlib, time
def fresh(tenant, item):
    return {"of": tenant, "item": item}
def broken(tenant, item):
    raise RuntimeError("no data today")
def hangs(tenant, item):
    pathlib.Path("asked").touch()
    time.sleep(60)
number = 7
"""


@pytest.fixture
def url(redis_server: ServerProcess) -> str:
    return f"redis://127.0.0.1:{redis_server.port}"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with a module of loaders."""
    (tmp_path / "shop_loaders.py").write_text(LOADERS, encoding="utf-8")
    return tmp_path


def run(*arguments: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return command("optimise", *map(str, arguments), cwd=cwd)


def refused(result: subprocess.CompletedProcess[str], sentence: str, code: int = 4) -> None:
    assert sentence in " ".join(result.stderr.split()), result
    assert "Traceback" not in result.stderr
    assert result.returncode == code, result


def put_busy_tenant(pools: Pools, tenant: str) -> None:
    put_metrics(pools, tenant, cache_hit_rate="60", api_calls_today="9000")
    put_session(pools, tenant, "s1", MOBILE)
    for item in ("crm.dashboard", "crm.leads"):
        put_answer(pools, tenant, item, at=datetime.now(UTC))


def test_a_run_says_what_it_did_why_and_how_to_take_it_back(url: str, redis_pools: Pools) -> None:
    put_busy_tenant(redis_pools, "acme")

    done = run("--target", url)

    assert (done.returncode, done.stderr) == (0, "")
    text = " ".join(done.stdout.split())
    # The run's own lock is one of the keys.
    assert "1 tenant, 5 keys; 3 changes made, 2 problems." in text
    assert "acme: hit rate 60 %, response unknown, calls 9000, mobile 100 %" in text
    assert "api: extended db 1 tenant:acme:api:crm:dashboard until" in text
    assert "9000 calls today are more than 5000" in text
    assert "notifications: nothing is written: no loader gave it" in text
    run_id = text.split()[1]
    assert f"kryonix-cache optimise --undo {run_id} takes the changes back." in text

    undone = run("--target", url, "--undo", run_id)
    assert undone.returncode == 0
    assert f"Took back 3 changes of the run {run_id}" in undone.stdout
    assert redis_pools[1].ttl("tenant:acme:api:crm:dashboard") <= 600
    again = run("--target", url, "--undo", run_id)
    assert "Took back 0 changes" in again.stdout
    assert "3 were taken back before" in again.stdout


def test_a_change_that_somebody_made_since_is_kept_and_the_exit_code_says_so(
    url: str, redis_pools: Pools
) -> None:
    put_busy_tenant(redis_pools, "acme")
    report = json.loads(run("--target", url, "--json").stdout)
    put_answer(redis_pools, "acme", "crm.leads", ttl=500, at=datetime.now(UTC))

    undone = run("--target", url, "--undo", report["run"], "--json")

    assert undone.returncode == 10
    assert ["tenant:acme:api:crm:leads" in each["where"] for each in _skipped(undone)] == [True]
    assert redis_pools[1].ttl("tenant:acme:api:crm:leads") <= 500


def _skipped(result: subprocess.CompletedProcess[str]) -> list[dict[str, str]]:
    skipped: list[dict[str, str]] = json.loads(result.stdout)["skipped"]
    return skipped


def test_the_report_as_json_holds_analyses_changes_and_problems(
    url: str, redis_pools: Pools
) -> None:
    put_busy_tenant(redis_pools, "acme")
    redis_pools[3].hset("metrics:tenant:acme", "avg_response_time", "fast")

    done = run("--target", url, "--json", "--dry-run")

    report = json.loads(done.stdout)
    tenant = report["tenants"]["acme"]
    assert done.returncode == 0
    assert report["dry_run"] is True
    assert tenant["analysis"]["cache"]["hit_rate_percent"] == 60
    assert tenant["analysis"]["cache"]["response_ms"] is None
    assert {change["rule"] for change in tenant["changes"]} == {"api", "ttl", "mobile"}
    assert all(change["reason"] for change in tenant["changes"])
    assert "db 3 metrics:tenant:acme avg_response_time" in [
        problem["where"] for problem in tenant["problems"]
    ]


def test_text_that_no_terminal_can_show_breaks_no_report(url: str, redis_pools: Pools) -> None:
    """Half a character in a tenant's settings is valid JSON, and no valid UTF-8."""
    put_busy_tenant(redis_pools, "acme")
    hours = '{"days":[1],"note":"\\ud800"}'
    redis_pools[7].hset("config:tenant:acme", "business_hours", hours)

    done = run("--target", url, "--json")

    assert (done.returncode, done.stderr) == (0, "")
    business = json.loads(done.stdout)["tenants"]["acme"]["analysis"]["business"]
    assert business["business_hours"] == json.loads(hours)


def test_a_dry_run_changes_nothing(url: str, redis_pools: Pools) -> None:
    put_busy_tenant(redis_pools, "acme")
    before = values(redis_pools)

    done = run("--target", url, "--dry-run")

    assert "3 changes would be made" in done.stdout
    assert "--undo" not in done.stdout
    assert values(redis_pools) == before


def test_only_the_tenants_that_were_named_are_touched(url: str, redis_pools: Pools) -> None:
    for tenant in ("acme", "beta"):
        put_busy_tenant(redis_pools, tenant)

    assert run("--target", url, "--tenant", "beta").returncode == 0

    assert redis_pools[1].ttl("tenant:acme:api:crm:leads") <= 600
    assert redis_pools[1].ttl("tenant:beta:api:crm:leads") > 600


def test_a_tenant_that_cannot_be_analysed_is_named_and_the_exit_code_says_so(
    url: str, redis_pools: Pools
) -> None:
    put_busy_tenant(redis_pools, "acme")

    done = run("--target", url, "--tenant", "acme", "--tenant", "nobody")

    assert done.returncode == 10
    assert "nobody: could not be analysed" in done.stdout
    assert "it has no key in any database" in done.stdout
    assert redis_pools[4].exists("ai:patterns:tenant:acme")


def test_the_values_of_a_loader_are_written(url: str, redis_pools: Pools, folder: Path) -> None:
    put_busy_tenant(redis_pools, "acme")

    assert run("--target", url, "--loader", "shop_loaders:fresh", cwd=folder).returncode == 0

    value = redis_pools[10].get("mobile_optimized:tenant:acme:notifications")
    assert json.loads(value or b"") == {"of": "acme", "item": "notifications"}


def test_a_loader_that_raises_is_a_problem_and_no_traceback(
    url: str, redis_pools: Pools, folder: Path
) -> None:
    put_busy_tenant(redis_pools, "acme")

    done = run("--target", url, "--loader", "shop_loaders:broken", cwd=folder)

    assert (done.returncode, done.stderr) == (0, "")
    assert "the loader raised RuntimeError" in done.stdout


def test_reads_of_an_access_log_are_learnt_from(
    url: str, redis_pools: Pools, tmp_path: Path
) -> None:
    put_busy_tenant(redis_pools, "acme")
    hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    lines = ["tenant,module,endpoint,time,count"]
    lines += [
        f"acme,sales,month,{(hour - timedelta(hours=24 * day)).isoformat()},9"
        for day in range(1, 8)
    ]
    log = tmp_path / "reads.csv"
    log.write_text("\n".join([*lines, "acme,sales,month,yesterday,1"]), encoding="utf-8")

    done = run("--target", url, "--access-log", log)

    assert done.returncode == 0
    assert "line 9" in done.stderr
    assert redis_pools[4].hget("ai:patterns:tenant:acme", "most_used_module") == b"sales"


def test_a_second_run_at_once_is_refused_in_one_sentence(url: str, redis_pools: Pools) -> None:
    put_busy_tenant(redis_pools, "acme")
    redis_pools[4].set(LOCK, '{"owner":"other","since":"2025-01-27T09:59:00+00:00"}', ex=600)

    refused(run("--target", url), "Another run of the optimiser, other, has worked since")

    assert not redis_pools[4].exists("ai:patterns:tenant:acme")


def test_an_interrupted_run_leaves_no_lock(url: str, redis_pools: Pools, folder: Path) -> None:
    put_busy_tenant(redis_pools, "acme")
    process = start_command(
        "optimise", "--target", url, "--loader", "shop_loaders:hangs", cwd=folder
    )
    try:
        deadline = time.monotonic() + 60
        while not (folder / "asked").exists():
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert redis_pools[4].exists(LOCK)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()

    assert process.returncode == 2, errors
    assert "Traceback" not in errors
    assert not redis_pools[4].exists(LOCK)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--tenant", "a:b"), "The tenant id 'a:b' is not valid"),
        (("--undo", "never"), "No change of a run 'never' is recorded"),
        (("--undo", "never", "--loader", "a:b"), "--undo only takes back"),
        (("--dry-run", "--access-log", "x.csv"), "which --dry-run must not"),
        (("--access-log", "missing.csv"), "missing.csv"),
        (("--loader", "nothing"), "is not of the form module:function"),
        (("--loader", "nowhere:load"), "cannot be imported"),
        (("--loader", "shop_loaders:none"), "has no 'none'"),
        (("--loader", "shop_loaders:number"), "is not callable"),
        (("--max-impact", "much"), "low, medium, high"),
        (("--contract", "missing.toml"), "missing.toml"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_bad_input_is_one_sentence(
    url: str, folder: Path, arguments: tuple[str, ...], sentence: str
) -> None:
    refused(run("--target", url, *arguments, cwd=folder), sentence)


def test_a_server_that_the_suite_would_start_is_none_to_optimise() -> None:
    refused(run("--target", "embedded"), "Optimising needs a server that stays")


def test_a_server_that_is_not_there_is_named() -> None:
    url = f"redis://127.0.0.1:{free_port()}"
    refused(run("--target", url), f"No server answers at {url}")
