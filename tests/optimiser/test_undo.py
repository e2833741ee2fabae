# SPDX-License-Identifier: Apache-2.0
"""Undoing a run: what it left is put back, what somebody changed since is left alone and named."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from kryonix_cache.reference_impl.optimiser.errors import UnknownOptimisationError
from kryonix_cache.reference_impl.optimiser.undo import undo
from tests.optimiser.deeds import ANSWERS, KEPT, LOW, MOBILE, actions, facts
from tests.optimiser.keyspace import AT, CONTRACT, put_answer

if TYPE_CHECKING:
    from kryonix_cache.reference_impl.connection import Pools
    from kryonix_cache.reference_impl.contract.model import TenantId

LATER = AT + timedelta(seconds=60)


@pytest.fixture
def extended(standing: Pools, tenant: TenantId) -> bytes:
    """Let a run extend one answer from 600 to 900 seconds."""
    key = put_answer(standing, tenant, "crm.leads")
    changes, problems = actions(standing, run=f"run-{tenant}").act(facts(tenant, [key]), LOW)
    assert [each.action for each in changes] == ["extended"]
    assert problems == ()
    assert standing[ANSWERS].ttl(key) > 890
    return key


def test_an_extended_answer_ends_when_it_would_have_ended(
    standing: Pools, tenant: TenantId, extended: bytes
) -> None:
    report = undo(CONTRACT, standing, f"run-{tenant}", at=LATER)

    assert (len(report.undone), report.already, report.skipped) == (1, 0, ())
    assert 590 < standing[ANSWERS].ttl(extended) <= 600


def test_undoing_twice_is_undoing_once(standing: Pools, tenant: TenantId, extended: bytes) -> None:
    undo(CONTRACT, standing, f"run-{tenant}", at=LATER)
    standing[ANSWERS].expire(extended, 5000)
    report = undo(CONTRACT, standing, f"run-{tenant}", at=LATER)

    assert (report.undone, report.already) == ((), 1)
    assert standing[ANSWERS].ttl(extended) > 4990


def test_an_answer_that_was_written_anew_is_left_alone_and_named(
    standing: Pools, tenant: TenantId, extended: bytes
) -> None:
    put_answer(standing, tenant, "crm.leads", ttl=3000, age=0)
    report = undo(CONTRACT, standing, f"run-{tenant}", at=LATER)

    assert report.undone == ()
    assert [extended.decode() in each.where for each in report.skipped] == [True]
    assert standing[ANSWERS].ttl(extended) > 2990


def test_an_answer_that_somebody_prolonged_is_left_alone_and_named(
    standing: Pools, tenant: TenantId, extended: bytes
) -> None:
    standing[ANSWERS].expire(extended, 4000)
    report = undo(CONTRACT, standing, f"run-{tenant}", at=LATER)

    assert (report.undone, len(report.skipped)) == ((), 1)
    assert standing[ANSWERS].ttl(extended) > 3990


def test_a_dry_run_of_an_undoing_changes_nothing(
    standing: Pools, tenant: TenantId, extended: bytes
) -> None:
    report = undo(CONTRACT, standing, f"run-{tenant}", at=LATER, dry_run=True)

    assert len(report.undone) == 1
    assert standing[ANSWERS].ttl(extended) > 890


def test_what_a_run_wrote_is_removed_unless_somebody_wrote_it_anew(
    standing: Pools, tenant: TenantId
) -> None:
    changes, problems = actions(
        standing, run=f"run-{tenant}", loader=lambda _, item: {"of": item}
    ).act(facts(tenant), MOBILE)
    assert problems == ()
    first, *others = sorted({each.key for each in changes})
    assert others
    standing[KEPT].set(first, '{"of":"somebody"}', ex=1000)

    report = undo(CONTRACT, standing, f"run-{tenant}", at=LATER)

    assert standing[KEPT].get(first) == b'{"of":"somebody"}'
    assert not any(standing[KEPT].exists(key) for key in others)
    assert (len(report.undone), len(report.skipped)) == (len(others), 1)


def test_a_run_that_left_no_trail_is_unknown(standing: Pools) -> None:
    with pytest.raises(UnknownOptimisationError, match="run-nobody"):
        undo(CONTRACT, standing, "run-nobody", at=LATER)
