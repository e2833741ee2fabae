# SPDX-License-Identifier: Apache-2.0
"""Every command line that the pages and the examples show is one that the command accepts."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

import click
import pytest

from kryonix_cache.conformance.cli.main import cli
from tests.packaging.tree import ROOT, files

if TYPE_CHECKING:
    from collections.abc import Iterator

COMMAND = "kryonix-cache"
SOURCES = [
    name
    for name in files()
    if name.endswith(".md") or (name.startswith("examples/") and not name.endswith(".py"))
]
FENCED = re.compile(r"```(\w*)\n(.*?)```", re.DOTALL)
SPAN = re.compile(r"`([^`]+)`")
END = re.compile(r"^[|&;]+$")


def lines_of(name: str, text: str) -> Iterator[str]:
    """Yield what a shell would run: fenced blocks, code in a sentence, steps of a pipeline."""
    if name.endswith(".md"):
        for language, block in FENCED.findall(text):
            if language in {"sh", "shell", "console", "bash", ""}:
                yield from block.replace("\\\n", " ").splitlines()
        text = FENCED.sub("", text)
    for span in SPAN.findall(re.sub(r"\n# ?", "\n", text)):
        yield " ".join(span.split())
    if name.endswith(".yml"):
        joined = re.sub(r">-\n\s+", "", text)
        joined = re.sub(r"(kryonix-cache .*)\n\s+(?=--)", r"\1 ", joined)
        yield from (line.strip(" -") for line in joined.splitlines() if not line.startswith("#"))


def commands_in(line: str) -> Iterator[list[str]]:
    """Yield the arguments of each use of the command in one line of shell."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;")
    lexer.whitespace_split = True
    lexer.commenters = "#"
    try:
        words = list(lexer)
    except ValueError:
        return
    current: list[str] = []
    for word in [*words, ";"]:
        if not END.match(word):
            current.append(word)
            continue
        while current and re.match(r"^(\$|run:|[A-Z_]+=.*)$", current[0]):
            current.pop(0)
        if current and current[0].rpartition("/")[2] == COMMAND:
            yield current[1:]
        current = []


def refusal_of(arguments: list[str]) -> str:
    """Return why the command would not take these arguments; nothing is run.

    A command that is named without any argument is accepted: a sentence names it so.
    """
    command: click.Command = cli
    context = click.Context(cli, info_name=COMMAND)
    rest = list(arguments)
    while isinstance(command, click.Group) and rest and not rest[0].startswith("-"):
        found = command.get_command(context, rest[0])
        if found is None:
            return f"no command {rest[0]}"
        command, context = found, click.Context(found, parent=context, info_name=rest.pop(0))
    try:
        if rest:
            command.make_context(context.info_name, list(rest), parent=context.parent)
    except click.exceptions.Exit:
        return ""
    except click.UsageError as error:
        # A sentence shows N or FILE where a value belongs.
        is_placeholder = isinstance(error, click.BadParameter) and any(map(str.isupper, rest))
        return "" if is_placeholder else error.format_message()
    return ""


def uses() -> list[tuple[str, str]]:
    return [
        (name, shlex.join(arguments))
        for name in SOURCES
        for line in lines_of(name, (ROOT / name).read_text(encoding="utf-8"))
        for arguments in commands_in(line)
    ]


@pytest.mark.parametrize(("name", "line"), sorted(set(uses())))
def test_a_command_line_that_is_shown_is_accepted(name: str, line: str) -> None:
    assert refusal_of(shlex.split(line)) == "", name


def test_the_pages_and_the_pipelines_are_all_read() -> None:
    found = {name for name, line in uses() if line.startswith("conformance")}
    assert {"README.md", "examples/github/gate.yml", "examples/gitlab-ci.yml"} <= found
    folded = [line for name, line in uses() if name == "examples/github/gate.yml"]
    assert any(line.endswith("--out reports/runs") for line in folded)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("conformance --taget local", "No such option"),
        ("contract chek", "no command chek"),
        ("contract check somewhere.toml", "unexpected extra argument"),
        ("seed --tenants many", "not a valid integer"),
        ("diff one", "Missing argument"),
    ],
)
def test_a_command_line_that_is_wrong_would_be_found(line: str, reason: str) -> None:
    assert reason in refusal_of(shlex.split(line))
