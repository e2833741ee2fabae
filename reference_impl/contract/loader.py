# SPDX-License-Identifier: Apache-2.0
"""
The loader of contract files: TOML to typed values, each broken rule with its line.

Two kinds of rules are checked: the JSON Schema (`contract.schema.json`), and what a schema
cannot say (families of one database must not meet, what refers must be there).
"""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TypeAlias

import jsonschema

from kryonix_cache.reference_impl.contract.assembly import assemble
from kryonix_cache.reference_impl.contract.contract import Contract
from kryonix_cache.reference_impl.contract.rules import broken_rules
from kryonix_cache.reference_impl.errors import ContractError

DEFAULT_FILE = "kryonix.toml"
Steps: TypeAlias = Sequence[str | int]


@cache
def default_contract() -> Contract:
    """Return the contract that the project ships."""
    return _load(_resource(DEFAULT_FILE), DEFAULT_FILE)


def load_contract(path: Path | None) -> Contract:
    """Return the contract at `path`, or the project's own for None.

    Raises ContractError that names the file, the line and the rule.
    """
    if path is None:
        return default_contract()
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise ContractError(f"The contract {path} is not UTF-8 text: save it as UTF-8.") from None
    except OSError as error:
        raise ContractError(
            f"The contract {path} cannot be read ({error.strerror}): give --contract a readable file."
        ) from None
    return _load(text, str(path))


@cache
def contract_schema() -> Mapping[str, object]:
    """Return the JSON Schema of contract files."""
    schema = json.loads(_resource("contract.schema.json"))
    if not isinstance(schema, dict):
        raise TypeError(schema)
    return schema


def _resource(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


def _load(text: str, source: str) -> Contract:
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ContractError(f"The contract {source} is not valid TOML: {error}.") from None
    for path, rule in _schema_errors(data):
        raise ContractError(_sentence(source, text, path, rule))
    for path, rule in broken_rules(data):
        raise ContractError(_sentence(source, text, path, rule))
    return assemble(data, sha256=hashlib.sha256(text.encode()).hexdigest())


def _schema_errors(data: Mapping[str, object]) -> Iterator[tuple[Steps, str]]:
    validator = jsonschema.Draft202012Validator(contract_schema())
    error = jsonschema.exceptions.best_match(validator.iter_errors(data))
    if error is not None:
        # Only the last path element that stands in the text has a line of its own.
        yield list(error.absolute_path), error.message


def _sentence(source: str, text: str, path: Steps, rule: str) -> str:
    where = ".".join(str(step) for step in path) or "the top level"
    return f"The contract {source}, line {line_of(text, path)}, {where}: {rule}."


def line_of(text: str, path: Steps) -> int:
    """Return the line (from 1) at which the deepest findable step of `path` stands in `text`.

    The standard library's TOML parser keeps no positions, so table headers and keys are looked
    for in the text: `family.queue.fields.module` is the header `[family.queue.fields]` and the
    key `module` below it. Arrays of tables count their headers.
    """
    lines = text.splitlines()
    names = [str(step) for step in path if isinstance(step, str)]
    occurrence = next((step for step in path if isinstance(step, int)), 0)
    for depth in range(len(names), 0, -1):
        header = _header_line(lines, names[:depth], occurrence)
        if header is None:
            continue
        key = _key_line(lines, header, names[depth]) if depth < len(names) else None
        return (header if key is None else key) + 1
    key = _key_line(lines, -1, names[0]) if names else None
    return 1 if key is None else key + 1


def _header_line(lines: Sequence[str], names: Sequence[str], occurrence: int) -> int | None:
    joined = r"\s*\.\s*".join(rf"\"?{re.escape(name)}\"?" for name in names)
    header = re.compile(rf"\s*\[{{1,2}}\s*{joined}\s*\]{{1,2}}\s*(?:#.*)?")
    found = [index for index, line in enumerate(lines) if header.fullmatch(line)]
    if not found:
        return None
    return found[occurrence] if occurrence < len(found) else found[0]


def _key_line(lines: Sequence[str], header: int, name: str) -> int | None:
    key = re.compile(rf"\s*\"?{re.escape(name)}\"?\s*[=.]")
    for index in range(header + 1, len(lines)):
        if re.match(r"\s*\[", lines[index]):
            return None
        if key.match(lines[index]):
            return index
    return None
