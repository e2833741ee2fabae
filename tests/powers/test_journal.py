# SPDX-License-Identifier: Apache-2.0
"""The journal counts exactly, for many threads, in bounded memory."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from kryonix_cache.fixtures import journal as module
from kryonix_cache.fixtures.journal import Journal, Refusal

if TYPE_CHECKING:
    import pytest


def test_a_key_written_twice_is_one_key() -> None:
    journal = Journal()
    for _ in range(2):
        journal.wrote(1, b"a", own=True)
    journal.wrote(2, b"a", own=True)
    assert journal.total().keys_written == 2


def test_only_a_key_that_the_run_wrote_is_removed() -> None:
    journal = Journal()
    journal.wrote(1, b"a", own=True)
    for key in (b"a", b"a", b"never written"):
        journal.removed(1, key)
    assert (journal.total().keys_removed, journal.total().keys_left) == (1, 0)


def test_a_key_written_again_after_its_removal_is_left() -> None:
    journal = Journal()
    journal.wrote(1, b"a", own=True)
    journal.removed(1, b"a")
    journal.wrote(1, b"a", own=True)
    assert journal.left() == ((1, b"a"),)


def test_a_mark_parts_one_test_from_the_next() -> None:
    journal = Journal()
    journal.count("GET", read=True, value=True)
    journal.refused("SET", "it writes")
    mark = journal.mark()
    journal.count("TTL", 3, read=True)
    journal.refused("DEL", "it writes")
    since = journal.since(mark)
    assert (since.commands, since.reads, since.values_read) == (3, 3, 0)
    assert since.by_name == {"TTL": 3}
    assert since.refusals == (Refusal("DEL", "it writes"),)
    assert journal.total().commands == 4


def test_many_threads_lose_no_count() -> None:
    journal = Journal()

    def work(thread: int) -> None:
        for number in range(500):
            journal.count("SET")
            journal.wrote(0, b"%d:%d" % (thread, number), own=True)
            journal.wrote(0, b"x", own=False)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(work, range(8)))
    total = journal.total()
    assert (total.commands, total.keys_written, total.foreign_keys_written) == (4000, 4000, 4000)


def test_beyond_the_limit_keys_are_counted_and_not_remembered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "MOST_KEYS", 10)
    journal = Journal()
    for number in range(25):
        journal.wrote(0, b"%d" % number, own=True)
    assert len(journal.left()) == 10
    assert journal.total().keys_written == journal.total().keys_left == 25
