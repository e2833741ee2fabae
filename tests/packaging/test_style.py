# SPDX-License-Identifier: Apache-2.0
"""What every file of the project keeps, and no linter looks for."""

from __future__ import annotations

import re

import pytest

from tests.packaging.tree import ROOT, files

LICENCE_LINE = "# SPDX-License-Identifier: Apache-2.0"
# Written in pieces, so that this file does not find itself.
FORBIDDEN = {
    "a path of one machine": r"(?<![\w.])/(?:home|Users|root|work|tmp/prep)/[\w.-]+",
    "the host of a package registry": r"\b(?:files\.)?py" + r"pi\.org|python" + r"hosted\.org",
    "an open end": r"\b(?:TO" + r"DO|FIX" + r"ME|X" + r"XX)\b",
}


def text_of(name: str) -> str | None:
    try:
        return (ROOT / name).read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return None


def offences(text: str, pattern: str) -> list[str]:
    return [match.group() for match in re.finditer(pattern, text)]


def test_the_first_line_of_each_module_names_the_licence() -> None:
    modules = [name for name in files() if name.endswith(".py")]
    assert len(modules) > 50
    assert [name for name in modules if not str(text_of(name)).startswith(LICENCE_LINE)] == []


@pytest.mark.parametrize("what", FORBIDDEN)
def test_no_file_holds(what: str) -> None:
    found = {
        name: hits
        for name in files()
        if (text := text_of(name)) and (hits := offences(text, FORBIDDEN[what]))
    }
    assert found == {}


@pytest.mark.parametrize(
    ("what", "planted"),
    [
        ("a path of one machine", "open('/home/" + "somebody/x')"),
        ("the host of a package registry", "https://py" + "pi.org/simple"),
        ("an open end", "# TO" + "DO: later"),
    ],
)
def test_what_no_file_may_hold_would_be_found(what: str, planted: str) -> None:
    assert offences(planted, FORBIDDEN[what])
