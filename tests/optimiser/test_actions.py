# SPDX-License-Identifier: Apache-2.0
"""What the rules decide is done once, within its bounds, and on record (E14, E16)."""

from __future__ import annotations

import json
import threading
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from tests.optimiser.acting import act, analysis, contents, entries
from tests.optimiser.keyspace import AT, CONTRACT, put_answer
from tests.optimiser.time_machine import TimeMachine

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from kryonix_cache.reference_impl.connection import Pools

COLD = analysis(hit_rate=60)
BUSY = analysis(hit_rate=60, calls=9000)
LEADS = analysis(predicted=("crm.leads",))
PRELOAD = b"preload:tenant:acme:crm.leads"
WARMING = b"warming:tenant:acme:api:crm:leads"
TRAIL = b"ai:trail:tenant:acme"


def test_a_value_is_extended_once(pools: Pools) -> None:
    key = put_answer(pools, "acme", "crm.leads", ttl=600)
    (change,), problems = act(pools, COLD)
    assert (change.rule, change.action, change.key, problems) == ("ttl", "extended", key, ())
    assert 890 < pools[1].ttl(key) <= 900

    time = TimeMachine(pools)
    for run in ("second", "third"):
        time.advance(300)
        before = contents(pools)
        assert act(pools, BUSY, run=run, at=time.now) == ((), ())
        assert contents(pools) == before


def test_a_value_that_was_written_anew_is_extended_again(pools: Pools) -> None:
    put_answer(pools, "acme", "crm.leads", ttl=600)
    act(pools, COLD)
    later = AT + timedelta(seconds=300)
    key = put_answer(pools, "acme", "crm.leads", ttl=600, age=0, at=later)

    (change,), problems = act(pools, COLD, run="second", at=later)

    assert (change.key, problems) == (key, ())
    assert 890 < pools[1].ttl(key) <= 900


def test_a_value_that_does_not_tell_its_age_is_extended_once_as_well(redis_pools: Pools) -> None:
    key = CONTRACT.key("api-cache", tenant="acme", module="crm", endpoint="leads")
    redis_pools[1].set(key, '{"data": 1}', ex=600)
    assert len(act(redis_pools, COLD)[0]) == 1
    assert act(redis_pools, COLD, run="second")[0] == ()

    redis_pools[1].set(key, '{"data": 2}', ex=600)
    assert len(act(redis_pools, COLD, run="third")[0]) == 1


def test_a_hot_answer_gets_no_older_than_the_contract_allows(redis_pools: Pools) -> None:
    young = put_answer(redis_pools, "acme", "crm.dashboard", ttl=60, age=1000)
    old = put_answer(redis_pools, "acme", "users.profile", ttl=60, age=7190)

    changes, _ = act(redis_pools, analysis(calls=9000))

    assert [(change.rule, change.key) for change in changes] == [("api", young)]
    assert 6190 < redis_pools[1].ttl(young) <= 6200
    assert redis_pools[1].ttl(old) <= 60


def test_the_configuration_of_the_sdk_and_what_never_expires_are_left_alone(pools: Pools) -> None:
    sdk = CONTRACT.key("sdk-config-cache", tenant="acme")
    value: dict[str, object] = {"api_endpoints": {}, "rate_limits": {}, "features_enabled": []}
    pools[1].set(sdk, json.dumps(value), ex=600)
    lasting = {
        put_answer(pools, "acme", "crm.dashboard", ttl=None),
        put_answer(pools, "acme", "crm.users", ttl=None),
    }
    extended = put_answer(pools, "acme", "crm.leads", ttl=600)
    before = contents(pools)

    changes, _ = act(pools, BUSY)

    assert [change.key for change in changes] == [extended]
    after = contents(pools)
    for key in (sdk, *lasting):
        assert after[1, key] == before[1, key]


def test_an_answer_that_names_another_tenant_is_a_problem_and_left_alone(
    redis_pools: Pools,
) -> None:
    key = put_answer(redis_pools, "acme", "crm.leads", ttl=600)
    value = redis_pools[1].get(key) or b""
    redis_pools[1].set(key, value.replace(b"acme", b"other"), ex=600)

    changes, (problem,) = act(redis_pools, COLD)

    assert changes == ()
    assert problem.where == f"db 1 {key.decode()}"
    assert redis_pools[1].ttl(key) <= 600


def fails(tenant: str, item: str) -> object:
    raise LookupError(f"{tenant} {item}")


def leaves(tenant: str, item: str) -> object:
    raise SystemExit(f"{tenant} {item}")


