# SPDX-License-Identifier: Apache-2.0
"""Jobs that threads share: twice, lost and foreign ones are found, and trouble is excused."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING

import pytest
import redis

from kryonix_cache.conformance.accidents.cells import NAMES
from kryonix_cache.conformance.accidents.jobs import Jobs
from kryonix_cache.conformance.accidents.witness import Witness
from kryonix_cache.conformance.evidence import Evidence
from kryonix_cache.conformance.outcomes import Inconclusive

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence


class Queue:
    """One tenant's queue in memory; `wrong` is what it does to every seventh pop."""

    def __init__(self, wrong: str = "") -> None:
        self.jobs: deque[Mapping[str, object]] = deque()
        self.wrong = wrong
        self.pops = 0
        self.lock = threading.Lock()

    def push(self, queue: str, job: Mapping[str, object]) -> int:
        del queue
        self.jobs.append(job)
        return len(self.jobs)

    def pop(self, queue: str, *, wait: float = 0) -> Mapping[str, object] | None:
        del queue, wait
        with self.lock:
            if not self.jobs:
                return None
            job = self.jobs.popleft()
            self.pops += 1
            if self.pops % 7:
                return job
            if self.wrong == "twice":
                self.jobs.append(job)
            if self.wrong == "lost":
                return self.jobs.popleft() if self.jobs else None
            if self.wrong == "foreign":
                return {"tag": "somebody-else"}
            if self.wrong == "broken":
                raise redis.ConnectionError("the connection broke")
            return job

    def length(self, queue: str) -> int:
        del queue
        return len(self.jobs)

    def list(self) -> Collection[str]:
        return ["crowd"] if self.jobs else []


def one_after_the_other(pops: Sequence[Callable[[], object]]) -> bool:
    for pop in pops:
        pop()
    return True


@pytest.mark.parametrize(
    ("wrong", "found"),
    [
        ("", False),
        ("twice", True),
        ("lost", True),
        ("foreign", True),
        ("broken", False),
    ],
)
def test_each_job_must_come_out_once(wrong: str, *, found: bool) -> None:
    """A pop that raised an error of its connection may have taken its job with it."""
    evidence = Evidence()
    queues = {name: Queue(wrong) for name in NAMES}
    Jobs(queues, Witness(evidence, in_process=True)).share_out(one_after_the_other)
    assert bool(evidence.total) == found
    assert evidence.observations["jobs"] > 0


def test_pops_that_never_meet_are_inconclusive() -> None:
    queues = {name: Queue() for name in NAMES}
    with pytest.raises(Inconclusive, match="popped from one queue"):
        Jobs(queues, Witness(Evidence(), in_process=True)).share_out(lambda _: False)
