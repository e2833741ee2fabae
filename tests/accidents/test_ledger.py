# SPDX-License-Identifier: Apache-2.0
"""The ledger allows what may have happened, and nothing else."""

from __future__ import annotations

import pytest

from kryonix_cache.conformance.accidents.ledger import HALF, Ledger


def test_a_cell_that_nobody_wrote_is_empty() -> None:
    ledger = Ledger()
    assert ledger.possible("a") == {None}
    assert not ledger.allows("a", "x")
    assert ledger.wanted("a") == "nothing"


def test_no_tag_is_given_twice_and_each_names_its_cell() -> None:
    tags = [Ledger().fresh(slug) for slug in ("a-0", "ab-0") for _ in range(50)]
    assert len(set(tags)) == 100
    assert all(tag.startswith("a-0-") for tag in tags[:50])


def test_a_write_that_returned_leaves_one_possibility() -> None:
    ledger = Ledger()
    for tag in ("one", "two"):
        with ledger.writing("a", tag):
            pass
    assert ledger.possible("a") == {"two"}
    with ledger.writing("a", None):
        pass
    assert ledger.possible("a") == {None}


def test_a_write_that_did_not_return_is_in_doubt_for_good() -> None:
    """It may arrive after a later write, so it stays possible; what was before does not."""
    ledger = Ledger()
    with ledger.writing("a", "before"):
        pass
    with pytest.raises(KeyboardInterrupt), ledger.writing("a", "doubtful"):
        raise KeyboardInterrupt
    assert ledger.possible("a") == {"before", "doubtful", None, HALF}
    with ledger.writing("a", "after"):
        pass
    assert ledger.possible("a") == {"after", "doubtful", None, HALF}
    assert not ledger.allows("a", "before")
    assert ledger.possible("ab") == {None}
