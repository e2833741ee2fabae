# SPDX-License-Identifier: Apache-2.0
"""The JSON Schema of a record's lines: parsing, validating, and passing lines through the gate."""

import json
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any, NoReturn

import jsonschema

from kryonix_cache.reports.lines import Json
from kryonix_cache.reports.redaction import Redactor

_TEXT = "#/$defs/text"
_LONGEST_RULE = 200


@cache
def record_schema() -> Mapping[str, Any]:
    """Return the schema that ships with the package (JSON Schema 2020-12)."""
    source = resources.files("kryonix_cache.reports").joinpath("record.schema.json")
    schema: Mapping[str, Any] = json.loads(source.read_text("utf-8"))
    return schema


def parse_line(raw: bytes) -> Json:
    """Parse one line; raises ValueError for what is no strict JSON in UTF-8."""
    parsed: Json = json.loads(
        raw.decode("utf-8"), parse_constant=_refuse_constant, object_pairs_hook=_unique_members
    )
    return parsed


def broken_rule(document: Json) -> str | None:
    """Return the rule that a line breaks, with the place in the line, or None if it is well."""
    kind = document.get("kind") if isinstance(document, dict) else None
    kinds = [ref["$ref"].rpartition("/")[2] for ref in record_schema()["oneOf"]]
    if kind not in kinds:
        return f"a line is an object whose kind is one of {', '.join(kinds)}"
    error = jsonschema.exceptions.best_match(_validator(str(kind)).iter_errors(document))
    if error is None:
        return None
    rule = error.message
    return (
        f"{error.json_path}: {rule if len(rule) <= _LONGEST_RULE else rule[:_LONGEST_RULE] + '…'}"
    )


def redact_line(document: Json, redactor: Redactor) -> Json:
    """
    Return a line with all its free text passed through the redactor.

    Free text is what the schema calls `text`. Everything else is a number or closed by an enum
    or a narrow pattern, so it cannot carry a secret, and masking it (think of the password
    "pass") would only break the record.
    """
    kind = document.get("kind") if isinstance(document, dict) else None
    redacted: Json = _redact(document, record_schema()["$defs"].get(kind, {}), redactor)
    return redacted


def _redact(value: Any, schema: Mapping[str, Any], redactor: Redactor) -> Any:
    if schema.get("$ref") == _TEXT and isinstance(value, str):
        return redactor.text(value)
    if "$ref" in schema:
        schema = record_schema()["$defs"][schema["$ref"].rpartition("/")[2]]
    if "anyOf" in schema and value is not None:
        return _redact(value, schema["anyOf"][0], redactor)
    if isinstance(value, dict):
        members = schema.get("properties", {})
        return {
            name: _redact(member, members.get(name, {}), redactor) for name, member in value.items()
        }
    if isinstance(value, list):
        return [_redact(member, schema.get("items", {}), redactor) for member in value]
    return value


@cache
def _validator(kind: str) -> jsonschema.Draft202012Validator:
    schema = record_schema()
    return jsonschema.Draft202012Validator({"$ref": f"#/$defs/{kind}", "$defs": schema["$defs"]})


def _refuse_constant(name: str) -> NoReturn:
    message = f"{name} is no JSON number"
    raise ValueError(message)


def _unique_members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        message = "a member stands twice in one object"
        raise ValueError(message)
    return members
