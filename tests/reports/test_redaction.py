# SPDX-License-Identifier: Apache-2.0
"""No secret and no control character gets past the gate, in any spelling, into any report."""

import html
import io
import json
import re
import shlex
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from kryonix_cache.reports.lines import Finding, Footprint, RefusedCommand
from kryonix_cache.reports.record import read_record
from kryonix_cache.reports.redaction import MASK, Redactor, printable
from kryonix_cache.reports.rendering import write_reports
from kryonix_cache.reports.schema import record_schema, redact_line
from kryonix_cache.reports.terminal import render_terminal
from tests.reports.records import QUIET_FOOTPRINT, Run, check, requirement, waiver

PASSWORDS = [
    "s3cr3t-plain",
    r".*[a-z]+(?P<x>$^)\d",
    '{"quoted": "\\back\\slash"}',
    "<b>&amp;</b>'\"",
    "p@ss:w/rd?x=1&y=2#frag ment%41+",
    "tab\tnew\nline",
    "gehéim-пароль-秘密",
    "it's `$(id)`",
    "\\u0041\x1b[31m",
]
SPELLINGS: Mapping[str, Callable[[str], str]] = {
    "plain": str,
    "url path": quote,
    "url": lambda secret: quote(secret, safe=""),
    "url form": quote_plus,
    "url in lower case": lambda secret: re.sub(
        "%..", lambda code: code[0].lower(), quote(secret, safe="")
    ),
    "json": lambda secret: json.dumps(secret)[1:-1],
    "json unicode": lambda secret: json.dumps(secret, ensure_ascii=False)[1:-1],
    "json in json": lambda secret: json.dumps(json.dumps(secret))[3:-3],
    "html": html.escape,
    "html text": lambda secret: html.escape(secret, quote=False),
    "python": lambda secret: repr(secret)[1:-1],
    "python bytes": lambda secret: repr(secret.encode())[2:-1],
    "shell": shlex.quote,
}


@pytest.mark.parametrize("password", PASSWORDS, ids=range(len(PASSWORDS)))
@pytest.mark.parametrize("spelling", SPELLINGS.values(), ids=SPELLINGS.keys())
def test_a_known_secret_is_masked_in_each_spelling(
    password: str, spelling: Callable[[str], str]
) -> None:
    spelt = spelling(password)
    masked = Redactor([password]).text(f"before {spelt} after")

    assert spelt.strip("'") not in masked
    assert re.fullmatch(r"before '?\*\*\*'? after", masked)


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("redis://:pass@h:6379/0", "redis://:***@h:6379/0"),
        ("rediss://user:p@ss@h:6379", "rediss://user:***@h:6379"),
        ("redis://user:p/a#s?s@h:6379", "redis://user:***@h:6379"),
        ("unix://user:pw@/run/redis.sock", "unix://user:***@/run/redis.sock"),
        ("https://bob:pw@evolution.example/x", "https://bob:***@evolution.example/x"),
        ("see REDIS://U:pw@h and redis://v:pw@i", "see REDIS://U:***@h and redis://v:***@i"),
        ("redis://h/0?password=pw&db=1", "redis://h/0?password=***&db=1"),
        ("redis://h:6379/0", "redis://h:6379/0"),
        ("redis://user@h:6379", "redis://user@h:6379"),
        ("tenant:acme:session@1", "tenant:acme:session@1"),
    ],
)
def test_the_password_of_any_url_is_masked_without_being_known(text: str, masked: str) -> None:
    assert Redactor().text(text) == masked


def test_a_secret_that_begins_like_another_leaves_no_tail() -> None:
    assert Redactor(["hunter", "hunter2-long"]).text("x hunter2-long y hunter z") == "x *** y *** z"


def test_a_short_secret_is_masked_in_urls_only_and_counted() -> None:
    """Masking each "1" would make a report unreadable and would tell the secret by its gaps."""
    redactor = Redactor(["1", "abc", "", "long-enough"])

    assert redactor.text("db 1, 16 keys") == "db 1, 16 keys"
    assert redactor.text("redis://u:1@h") == "redis://u:***@h"
    assert redactor.too_short == 2


