# SPDX-License-Identifier: Apache-2.0
"""The judge of values: fields that must be there, formats, tenants and secrets inside them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, TypeAlias

from kryonix_cache.conformance.judging.display import shown_value
from kryonix_cache.conformance.judging.tally import MEMBER
from kryonix_cache.reference_impl.contract.formats import text_of
from kryonix_cache.reference_impl.errors import FormatError
from kryonix_cache.reports.lines import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from kryonix_cache.conformance.judging.reading import Value
    from kryonix_cache.conformance.judging.references import References
    from kryonix_cache.conformance.judging.tally import KeyAt, Tally
    from kryonix_cache.reference_impl.contract import Contract, Field

Json: TypeAlias = bool | int | float | str | list["Json"] | dict[str, "Json"] | None

FIELDS = "keyspace.fields"
EMBEDDED = "keyspace.tenant-embedded"
SECRETS = "security.secrets-at-rest"

_JSON_TYPES: Mapping[str, tuple[type, ...]] = {
    "json": (object,),
    "json-object": (dict,),
    "json-list": (list,),
}
_STRUCTURED = frozenset({*_JSON_TYPES, "name-list", "key-list", "hour-list"})


class FieldJudge:
    """Judges one value after the other against the fields of its key's family."""

    def __init__(self, contract: Contract, tally: Tally, references: References) -> None:
        self._contract = contract
        self._tally = tally
        self._references = references
        # Most fields have a format and nothing else to be judged.
        self._meaningful = frozenset(
            id(field)
            for family in contract.families
            for field in _fields_of(family.value, family.fields)
            if _has_meaning(field)
        )

    def judge(self, at: KeyAt, value: Value) -> None:
        """Judge a whole value."""
        try:
            self._judge_value(at, value)
        except RecursionError:
            self._report(at, "", "JSON that is nested too deeply", "JSON of a few levels")

    def _judge_value(self, at: KeyAt, value: Value) -> None:
        if isinstance(value, dict):
            self._judge_hash(at, value)
            return
        field = at.family.value
        if field is None:
            return
        if isinstance(value, bytes):
            self._judge_raw(at, field, value, "")
            return
        is_list = at.family.type == "list"
        for index, element in enumerate(value):
            path = f" element {index}" if is_list else MEMBER + _shown_raw(field, element)
            self._judge_raw(at, field, element, path)

    def _judge_hash(self, at: KeyAt, value: dict[bytes, bytes]) -> None:
        for name, field in at.family.fields.items():
            raw = value.get(name.encode())
            if raw is not None:
                self._judge_raw(at, field, raw, f" field '{name}'")
            elif field.required:
                self._report_missing(
                    at, field, "", [n for n in field.misnamed if n.encode() in value]
                )

    def _judge_raw(self, at: KeyAt, field: Field, raw: bytes, path: str) -> None:
        try:
            text = raw.decode()
        except UnicodeDecodeError:
            self._tally.seen["fields"] += 1
            if field.secret:
                self._tally.seen["secrets"] += 1
                self._report_secret(at, field, path)
            self._report(
                at, path, f"{len(raw)} bytes that are not UTF-8", field.format.wanted, "E09"
            )
            return
        self._judge_text(at, field, text, path)

    def _judge_text(self, at: KeyAt, field: Field, text: str, path: str) -> None:
        self._tally.seen["fields"] += 1
        if field.secret:
            self._tally.seen["secrets"] += 1
            if self._contract.secrets.is_digest(text):
                self._references.note(at, field, text, path)
                return
            self._report_secret(at, field, path)
        try:
            parsed = self._parsed(field, text)
        except FormatError as error:
            erratum = error.erratum or field.erratum
            self._report(at, path, _found(field, text), error.wanted, erratum)
            return
        if id(field) in self._meaningful:
            self._judge_meaning(at, field, text, parsed, path)

    def _parsed(self, field: Field, text: str) -> object:
        if field.format.name != "enum":
            return field.format.parse(text)
        if text not in field.values:
            raise FormatError(f"one of {', '.join(field.values)}")
        return text

    def _judge_meaning(self, at: KeyAt, field: Field, text: str, parsed: object, path: str) -> None:
        """Judge what a well-formed value says of its tenant, its key, and the members it holds."""
        if field.format.name == "tenant":
            self._judge_tenant(at, text, path)
        if field.equals_part is not None:
            self._judge_part(at, field, text, path)
        self._references.note(at, field, text, path)
        if field.among is not None or field.format.name == "key-list":
            self._references.note_list(at, field, parsed, path)
        if field.fields and isinstance(parsed, dict):
            self._judge_members(at, field, parsed, path)

    def _judge_members(
        self, at: KeyAt, field: Field, members: Mapping[str, Json], path: str
    ) -> None:
        for name, member in field.fields.items():
            inner = f"{path} field '{name}'"
            if name not in members:
                if member.required:
                    known = [other for other in member.misnamed if other in members]
                    self._report_missing(at, member, path, known)
            elif member.format.name in _JSON_TYPES and not isinstance(members[name], str):
                self._judge_json(at, member, members[name], inner)
            else:
                self._judge_text(at, member, text_of(members[name]), inner)

    def _judge_json(self, at: KeyAt, field: Field, value: Json, path: str) -> None:
        """Judge a member that is JSON already, without writing and reading it again."""
        self._tally.seen["fields"] += 1
        if not isinstance(value, _JSON_TYPES[field.format.name]):
            found = f"a JSON value of another kind ({type(value).__name__})"
            self._report(at, path, found, field.format.wanted, field.erratum)
        elif field.fields and isinstance(value, dict):
            self._judge_members(at, field, value, path)

    def _judge_tenant(self, at: KeyAt, text: str, path: str) -> None:
        self._tally.seen["embedded_tenants"] += 1
        if at.tenant is not None:
            fits, wanted = text == at.tenant, f"{shown_value(at.tenant)}, the tenant of the key"
        else:
            fits, wanted = self._contract.tenant.is_valid(text), self._contract.tenant.wanted
        if not fits:
            self._tally.add(
                EMBEDDED, at, path,
                lambda where: Finding(where=where, found=shown_value(text), wanted=wanted),
            )  # fmt: skip

    def _judge_part(self, at: KeyAt, field: Field, text: str, path: str) -> None:
        parsed = self._contract.parse(at.database, at.name)
        part = parsed.parts.get(field.equals_part or "") if parsed else None
        if part is not None and text != part:
            wanted = f"{shown_value(part)}, the {field.equals_part} of the key"
            self._report(at, path, _found(field, text), wanted, field.erratum)

    def _report(
        self, at: KeyAt, path: str, found: str, wanted: str, erratum: str | None = None
    ) -> None:
        make = partial(_finding, found=found, wanted=wanted, erratum=erratum)
        self._tally.add(FIELDS, at, path, make)

    def _report_missing(self, at: KeyAt, field: Field, path: str, misnamed: list[str]) -> None:
        self._tally.seen["fields"] += 1
        inner = f"{path} field '{field.name}'"
        if not misnamed:
            self._report(at, inner, "nothing", f"the field, {field.format.wanted}")
            return
        make = partial(
            _finding,
            found=f"the field under the name '{misnamed[0]}'",
            wanted=f"the name '{field.name}'",
            erratum=field.erratum,
            remedy=f"rename '{misnamed[0]}' to '{field.name}'",
        )
        self._tally.add(FIELDS, at, inner, make)

    def _report_secret(self, at: KeyAt, field: Field, path: str) -> None:
        make = partial(
            _finding,
            found=f"a secret in clear ({field.format.name})",
            wanted="a digest of it, as sha256:<64 hexadecimal digits>",
            erratum=self._contract.secrets.erratum,
            remedy="store the digest and compare digests; change the secret, for readers knew it",
        )
        self._tally.add(SECRETS, at, path, make)


def _fields_of(value: Field | None, fields: Mapping[str, Field]) -> Iterator[Field]:
    """Yield the fields of a family, those inside other fields too."""
    if value is not None:
        yield value
    for field in (value.fields if value is not None else fields).values():
        yield from _fields_of(field, {})


def _has_meaning(field: Field) -> bool:
    return bool(
        field.format.name in {"tenant", "key-list"}
        or field.equals_part
        or field.fact
        or field.unique
        or field.refers_to
        or field.among
        or field.fields
    )


def _finding(
    where: str, *, found: str, wanted: str, erratum: str | None = None, remedy: str | None = None
) -> Finding:
    return Finding(where=where, found=found, wanted=wanted, erratum=erratum, remedy=remedy)


def _found(field: Field, text: str) -> str:
    """Return what is there; JSON may hold secrets, so it is described and not shown."""
    if field.secret:
        return "a secret of another form"
    if field.format.name in _STRUCTURED or field.fields:
        return f"{len(text)} characters that are something else"
    return shown_value(text)


def _shown_raw(field: Field, raw: bytes) -> str:
    if field.secret:
        return "***"
    return shown_value(raw.decode(errors="backslashreplace"))
