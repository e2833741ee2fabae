# SPDX-License-Identifier: Apache-2.0
"""
Writing a run record line by line, and reading it back only if it can be trusted.

A record is trusted when it is whole (it ends with its footer), unchanged (the footer's hash is
that of all bytes before it), well formed (each line fits ``record.schema.json``, in the order of
the format) and honest (results, counts, verdict and exit code follow from its checks).
The hash guards against accidents and careless edits; it is no signature.
"""

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self, TypeVar

from kryonix_cache.reports.consistency import check_conclusion, check_evidence, check_header
from kryonix_cache.reports.errors import (
    DuplicateHeaderError,
    RecordEditedError,
    RecordEmptyError,
    RecordExistsError,
    RecordInvalidError,
    RecordMissingError,
    RecordNotWritableError,
    RecordOutOfOrderError,
    RecordTruncatedError,
    RecordUnreadableError,
)
from kryonix_cache.reports.lines import (
    Check,
    Footer,
    Footprint,
    Header,
    Json,
    Line,
    Requirement,
    Result,
    Verdict,
    from_json,
    to_json,
)
from kryonix_cache.reports.redaction import Redactor
from kryonix_cache.reports.schema import broken_rule, parse_line, redact_line
from kryonix_cache.reports.verdict import count_outcomes, exit_code, judge, verdict_of

RECORD_NAME = "record.jsonl"

_LINES: dict[str, type[Line]] = {
    cls.kind: cls for cls in (Header, Check, Result, Footprint, Footer)
}
_HEADER_START = b'{"kind":"header",'
_L = TypeVar("_L", Header, Check, Result, Footprint, Footer)


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A whole, verified run record; every report is made from this and nothing else."""

    header: Header
    checks: tuple[Check, ...]
    results: tuple[Result, ...]
    footprint: Footprint | None
    footer: Footer

    @property
    def verdict(self) -> Verdict:
        """What the run says about its target."""
        return self.footer.verdict

    @property
    def requirements(self) -> dict[str, Requirement]:
        """The registry by requirement id."""
        return {requirement.id: requirement for requirement in self.header.registry.requirements}


class RecordWriter:
    """
    Appends a run to a new record, each line flushed as it comes.

    Call `header` once, `check` for each executed test, `finish` once; leaving the context
    without `finish` leaves a record that `read_record` refuses as truncated. Everything passes
    `redactor`. Raises RecordExistsError, RecordNotWritableError, RecordOutOfOrderError, and
    RecordInvalidError for a line that would break the format.
    """

    def __init__(self, path: Path, redactor: Redactor) -> None:
        self.path = path
        self._redactor = redactor
        self._hash = hashlib.sha256()
        self._written = 0
        self._header: Header | None = None
        self._checks: list[Check] = []
        self._closed = False
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file: BinaryIO = path.open("xb")
        except FileExistsError:
            raise RecordExistsError(path) from None
        except OSError as cause:
            raise RecordNotWritableError(path, cause) from cause

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; a record without a footer stays refused."""
        self._closed = True
        try:
            self._file.close()
        except OSError as cause:
            raise RecordNotWritableError(self.path, cause) from cause

    def header(self, header: Header) -> None:
        """Write the first line; raises RecordInconsistentError where it contradicts itself."""
        if self._header is not None:
            raise RecordOutOfOrderError(self.path, header.kind, "the record has its header already")
        check_header(header)
        self._header = self._append(self._redacted(header))

    def check(self, check: Check) -> None:
        """Write what one executed test found."""
        if self._header is None or self._closed:
            raise RecordOutOfOrderError(self.path, check.kind, "checks follow the header")
        check_evidence(check)
        self._checks.append(self._append(self._redacted(check)))

    def finish(
        self, *, finished: str, seconds: float, footprint: Footprint | None = None
    ) -> Record:
        """
        Write the results, the footprint and the footer, and bring all of it to the disk.

        `finished` is UTC in ISO 8601, `seconds` the wall time of the run. Returns the record as
        a reader would see it.
        """
        if self._header is None or self._closed:
            raise RecordOutOfOrderError(self.path, Footer.kind, "it closes a run once")
        # Judged from what the checks look like after redaction: a reader has nothing else.
        results = judge(self._header.registry.requirements, self._checks, self._header.waivers)
        for result in results:
            self._append(result)
        if footprint is not None:
            footprint = self._append(self._redacted(footprint))
        verdict = verdict_of(results)
        footer = Footer(
            finished=finished,
            seconds=seconds,
            counts=count_outcomes(results),
            verdict=verdict,
            exit_code=exit_code(verdict, self._header.accept),
            lines=self._written,
            sha256=self._hash.hexdigest(),
        )
        self._append(footer, sync=True)
        self._closed = True
        return Record(
            header=self._header,
            checks=tuple(self._checks),
            results=results,
            footprint=footprint,
            footer=footer,
        )

    def _redacted(self, line: _L) -> _L:
        """Return the line as a reader will see it; raises RecordInvalidError."""
        document = self._valid(redact_line(to_json(line), self._redactor))
        return from_json(type(line), document)

    def _valid(self, document: Json) -> dict[str, Json]:
        return _well_formed(self.path, self._written + 1, document)

    def _append(self, line: _L, *, sync: bool = False) -> _L:
        document = self._valid(to_json(line))
        raw = json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
        try:
            self._file.write(raw)
            self._file.flush()
            if sync:
                os.fsync(self._file.fileno())
        except OSError as cause:
            # Half a line may stand there now: nothing may follow it.
            self._closed = True
            raise RecordNotWritableError(self.path, cause) from cause
        self._hash.update(raw)
        self._written += 1
        return line