@pytest.mark.parametrize(
    ("loader", "why"),
    [
        pytest.param(fails, "the loader raised LookupError", id="raises"),
        pytest.param(leaves, "the loader raised SystemExit", id="exits"),
        pytest.param(lambda *_: None, "no loader gave it", id="none"),
        pytest.param(lambda *_: "x" * 65_535, "65537 bytes, and 65536 are allowed", id="too-much"),
        pytest.param(lambda *_: {1, 2}, "it is no JSON", id="no-json"),
        pytest.param(lambda *_: float("nan"), "it is no JSON", id="nan"),
    ],
)
def test_a_loader_that_gives_nothing_of_use_is_a_problem_and_nothing_is_written(
    redis_pools: Pools, loader: Callable[[str, str], object], why: str
) -> None:
    changes, problems = act(redis_pools, LEADS, loader=loader)

    assert changes == ()
    assert why in " ".join(problem.what for problem in problems)
    assert {problem.where for problem in problems} == {f"db 10 {PRELOAD.decode()}"}
    assert contents(redis_pools) == {}


@pytest.fixture
def released() -> Iterator[threading.Event]:
    """Return what a loader may wait for: it comes when the test is over."""
    event = threading.Event()
    yield event
    event.set()


def test_a_loader_that_hangs_is_left_behind_and_not_asked_again(
    redis_pools: Pools, released: threading.Event
) -> None:
    asked = []

    def hangs(_: str, item: str) -> object:
        asked.append(item)
        return released.wait(60)

    changes, problems = act(
        redis_pools, analysis(predicted=("crm.leads", "crm.users")), loader=hangs
    )

    assert changes == ()
    said = " ".join(problem.what for problem in problems)
    assert "the loader gave nothing within 2 s" in said
    assert "the loader is not asked again" in said
    assert asked == ["crm.leads"]
    assert contents(redis_pools) == {}


def test_the_largest_value_that_is_allowed_is_written(redis_pools: Pools) -> None:
    changes, problems = act(redis_pools, LEADS, loader=lambda *_: "x" * 65_534)

    assert ([change.key for change in changes], problems) == ([PRELOAD, WARMING], ())
    assert redis_pools[10].strlen(PRELOAD) == 65_536


def test_one_item_that_cannot_be_loaded_keeps_no_other_from_being_written(pools: Pools) -> None:
    def loader(tenant: str, item: str) -> object:
        return fails(tenant, item) if item == "crm.users" else {"total": 7}

    changes, problems = act(pools, analysis(predicted=("crm.users", "crm.leads")), loader=loader)

    assert [change.key for change in changes] == [PRELOAD, WARMING]
    assert {problem.where for problem in problems} == {"db 10 preload:tenant:acme:crm.users"}
    assert json.loads(pools[10].get(PRELOAD) or b"") == {"total": 7}
    assert 3590 < pools[10].ttl(PRELOAD) <= 3600
    assert json.loads(pools[10].get(WARMING) or b"")["data"] == {"total": 7}


def test_each_change_is_there_with_its_entry_on_the_trail(pools: Pools) -> None:
    put_answer(pools, "acme", "crm.dashboard", ttl=600)
    put_answer(pools, "acme", "crm.leads", ttl=600)

    changes, problems = act(
        pools,
        analysis(hit_rate=60, calls=9000, predicted=("sales.month",)),
        loader=lambda *_: {"total": 7},
    )

    assert problems == ()
    assert {change.action for change in changes} == {"extended", "written"}
    recorded = [entry for database in (1, 10) for entry in entries(pools, database)]
    assert [entry.change.key for entry in recorded] == [change.key for change in changes]
    for entry, change in zip(recorded, changes, strict=True):
        assert (entry.run, entry.tenant, entry.at) == ("first", "acme", AT)
        assert (entry.change.rule, entry.change.action) == (change.rule, change.action)
        assert entry.change.reason == change.reason
        assert entry.server_expiry_ms == pools[change.database].pexpiretime(change.key)


def test_without_its_trail_nothing_is_changed(pools: Pools) -> None:
    key = put_answer(pools, "acme", "crm.leads", ttl=600)
    for database in (1, 10):
        pools[database].set(TRAIL, "no list")
    before = contents(pools)

    changes, problems = act(
        pools,
        analysis(hit_rate=60, predicted=("sales.month",)),
        loader=lambda *_: {"total": 7},
    )

    assert changes == ()
    assert [problem.where for problem in problems] == [
        f"db 1 {key.decode()}",
        "db 10 preload:tenant:acme:sales.month",
    ]
    assert all("is a string, not a list" in problem.what for problem in problems)
    assert contents(pools) == before
