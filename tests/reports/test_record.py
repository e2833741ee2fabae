# SPDX-License-Identifier: Apache-2.0
"""A record is read only if it is whole, unchanged, well formed and honest."""

import hashlib
import json
import resource
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from kryonix_cache.reports.errors import (
    DuplicateHeaderError,
    RecordEditedError,
    RecordEmptyError,
    RecordExistsError,
    RecordInconsistentError,
    RecordInvalidError,
    RecordMissingError,
    RecordNotWritableError,
    RecordOutOfOrderError,
    RecordTruncatedError,
    RecordUnreadableError,
    ReportError,
)
from kryonix_cache.reports.lines import Finding
from kryonix_cache.reports.record import RECORD_NAME, RecordWriter, read_record
from kryonix_cache.reports.redaction import Redactor
from tests.reports.forgery import Lines, first, forge
from tests.reports.records import FINISHED, Run, check, requirement, waiver
from tests.reports.sample import deployment_run


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """Return the path of a whole record with every kind of line."""
    return deployment_run().write(tmp_path)


def test_a_reader_sees_what_the_writer_returned(tmp_path: Path) -> None:
    record = deployment_run().record(tmp_path)

    assert read_record(tmp_path) == record
    assert read_record(tmp_path / RECORD_NAME) == record


def test_the_lines_come_in_the_order_of_the_format(written: Path) -> None:
    kinds = [json.loads(line)["kind"] for line in written.read_text().splitlines()]

    assert list(dict.fromkeys(kinds)) == ["header", "check", "result", "footprint", "footer"]
    assert kinds == sorted(kinds, key=list(dict.fromkeys(kinds)).index)


def test_each_line_is_on_the_disk_before_the_next_is_made(tmp_path: Path) -> None:
    path = tmp_path / RECORD_NAME
    with RecordWriter(path, Redactor()) as writer:
        writer.header(Run().header())
        assert len(path.read_bytes().splitlines()) == 1
        writer.check(check("server.ping"))
        assert len(path.read_bytes().splitlines()) == 2


def test_a_record_is_never_written_over_another(written: Path) -> None:
    before = written.read_bytes()

    with pytest.raises(RecordExistsError):
        RecordWriter(written, Redactor())

    assert written.read_bytes() == before


def test_a_missing_record_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "no-such-run", tmp_path / RECORD_NAME / "deeper"):
        with pytest.raises(RecordMissingError):
            read_record(path)


def test_a_record_that_is_no_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / RECORD_NAME).mkdir()

    with pytest.raises(RecordUnreadableError):
        read_record(tmp_path)


def test_an_empty_record_is_refused(tmp_path: Path) -> None:
    path = tmp_path / RECORD_NAME
    path.touch()

    with pytest.raises(RecordEmptyError):
        read_record(path)


def test_a_record_cut_at_any_line_is_refused_as_truncated(written: Path) -> None:
    lines = written.read_bytes().splitlines(keepends=True)
    for kept in range(1, len(lines)):
        written.write_bytes(b"".join(lines[:kept]))

        with pytest.raises(RecordTruncatedError, match=f"after line {kept} without a footer"):
            read_record(written)


def test_a_record_cut_inside_a_line_is_refused(written: Path) -> None:
    whole = written.read_bytes()
    for length in range(1, len(whole), 397):
        written.write_bytes(whole[:length])

        with pytest.raises(RecordTruncatedError):
            read_record(written)


def test_a_record_with_any_byte_changed_is_refused(written: Path) -> None:
    whole = written.read_bytes()
    for position in range(0, len(whole), 397):
        flipped = bytes([whole[position] ^ 1])
        written.write_bytes(whole[:position] + flipped + whole[position + 1 :])

        with pytest.raises(ReportError) as refusal:
            read_record(written)
        assert refusal.value.exit_code == 4


def test_an_edited_record_says_that_it_was_edited(written: Path) -> None:
    written.write_bytes(written.read_bytes().replace(b"noeviction", b"allkeys-lru"))

    with pytest.raises(RecordEditedError, match="changed after the run"):
        read_record(written)


def test_a_footer_that_counts_other_lines_is_refused(written: Path) -> None:
    body = len(written.read_bytes().splitlines()) - 1
    written.write_text(written.read_text().replace(f'"lines":{body}', '"lines":99'))

    with pytest.raises(RecordEditedError, match="counts 99 lines"):
        read_record(written)


def test_two_runs_in_one_file_are_refused(written: Path) -> None:
    written.write_bytes(written.read_bytes() * 2)

    with pytest.raises(DuplicateHeaderError, match="two runs"):
        read_record(written)


