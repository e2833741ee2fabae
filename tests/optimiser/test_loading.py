# SPDX-License-Identifier: Apache-2.0
"""A loader is other people's code: whatever it does, the run goes on."""

from __future__ import annotations

import subprocess
import sys
import threading
import time

import pytest

from kryonix_cache.reference_impl.optimiser.loading import HUNG_CALLS, TimedLoader

LIMIT_S = 0.05


@pytest.fixture
def end() -> threading.Event:
    """Return what hanging loaders wait for."""
    return threading.Event()


def timed(loader: object, *, largest_bytes: int = 100) -> TimedLoader:
    return TimedLoader(loader, limit_s=LIMIT_S, largest_bytes=largest_bytes)


def test_what_a_loader_gives_is_packed() -> None:
    given = timed(lambda tenant, item: {"of": [tenant, item]}).load("acme", "dashboard")

    assert (given.value, given.fault) == (b'{"of": ["acme", "dashboard"]}', None)


@pytest.mark.parametrize("loader", [None, lambda _tenant, _item: None])
def test_no_loader_and_nothing_given_are_no_fault(loader: object) -> None:
    given = timed(loader).load("acme", "dashboard")

    assert (given.value, given.fault) == (None, None)


@pytest.mark.parametrize("error", [ValueError, SystemExit, KeyboardInterrupt, RecursionError])
def test_a_loader_that_raises_is_a_fault_and_is_asked_again(error: type[BaseException]) -> None:
    asked: list[str] = []

    def load(_tenant: str, item: str) -> object:
        asked.append(item)
        raise error("a secret that no report may show")

    loader = timed(load)

    assert loader.load("acme", "one").fault == f"the loader raised {error.__name__}"
    assert loader.load("acme", "two").value is None
    assert asked == ["one", "two"]


class Hostile(dict[str, object]):
    """Raises when it is looked at."""

    def items(self) -> object:  # type: ignore[override] # that is what is hostile
        raise SystemExit


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (object(), "it is no JSON"),
        (b"bytes", "it is no JSON"),
        (float("nan"), "it is no JSON"),
        ("x" * 100, "it has 102 bytes, and 100 are allowed"),
        (Hostile(a=1), "SystemExit"),
    ],
)
def test_what_is_no_json_or_too_large_is_a_fault(data: object, fault: str) -> None:
    given = timed(lambda _tenant, _item: data).load("acme", "dashboard")

    assert given.value is None
    assert given.fault == f"what the loader gave is of no use: {fault}"


def test_a_loader_that_hangs_is_left_behind_and_not_asked_again_for_the_tenant(
    end: threading.Event,
) -> None:
    asked: list[tuple[str, str]] = []

    def load(tenant: str, item: str) -> object:
        asked.append((tenant, item))
        return item if tenant == "globex" else end.wait(30)

    loader = timed(load)
    began = time.monotonic()
    first, second = loader.load("acme", "one"), loader.load("acme", "two")
    took = time.monotonic() - began
    other = loader.load("globex", "one")
    end.set()

    assert first.fault == "the loader gave nothing within 0.05 s"
    assert second.fault == "the loader is not asked again: it hung at 'one'"
    assert other.value == b'"one"'
    assert asked == [("acme", "one"), ("globex", "one")]
    assert took < 5


def test_after_several_hung_calls_the_loader_is_asked_no_more(end: threading.Event) -> None:
    asked: list[str] = []

    def load(tenant: str, _item: str) -> object:
        asked.append(tenant)
        return end.wait(30)

    loader = timed(load)
    faults = [loader.load(f"tenant{n}", "one").fault for n in range(HUNG_CALLS + 2)]
    end.set()

    assert len(asked) == HUNG_CALLS
    assert faults[-1] == f"the loader is not asked any more: it hung {HUNG_CALLS} times"


def test_a_hung_loader_does_not_keep_the_process() -> None:
    program = (
        "import time\n"
        "from kryonix_cache.reference_impl.optimiser.loading import TimedLoader\n"
        "loader = TimedLoader(lambda t, i: time.sleep(600), limit_s=0.05, largest_bytes=9)\n"
        "print(loader.load('acme', 'one').fault)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )

    assert done.stdout == "the loader gave nothing within 0.05 s\n"