def test_a_redactor_never_shows_its_secrets() -> None:
    assert "s3cr3t" not in repr(Redactor(["s3cr3t-plain"]))


def test_a_json_value_is_masked_in_depth_keys_included() -> None:
    value = Redactor(["s3cr3t"]).value({"s3cr3t": ["a s3cr3t", {"n": 1, "b": True, "x": None}]})

    assert value == {MASK: [f"a {MASK}", {"n": 1, "b": True, "x": None}]}


@given(st.text())
def test_printable_text_can_be_written_anywhere(text: str) -> None:
    shown = printable(text)

    shown.encode("utf-8")
    assert all(c in "\n\t" or c.isprintable() or c.isspace() or ord(c) > 0x7F for c in shown)
    assert printable(shown) == shown
    pattern = record_schema()["$defs"]["text"]["pattern"]
    assert re.search(pattern, shown)


def test_hidden_characters_come_out_as_escapes() -> None:
    assert printable("a\x00\x1b[31m\u202eb\ud800\u2028é秘\n\t") == (
        "a\\x00\\x1b[31m\\u202eb\\ud800\\u2028é秘\n\t"
    )


def test_closed_fields_are_never_masked() -> None:
    """A password such as "pass" must not break the outcomes of the record."""
    line: Any = {"kind": "check", "outcome": "pass", "requirement": "server.pass", "reason": "pass"}

    assert redact_line(line, Redactor(["pass"])) == {**line, "reason": MASK}


def _loud_run(secret: str) -> Run:
    """Return a run that holds the secret in every field of free text."""
    finding = Finding(where=f"w {secret}", found=secret, wanted=f"{secret} w", remedy=f"r {secret}")
    ids = ("server.ping", "config.aof", "config.databases", "keyspace.ttl")
    outcomes = ("fail", "fail", "inconclusive", "error")
    return Run(
        requirements=[requirement(i, f"asks for {secret}") for i in ids],
        checks=[
            check(
                i,
                outcome,
                f"because {secret}",
                test=f"t.py::t[{secret}]",
                evidence=(finding,),
                reproduce=f"kryonix-cache --target 'redis://u:{quote(secret, safe='')}@h' {secret}",
            )
            for i, outcome in zip(ids, outcomes, strict=True)
        ],
        waivers=(waiver("config.aof", reason=f"r {secret}", owner=f"o {secret}"),),
        footprint=_loud_footprint(secret),
        address=f"redis://user:{secret}@h:6379",
        secrets=(secret,),
    )


def _loud_footprint(secret: str) -> Footprint:
    refused = (RefusedCommand(command=f"AUTH {secret}", reason=f"no {secret}"),)
    return replace(QUIET_FOOTPRINT, refused=refused, note=f"note {secret}")


@pytest.mark.parametrize("password", PASSWORDS, ids=range(len(PASSWORDS)))
def test_no_secret_reaches_any_report(tmp_path: Path, password: str) -> None:
    path = _loud_run(password).write(tmp_path)
    write_reports(path, tmp_path)
    printed = io.StringIO()
    render_terminal(read_record(path), Console(file=printed, width=4000))
    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    texts = {file.name: file.read_text("utf-8") for file in files}
    texts["terminal"] = printed.getvalue()

    assert {"record.jsonl", "junit.xml", "report.html", "summary.md", "badge.json"} <= set(texts)
    assert len(texts) > 10
    for name, text in texts.items():
        for spelling in SPELLINGS.values():
            assert spelling(password).strip("'") not in text, name


@pytest.mark.parametrize("password", PASSWORDS, ids=range(len(PASSWORDS)))
def test_the_gate_is_what_keeps_secrets_out(tmp_path: Path, password: str) -> None:
    """Without the secret being known it does show, so the test above can fail."""
    path = replace(_loud_run(password), secrets=()).write(tmp_path)
    text = read_record(path).checks[0].reason

    assert printable(password) in text