@pytest.mark.parametrize(
    ("kind", "member", "value", "rule"),
    [
        ("check", "surprise", 1, "Additional properties"),
        ("check", "outcome", "waived", "is not one of"),
        ("check", "seconds", -1, "minimum"),
        ("check", "reason", "a\x1b[2Jb", "does not match"),
        ("check", "reason", "a\u202eb", "does not match"),
        ("check", "requirement", "Config Databases", "does not match"),
        ("header", "format", 2, "was expected"),
        ("header", "started", "yesterday", "does not match"),
        ("footprint", "digest", "perhaps", "is not one of"),
        ("result", "kind", "verdict", "kind is one of"),
    ],
)
def test_a_line_that_breaks_the_schema_is_refused_by_line_and_rule(
    written: Path, kind: str, member: str, value: object, rule: str
) -> None:
    numbers = [
        number
        for number, line in enumerate(written.read_text().splitlines(), start=1)
        if json.loads(line)["kind"] == kind
    ]
    forge(written, lambda lines: first(lines, kind).update({member: value}))

    with pytest.raises(RecordInvalidError, match=rule) as refusal:
        read_record(written)
    assert refusal.value.line == numbers[0]


@pytest.mark.parametrize(
    "line",
    [
        b"not json",
        b'{"kind": "check"',
        b'"check"',
        b'{"kind":"check","kind":"check"}',
        b'{"kind":"check","seconds":NaN}',
        b"\xff",
        b"[]",
    ],
)
def test_a_line_that_is_no_json_object_is_refused(written: Path, line: bytes) -> None:
    head, _, footer = written.read_bytes().rpartition(b'{"kind":"footer"')
    body = head + line + b"\n"
    forged = json.loads(b'{"kind":"footer"' + footer)
    forged.update(lines=len(body.splitlines()), sha256=hashlib.sha256(body).hexdigest())
    written.write_bytes(body + json.dumps(forged).encode() + b"\n")

    with pytest.raises(RecordInvalidError):
        read_record(written)


def test_lines_out_of_order_are_refused(written: Path) -> None:
    def footprint_first(lines: Lines) -> None:
        lines.insert(1, lines.pop(-2))

    forge(written, footprint_first)

    with pytest.raises(RecordInvalidError, match="cannot stand here"):
        read_record(written)


def test_a_record_without_a_header_is_refused(written: Path) -> None:
    forge(written, lambda lines: lines.__delitem__(0))
    with pytest.raises(RecordInvalidError, match="cannot stand here"):
        read_record(written)

    forge(written, lambda lines: lines.__delitem__(slice(0, -1)))
    with pytest.raises(RecordInvalidError, match="starts with its header"):
        read_record(written)


def _turn_check_green(lines: Lines) -> None:
    next(line for line in lines if line["kind"] == "check" and line["outcome"] == "fail")[
        "outcome"
    ] = "pass"


def _turn_result_green(lines: Lines) -> None:
    next(line for line in lines if line["kind"] == "result" and line["outcome"] == "fail")[
        "outcome"
    ] = "pass"


def _turn_verdict_green(lines: Lines) -> None:
    lines[-1]["verdict"] = "conformant"


def _turn_exit_code_green(lines: Lines) -> None:
    lines[-1]["exit_code"] = 0


def _turn_counts_green(lines: Lines) -> None:
    lines[-1]["counts"]["fail"] -= 1


def _drop_result(lines: Lines) -> None:
    lines.remove(first(lines, "result"))


def _drop_check(lines: Lines) -> None:
    lines.remove(first(lines, "check"))


def _drop_evidence(lines: Lines) -> None:
    next(line for line in lines if line["kind"] == "result" and line["evidence"])["evidence"] = []


def _open_the_gate(lines: Lines) -> None:
    for entry in lines[0]["registry"]["requirements"]:
        entry["gating"] = False


def _forget_scope(lines: Lines) -> None:
    lines[0]["registry"]["requirements"][0]["in_scope"] = False


def _repeat_requirement(lines: Lines) -> None:
    lines[0]["registry"]["requirements"].append(lines[0]["registry"]["requirements"][0])


def _let_waiver_expire(lines: Lines) -> None:
    lines[0]["waivers"][0]["expires"] = "2026-11-19"


def _waive_unknown(lines: Lines) -> None:
    lines[0]["waivers"].append({**lines[0]["waivers"][0], "requirement": "no.such"})


