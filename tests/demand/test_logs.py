# SPDX-License-Identifier: Apache-2.0
"""Access logs are read line by line; what is broken in them is counted and named, and no more."""

from __future__ import annotations

import csv
import gzip
import json
import tracemalloc
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kryonix_cache.reference_impl.contract import default_contract
from kryonix_cache.reference_impl.demand.errors import DemandInvalidError
from kryonix_cache.reference_impl.demand.logs import Access, AccessLog

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

CONTRACT = default_contract()
NINE = datetime(2026, 3, 4, 9, 15, tzinfo=UTC)
USERS = Access("acme", "api-cache", "crm.users", NINE)
ISO = "2026-03-04T10:15:00+01:00"
EPOCH = str(int(NINE.timestamp()))

WAYS: dict[str, Mapping[str, str]] = {
    "answer": {"tenant": "acme", "module": "crm", "endpoint": "users", "time": ISO},
    "key": {"key": "tenant:acme:api:crm:users", "time": EPOCH},
    "key and tenant": {"tenant": "acme", "key": "tenant:acme:api:crm:users", "time": EPOCH},
    "item": {"tenant": "acme", "family": "api-cache", "item": "crm.users", "time": EPOCH + ".0"},
    "blank in the time": {"key": "tenant:acme:api:crm:users", "time": "2026-03-04 09:15:00+00:00"},
    "more columns": {
        "status": "200",
        "key": "tenant:acme:api:crm:users",
        "time": ISO,
        "agent": 'a "b", c',
    },
}


def as_csv(records: Sequence[Mapping[str, str]], path: Path) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, records[0].keys())
        writer.writeheader()
        writer.writerows(records)


def as_json_lines(records: Sequence[Mapping[str, str]], path: Path) -> None:
    path.write_text("".join(json.dumps(record) + "\n" for record in records))


def as_gzip(write: Callable[[Sequence[Mapping[str, str]], Path], None]) -> object:
    def compressed(records: Sequence[Mapping[str, str]], path: Path) -> None:
        write(records, path)
        path.write_bytes(gzip.compress(path.read_bytes()))

    return compressed