def read_record(path: Path) -> Record:
    """
    Return the record at `path`, a file or the folder of a run.

    Raises a subclass of ReportError for a record that is missing, empty, truncated, edited,
    invalid or inconsistent.
    """
    path = path / RECORD_NAME if path.is_dir() else path
    raw = _read_bytes(path)
    lines = raw.splitlines(keepends=True) if raw else []
    if not lines:
        raise RecordEmptyError(path)
    _refuse_two_runs(path, lines)
    footer = _footer_of(path, lines)
    head = raw[: -len(lines[-1])]
    if footer.sha256 != hashlib.sha256(head).hexdigest():
        raise RecordEditedError(path, "its SHA-256 is not the one in its footer")
    if footer.lines != len(lines) - 1:
        raise RecordEditedError(path, f"the footer counts {footer.lines} lines before it")
    return _assembled(path, lines[:-1], footer)


def _read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise RecordMissingError(path) from None
    except OSError as cause:
        raise RecordUnreadableError(path, cause) from cause


def _refuse_two_runs(path: Path, lines: Sequence[bytes]) -> None:
    """Name the cause before the hash only says that something is wrong."""
    starts = [n for n, raw in enumerate(lines, start=1) if raw.startswith(_HEADER_START)]
    if len(starts) > 1:
        raise DuplicateHeaderError(path, line=starts[1])


def _footer_of(path: Path, lines: Sequence[bytes]) -> Footer:
    last = len(lines)
    if not lines[-1].endswith(b"\n"):
        raise RecordTruncatedError(path, lines=last)
    footer = _parsed(path, last, lines[-1])
    if not isinstance(footer, Footer):
        raise RecordTruncatedError(path, lines=last)
    return footer


def _parsed(path: Path, number: int, raw: bytes) -> Line:
    try:
        document = parse_line(raw)
    except (ValueError, RecursionError) as cause:
        raise RecordInvalidError(path, line=number, rule=f"no JSON in UTF-8 ({cause})") from cause
    document = _well_formed(path, number, document)
    return from_json(_LINES[str(document["kind"])], document)


def _well_formed(path: Path, number: int, document: Json) -> dict[str, Json]:
    rule = broken_rule(document)
    if rule is not None or not isinstance(document, dict):
        raise RecordInvalidError(path, line=number, rule=rule or "a line is an object")
    return document


def _assembled(path: Path, lines: Sequence[bytes], footer: Footer) -> Record:
    parsed = [_parsed(path, number, raw) for number, raw in enumerate(lines, start=1)]
    _refuse_disorder(path, parsed)
    header = parsed[0]
    assert isinstance(header, Header)
    checks = tuple(line for line in parsed if isinstance(line, Check))
    results = tuple(line for line in parsed if isinstance(line, Result))
    footprints = [line for line in parsed if isinstance(line, Footprint)]
    check_header(header)
    for check in checks:
        check_evidence(check)
    check_conclusion(header, checks, results, footer)
    return Record(
        header=header,
        checks=checks,
        results=results,
        footprint=footprints[0] if footprints else None,
        footer=footer,
    )


def _refuse_disorder(path: Path, lines: Sequence[Line]) -> None:
    kinds = tuple(_LINES)
    previous = Header.kind
    for number, line in enumerate(lines, start=1):
        repeats = isinstance(line, Footprint) and previous == Footprint.kind
        late = kinds.index(line.kind) < kinds.index(previous)
        if repeats or late or isinstance(line, Footer) or (number == 1) != isinstance(line, Header):
            raise RecordInvalidError(
                path,
                line=number,
                rule=f"a {line.kind} line cannot stand here; the order is header, "
                "checks, results, at most one footprint, footer",
            )
        previous = line.kind
    if not lines:
        raise RecordInvalidError(path, line=1, rule="a record starts with its header")