def _hide_findings(lines: Lines) -> None:
    next(line for line in lines if line["kind"] == "check" and line["evidence"])[
        "evidence_total"
    ] = 0


@pytest.mark.parametrize(
    "change",
    [
        _turn_check_green,
        _turn_result_green,
        _turn_verdict_green,
        _turn_exit_code_green,
        _turn_counts_green,
        _drop_result,
        _drop_check,
        _drop_evidence,
        _open_the_gate,
        _forget_scope,
        _repeat_requirement,
        _let_waiver_expire,
        _waive_unknown,
        _hide_findings,
    ],
)
def test_a_forged_record_with_a_fitting_hash_is_refused(written: Path, change: object) -> None:
    """A record whose conclusion does not follow is refused even when its hash is right."""
    assert callable(change)
    forge(written, change)

    with pytest.raises(RecordInconsistentError):
        read_record(written)


def test_a_forger_who_changes_nothing_is_let_through(written: Path) -> None:
    record = read_record(written)
    forge(written, lambda _: None)

    assert read_record(written).results == record.results


def test_a_waiver_is_valid_on_the_day_that_it_expires(tmp_path: Path) -> None:
    run = Run(
        checks=[check("server.ping", "fail")],
        waivers=(waiver("server.ping", expires="2026-11-20"),),
    )

    assert run.record(tmp_path).verdict == "partial"


def test_the_writer_refuses_a_header_that_contradicts_itself(tmp_path: Path) -> None:
    twice = (requirement("server.ping"), requirement("server.ping"))

    with pytest.raises(RecordInconsistentError, match="more than once"):
        Run(requirements=twice).write(tmp_path)


def test_the_writer_refuses_lines_out_of_order(tmp_path: Path) -> None:
    with RecordWriter(tmp_path / RECORD_NAME, Redactor()) as writer:
        with pytest.raises(RecordOutOfOrderError):
            writer.check(check("server.ping"))
        with pytest.raises(RecordOutOfOrderError):
            writer.finish(finished=FINISHED, seconds=1)
        writer.header(Run().header())
        with pytest.raises(RecordOutOfOrderError):
            writer.header(Run().header())
        writer.finish(finished=FINISHED, seconds=1)
        with pytest.raises(RecordOutOfOrderError):
            writer.check(check("server.ping"))


def test_the_writer_refuses_what_a_reader_would_refuse(tmp_path: Path) -> None:
    with RecordWriter(tmp_path / RECORD_NAME, Redactor()) as writer:
        writer.header(Run().header())
        with pytest.raises(RecordInvalidError, match="seconds"):
            writer.check(check("server.ping", seconds=-1.0))
        finding = Finding(where="w", found="f", wanted="w")
        hidden = replace(check("server.ping", evidence=(finding,)), evidence_total=0)
        with pytest.raises(RecordInconsistentError):
            writer.check(hidden)


def test_a_check_of_a_requirement_out_of_scope_gives_no_verdict(tmp_path: Path) -> None:
    run = Run(
        requirements=(requirement("server.ping", in_scope=False),), checks=[check("server.ping")]
    )

    with pytest.raises(RecordInconsistentError, match="not in scope"):
        run.write(tmp_path)
    with pytest.raises(RecordTruncatedError):
        read_record(tmp_path)


@pytest.fixture
def full_disk() -> Iterator[None]:
    """Let no file of this process grow beyond 4 KiB, as a full disk would."""
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    signal.signal(signal.SIGXFSZ, handler)


@pytest.mark.usefixtures("full_disk")
def test_a_full_disk_is_one_clear_error_and_no_verdict(tmp_path: Path) -> None:
    with pytest.raises(RecordNotWritableError, match="has no verdict"):
        deployment_run().write(tmp_path)
    with pytest.raises(ReportError):
        read_record(tmp_path)


@pytest.mark.usefixtures("full_disk")
def test_nothing_follows_half_a_line(tmp_path: Path) -> None:
    path = tmp_path / RECORD_NAME
    with RecordWriter(path, Redactor()) as writer:
        writer.header(Run().header())
        with pytest.raises(RecordNotWritableError):
            writer.check(check("server.ping", reason="x" * 8_000))
        half = path.read_bytes()
        with pytest.raises(RecordOutOfOrderError):
            writer.check(check("server.ping"))
        with pytest.raises(RecordOutOfOrderError):
            writer.finish(finished=FINISHED, seconds=1)

    assert path.read_bytes() == half


def test_a_folder_that_cannot_be_made_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(RecordNotWritableError):
        RecordWriter(tmp_path / "file" / "run" / RECORD_NAME, Redactor())