WRITERS = {
    "csv": as_csv,
    "jsonl": as_json_lines,
    "csv.gz": as_gzip(as_csv),
    "jsonl.gz": as_gzip(as_json_lines),
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "access.log"


def log_of(path: Path, text: str | bytes) -> AccessLog:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return AccessLog(CONTRACT, path)


@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
@pytest.mark.parametrize("record", WAYS.values(), ids=WAYS)
def test_a_read_may_be_named_in_several_ways(
    path: Path,
    write: Callable[[Sequence[Mapping[str, str]], Path], None],
    record: Mapping[str, str],
) -> None:
    write([record, record], path)
    log = AccessLog(CONTRACT, path)
    assert list(log) == [USERS, USERS]
    assert list(log) == [USERS, USERS]
    assert (log.lines, log.broken, log.problems) == (2, 0, [])


def test_a_line_may_stand_for_many_reads_or_none(path: Path) -> None:
    log = log_of(
        path,
        f"\ufeffTime , key,COUNT\r\n{ISO},tenant:acme:api:crm:users,7\r\n\r\n"
        f"{ISO},tenant:acme:api:crm:users,0\r\n{ISO},tenant:acme:api:crm:users,",
    )
    assert [read.count for read in log] == [7, 1]
    assert (log.lines, log.broken) == (3, 0)


def test_numbers_in_json_need_no_quotes(path: Path) -> None:
    record = {"key": "tenant:acme:api:crm:users", "time": 1772615700.5, "count": 3, "agent": None}
    (read,) = log_of(path, json.dumps(record))
    assert (read.at.timestamp(), read.count) == (1772615700.5, 3)


def test_other_families_than_answers_are_named_by_the_parts_of_their_keys(path: Path) -> None:
    lines = [
        {"key": "preload:tenant:acme:dashboard", "time": ISO},
        {"key": "tenant:acme:modules:calendar", "time": ISO},
        {"tenant": "acme", "family": "mobile-session", "item": "s1", "time": ISO},
    ]
    as_json_lines(lines, path)
    log = AccessLog(CONTRACT, path)
    found = [(read.family, read.item) for read in log]
    assert found[0] == ("preload", "dashboard")
    assert found[-1] == ("mobile-session", "s1")
    assert log.broken == 3 - len(found)


BROKEN = {
    "no offset": ({"time": "2026-03-04T09:15:00"}, "time"),
    "no time": ({"time": ""}, "time"),
    "a far time": ({"time": "99999999999999999999"}, "time"),
    "a word for a time": ({"time": "yesterday"}, "time"),
    "the year one": ({"time": "0001-01-01T00:00:00+14:00"}, "time"),
    "no number": ({"count": "many"}, "count"),
    "a minus": ({"count": "-1"}, "count"),
    "a fraction": ({"count": "1.5"}, "count"),
    "a flood": ({"count": "100000000000"}, "count"),
    "a bad tenant": ({"tenant": "Acme!"}, "such a tenant"),
    "a separator": ({"endpoint": "a:b"}, "such parts"),
    "a long endpoint": ({"endpoint": "x" * 200}, "such parts"),
    "a module with a dot": ({"module": "a.B"}, "such parts"),
    "a bad tenant's session": (
        {"tenant": "Acme!", "endpoint": "", "family": "mobile-session", "item": "s1"},
        "tenant id is not valid",
    ),
    "an odd item": (
        {"endpoint": "", "family": "mobile-session", "item": "s 1"},
        "item has no name",
    ),
    "an answer without a module": (
        {"endpoint": "", "family": "api-cache", "item": "users"},
        "such parts",
    ),
    "no endpoint": ({"endpoint": ""}, "lacks members"),
    "an unknown key": ({"key": "x:y"}, "belongs to no tenant's family"),
    "another tenant's key": ({"key": "tenant:acme2:api:crm:users"}, "two tenants"),
    "a shared key": ({"key": "global:metrics", "tenant": ""}, "belongs to no tenant's family"),
    "bookkeeping": ({"key": "ai:trail:tenant:acme"}, "nothing that tenants read"),
    "an unknown family": ({"endpoint": "", "family": "x", "item": "y"}, "no such family"),
}


@pytest.mark.parametrize(("changes", "why"), BROKEN.values(), ids=BROKEN)
@pytest.mark.parametrize("write", [as_csv, as_json_lines])
def test_a_broken_line_is_counted_and_named_with_its_number(
    path: Path,
    write: Callable[[Sequence[Mapping[str, str]], Path], None],
    changes: Mapping[str, str],
    why: str,
) -> None:
    blank = {"key": "", "family": "", "item": "", "count": ""}
    good = {**WAYS["answer"], **blank}
    write([good, good | changes, good], path)
    log = AccessLog(CONTRACT, path)
    assert list(log) == [USERS, USERS]
    (problem,) = log.problems
    assert why in problem.what
    number = 3 if write is as_csv else 2
    assert problem.where == f"{path}, line {number}"


ODD_LINES = {
    "not UTF-8": b"\xff\xfe,x,y",
    "too few columns": b"a,b",
    "an open quote": b'"a,b,c',
    "a zero byte": b"a\x00,b,c",
    "a long line": b"x" * 1_000_000,
    "deep JSON": b"[" * 60_000,
}


@pytest.mark.parametrize("odd", ODD_LINES.values(), ids=ODD_LINES)
def test_a_line_that_is_none_spoils_no_other(path: Path, odd: bytes) -> None:
    good = f"{ISO},tenant:acme:api:crm:users,1".encode()
    log = log_of(path, b"\n".join([b"time,key,count", good, odd, good, b""]))
    assert list(log) == [USERS, USERS]
    assert [problem.where for problem in log.problems] == [f"{path}, line 3"]
    member = json.dumps(WAYS["key"]).encode()
    log = log_of(path, b"\n".join([member, odd, member]))
    assert list(log) == [USERS, USERS]
    assert [problem.where for problem in log.problems] == [f"{path}, line 2"]


def test_only_the_first_broken_lines_are_named(path: Path) -> None:
    log = log_of(path, "time,key\n" + "x,y\n" * 1000)
    assert list(log) == []
    assert (log.lines, log.broken, len(log.problems)) == (1000, 1000, 11)
    assert log.problems[-1].what == "990 more lines tell of no read"


def test_a_problem_shows_nothing_of_the_line(path: Path) -> None:
    secret = "s3cr3t-token"
    log = log_of(path, f"time,key,count\n{secret},{secret},{secret}\n{ISO},{secret},1\n")
    assert list(log) == []
    assert secret not in str(log.problems)


def test_memory_does_not_grow_with_the_file(path: Path) -> None:
    """A line of forty million bytes, and what comes after it, is not held."""
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(b"time,key\n")
        for _ in range(40):
            file.write(bytes(1 << 20))
        for each in range(4_000):
            file.write(f"\n{ISO},tenant:acme:api:crm:users{each}".encode())
    tracemalloc.start()
    try:
        log = AccessLog(CONTRACT, path)
        assert sum(1 for _ in log) == 4_000
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert log.broken == 1
    assert peak < 8 << 20


def test_a_compressed_log_that_breaks_off_says_so(path: Path) -> None:
    lines = "".join(f"{ISO},tenant:acme:api:crm:users{each}\n" for each in range(20_000))
    whole = gzip.compress(f"time,key\n{lines}".encode())
    log = log_of(path, whole[: len(whole) // 2])
    assert 0 < sum(1 for _ in log) < 20_000
    assert "breaks off after line" in log.problems[-1].what


@pytest.mark.parametrize(
    "text", [b"a,b,c\n1,2,3", b"tenant,key\n", b"\x00\x01", b"[1]\n", b'"time', b"\x1f\x8b"]
)
def test_a_file_that_is_no_log_is_refused_in_a_sentence(path: Path, text: bytes) -> None:
    if text == b"\x1f\x8b":
        log = log_of(path, text)
        assert (list(log), len(log.problems)) == ([], 1)
        return
    with pytest.raises(DemandInvalidError, match="is no access log: its first line"):
        list(log_of(path, text))


def test_an_empty_file_tells_of_no_read(path: Path) -> None:
    assert list(log_of(path, b"\n\n")) == []


def test_a_file_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "missing.csv"):
        with pytest.raises(DemandInvalidError, match=r"cannot be read \(.+\); give a file"):
            list(AccessLog(CONTRACT, path))


@settings(
    max_examples=300,
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    start=st.sampled_from([b"", b"time,key\n", b"{}\n", b"time,tenant,module,endpoint,count\n"]),
    body=st.binary(max_size=200)
    | st.text(alphabet='{}[]",:\n01T-+key tenant', max_size=200).map(str.encode),
)
def test_no_file_ends_in_a_traceback(path: Path, start: bytes, body: bytes) -> None:
    log = log_of(path, start + body)
    try:
        found = list(log)
    except DemandInvalidError:
        return
    assert len(found) + log.broken <= log.lines
