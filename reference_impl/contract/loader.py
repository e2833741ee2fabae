# SPDX-License-Identifier: Apache-2.0
"""
The loader of contract files: TOML to typed values, each broken rule with its line.

Two kinds of rules are checked: the JSON Schema (`contract.schema.json`), and what a schema
cannot say (`rules`: families of one database must not meet, what is referred to must be there).
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import jsonschema

from kryonix_cache.reference_impl.contract.assembly import assemble
from kryonix_cache.reference_impl.contract.positions import line_of
from kryonix_cache.reference_impl.contract.rules import broken_rules
from kryonix_cache.reference_impl.errors import ContractError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from jsonschema.exceptions import ValidationError
    from jsonschema.protocols import Validator

    from kryonix_cache.reference_impl.contract.contract import Contract

DEFAULT_FILE = "kryonix.toml"
_SCHEMA_FILE = "contract.schema.json"
_LONGEST_RULE = 300


@cache
def default_contract() -> Contract:
    """Return the contract that the project ships."""
    return _load(_resource(DEFAULT_FILE), DEFAULT_FILE)


def load_contract(path: Path | None) -> Contract:
    """
    Return the contract at `path`, or the project's own for None.

    Raises ContractError that names the file, the line and the rule.
    """
    if path is None:
        return default_contract()
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise ContractError(
            f"The contract {path} cannot be read ({error.strerror}): "
            "give --contract a readable file."
        ) from None
    return _load(raw, str(path))


@cache
def contract_schema() -> Mapping[str, object]:
    """Return the JSON Schema of contract files."""
    schema: dict[str, object] = json.loads(_resource(_SCHEMA_FILE))
    return schema


def _resource(name: str) -> bytes:
    return files(__package__).joinpath(name).read_bytes()


def _load(raw: bytes, source: str) -> Contract:
    try:
        text = raw.decode()
        data = tomllib.loads(text)
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise ContractError(
            f"The contract {source}, line {line}, is not UTF-8 text: save it as UTF-8."
        ) from None
    # Besides its own error the parser lets Python's limits through: digits of a number, depth.
    except (ValueError, RecursionError) as error:
        raise ContractError(f"The contract {source} is not valid TOML: {error}.") from None
    for path, rule in _broken(data):
        raise ContractError(_sentence(source, text, path, rule))
    return assemble(data, sha256=hashlib.sha256(raw).hexdigest())


def _broken(data: Mapping[str, Any]) -> Iterator[tuple[Sequence[str | int], str]]:
    yield from _schema_errors(data)
    yield from broken_rules(data)


@cache
def _validator() -> Validator:
    # To JSON Schema 1.0 is an integer; TOML tells the two apart, and so must `number = 1.0`.
    integers = jsonschema.Draft202012Validator.TYPE_CHECKER.redefine(
        "integer", lambda _, value: isinstance(value, int) and not isinstance(value, bool)
    )
    strict = jsonschema.validators.extend(  # type: ignore[no-untyped-call]
        jsonschema.Draft202012Validator, type_checker=integers
    )
    validator: Validator = strict(contract_schema())
    return validator


def _schema_errors(data: Mapping[str, Any]) -> Iterator[tuple[Sequence[str | int], str]]:
    error = jsonschema.exceptions.best_match(_validator().iter_errors(dict(data)))
    if error is not None:
        yield [*error.absolute_path, *_offending_name(error)], _shortened(_rule_of(error))


def _offending_name(error: ValidationError) -> list[str | int]:
    """Return the name in the table at the error's path that the error is about, if it is one."""
    if "propertyNames" in error.absolute_schema_path:
        return [str(error.instance)]
    table, schema = error.instance, error.schema
    if error.validator != "additionalProperties" or not isinstance(schema, dict):
        return []
    known = schema.get("properties", {})
    return [name for name in table if name not in known][:1] if isinstance(table, dict) else []


def _rule_of(error: ValidationError) -> str:
    if error.validator == "anyOf" and isinstance(error.schema, dict):
        return f"{error.instance!r} is not {error.schema['description']}"
    return error.message


def _shortened(rule: str) -> str:
    return rule if len(rule) <= _LONGEST_RULE else f"{rule[:_LONGEST_RULE]}..."


def _sentence(source: str, text: str, path: Sequence[str | int], rule: str) -> str:
    where = ".".join(_printable(str(step)) for step in path) or "the top level"
    return f"The contract {source}, line {line_of(text, path)}, {where}: {rule}."


def _printable(step: str) -> str:
    return step if step.isprintable() else ascii(step)
