# SPDX-License-Identifier: Apache-2.0
"""A real server says what the simulator says; where it does not, the evaluation says so."""

from __future__ import annotations

import time
from threading import Event, Thread
from typing import TYPE_CHECKING

import pytest

from kryonix_cache.fixtures.targets.bench import Bench
from kryonix_cache.reference_impl.connection import Endpoint, Pools, connect
from kryonix_cache.reference_impl.evaluation.arms import Setting
from kryonix_cache.reference_impl.evaluation.errors import ReplayLostError
from kryonix_cache.reference_impl.evaluation.experiment import Evaluation, play
from kryonix_cache.reference_impl.evaluation.replay import replay
from kryonix_cache.reference_impl.evaluation.report import replay_rows, sentences
from tests.evaluation.workloads import made_up

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kryonix_cache.fixtures.targets.target import Target

SETTING = Setting()


@pytest.fixture(scope="module")
def server() -> Iterator[Target]:
    with Bench() as bench:
        yield bench.server("replay")


def remove_keys(endpoint: Endpoint, stop: Event) -> None:
    """Be somebody else who uses the server."""
    clients = [connect(endpoint, database) for database in (0, 1)]
    while not stop.is_set():
        for client in clients:
            for key in client.scan_iter(count=1000):
                client.delete(key)
    for client in clients:
        client.close()


def test_a_real_server_hits_as_often_as_the_simulator(server: Target) -> None:
    """Within two points, with preload and without; afterwards every key is gone."""
    load = made_up("daily", days=14)
    played = play(load, SETTING, seed=1, control=False)
    with Pools(server.endpoint) as clients:
        result = replay([(load, played.plans)], SETTING, clients)
        assert {one.arm for one in result} == {"none", "ours"}
        for one in result:
            assert one.requests == one.simulated.requests > 500
            assert one.agrees, one
        none, ours = (next(one for one in result if one.arm == arm) for arm in ("none", "ours"))
        assert none.preloads == 0
        assert ours.preloads > 50
        assert ours.hit_rate > none.hit_rate + 2
        deadline = time.monotonic() + 5
        while any(clients[database].dbsize() for database in (0, 1)):
            assert time.monotonic() < deadline
            time.sleep(0.05)
    evaluation = Evaluation(SETTING, (1,), (played,), result)
    assert evaluation.agrees
    assert "agree within" in sentences(evaluation)[-1]


def test_a_server_that_loses_keys_is_found_out(server: Target) -> None:
    load = made_up("daily", days=14)
    played = play(load, SETTING, seed=1, control=False)
    stop = Event()
    other = Thread(target=remove_keys, args=(server.endpoint, stop))
    other.start()
    try:
        with Pools(server.endpoint) as clients:
            result = replay([(load, played.plans)], SETTING, clients)
    finally:
        stop.set()
        other.join()
    evaluation = Evaluation(SETTING, (1,), (played,), result)
    assert not evaluation.agrees
    assert "not to be trusted" in sentences(evaluation)[-1]
    assert not all(row["agrees"] for row in replay_rows(evaluation))


def test_a_server_that_is_gone_ends_in_one_sentence() -> None:
    load = made_up("daily", days=14)
    played = play(load, SETTING, seed=1, control=False)
    with Bench() as bench:
        target = bench.server("gone")
        assert target.server is not None
        target.server.stop()
        with (
            Pools(target.endpoint) as clients,
            pytest.raises(ReplayLostError, match="--no-replay"),
        ):
            replay([(load, played.plans)], SETTING, clients)
