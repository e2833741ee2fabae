# SPDX-License-Identifier: Apache-2.0
"""No password reaches a report, the console, or the arguments of a process."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus

import pytest

from kryonix_cache.fixtures.faults.catalogue import PACKAGE
from kryonix_cache.reference_impl.connection import connect
from tests.conformance.runs import Run, finish, start
from tests.conformance.servers import seeded_server, url_of, wait_for_own_keys

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kryonix_cache.fixtures.targets.server import ServerProcess

PASSWORD = "p@ss:w/rd#%\"'&<ü>\\ +=?"
TOUCHED = "security,config.client-user-timeout"
SELECT = ("--select", f"isolation,{TOUCHED}")
# A password that came by another way is the same once the target is known.
A_PART = ("--select", f"isolation.read,isolation.own-namespace,{TOUCHED}")


@pytest.fixture(scope="module")
def server(redis_binary: Path) -> Iterator[ServerProcess]:
    """Start a server with an account whose password must be escaped everywhere."""
    with seeded_server(redis_binary, tenants=1) as running:
        with closing(connect(running.endpoint)) as client:
            client.acl_setuser(
                "owner",
                enabled=True,
                passwords=[f"+{PASSWORD}"],
                keys=["*"],
                channels=["*"],
                categories=["+@all"],
            )
        yield running


def forms(secret: str) -> set[str]:
    """Return the ways in which a secret may be written."""
    return {
        secret,
        quote(secret, safe=""),
        quote(secret),
        quote_plus(secret),
        json.dumps(secret)[1:-1],
        repr(secret)[1:-1],
        secret.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;"),
    }


def processes_of(group: int) -> Iterator[tuple[int, bytes]]:
    """Yield the arguments of each process of a run."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                if int(fields[2]) == group:
                    yield int(entry.name), (entry / "cmdline").read_bytes()
            except OSError:
                continue


def holds_no_secret(run: Run) -> bool:
    """Look for the password in everything that the run wrote."""
    texts = {"output": run.output, "errors": run.errors}
    for path in run.out.rglob("*"):
        if path.is_file():
            texts[path.name] = path.read_text(errors="replace")
    assert len(texts) > 6
    found = [name for name, text in texts.items() for form in forms(PASSWORD) if form in text]
    assert not found
    return True


@pytest.mark.parametrize(
    ("way", "select"), [("environment", A_PART), ("file", A_PART), ("argument", SELECT)]
)
def test_a_password_is_nowhere_in_what_a_run_leaves(
    way: str, select: tuple[str, ...], server: ServerProcess, tmp_path: Path
) -> None:
    """The argument of the user's own command is his; the run's processes get none of it."""
    url = url_of(server.endpoint, username="owner", password=PASSWORD)
    arguments = select
    variables: dict[str, str] = {}
    if way == "environment":
        variables = {"KRYONIX_TARGET": url}
    elif way == "argument":
        arguments += ("--target", url)
    else:
        path = tmp_path / "target.toml"
        path.write_text(
            f'url = "redis://127.0.0.1:{server.port}/0"\nusername = "owner"\n'
            f"password = {json.dumps(PASSWORD, ensure_ascii=False)}\n"
        )
        path.chmod(0o600)
        arguments += ("--target-file", str(path))
    out = tmp_path / "out"
    process = start(*arguments, out=out, **variables)
    wait_for_own_keys(server.endpoint, process)
    seen = dict(processes_of(process.pid))
    run = finish(process, out)
    assert (run.code, run.record.header.target.live) == (0, True), run.output + run.errors
    assert len(seen) > 1
    if way == "argument":
        seen.pop(process.pid)
    for line in seen.values():
        assert not [form for form in forms(PASSWORD) if form.encode() in line]
    assert "owner@127.0.0.1" in run.record.header.target.address
    assert holds_no_secret(run)


def test_a_wrong_password_is_not_shown_in_the_refusal(
    server: ServerProcess, tmp_path: Path
) -> None:
    url = url_of(server.endpoint, username="owner", password=f"{PASSWORD}x")
    run = finish(start(*SELECT, out=tmp_path, KRYONIX_TARGET=url), tmp_path)
    assert run.code == 4
    assert not [form for form in forms(PASSWORD) if form in run.output + run.errors]


def test_an_adapter_that_shows_the_password_is_redacted(
    server: ServerProcess, tmp_path: Path
) -> None:
    """What an implementation says in its errors goes through the same gate."""
    url = url_of(server.endpoint, username="owner", password=PASSWORD)
    process = start(
        *("--select", "isolation.read", "--system", f"{PACKAGE}.wiring:shows_the_password"),
        out=tmp_path,
        KRYONIX_TARGET=url,
    )
    run = finish(process, tmp_path)
    assert (run.code, run.outcomes) == (1, {"isolation.read": "fail"}), run.output + run.errors
    assert holds_no_secret(run)
