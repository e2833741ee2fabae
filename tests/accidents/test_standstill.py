# SPDX-License-Identifier: Apache-2.0
"""Who waits stands still, and who works or has ended does not."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from kryonix_cache.conformance.accidents.standstill import (
    look_at_process,
    look_at_threads,
    standing,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

on_linux = pytest.mark.skipif(
    not Path("/proc/self/stat").exists(), reason="only /proc tells of other processes"
)


@pytest.fixture
def stopped() -> Iterator[threading.Event]:
    """Give what ends the threads of a test."""
    event = threading.Event()
    yield event
    event.set()


def test_threads_that_wait_stand_still(stopped: threading.Event) -> None:
    threads = [threading.Thread(target=stopped.wait) for _ in range(3)]
    for thread in threads:
        thread.start()
    assert standing(lambda: look_at_threads(threads), lambda: False, seconds=10)


def test_one_that_works_moves_although_the_others_wait(stopped: threading.Event) -> None:
    def work() -> None:
        while not stopped.is_set():
            pass

    threads = [threading.Thread(target=work), threading.Thread(target=stopped.wait)]
    for thread in threads:
        thread.start()
    assert not standing(lambda: look_at_threads(threads), lambda: False, seconds=0.2)


def test_nobody_is_waited_for_once_it_is_over() -> None:
    started = time.monotonic()
    assert not standing(lambda: None, lambda: True, seconds=60)
    assert time.monotonic() - started < 30


def test_what_does_not_stay_is_no_standstill() -> None:
    numbers = iter(range(10**9))
    assert not standing(lambda: next(numbers), lambda: False, seconds=0.1)


def test_a_thread_that_has_ended_stands_in_nobodys_way(stopped: threading.Event) -> None:
    with ThreadPoolExecutor(1) as pool:
        ended = pool.submit(threading.current_thread).result()
    waiting = threading.Thread(target=stopped.wait)
    waiting.start()
    assert standing(lambda: look_at_threads([ended, waiting]), lambda: False, seconds=10)


COMING_AND_GOING = """
import _thread, gc, os, threading, time
from kryonix_cache.conformance.accidents.standstill import look_at_threads

class Slow:
    def __init__(self): self.me = self
    def __del__(self): time.sleep(0.0001)

def stay_a_little():
    time.sleep(0.002)

def come_and_go():
    while True:
        _thread.start_new_thread(stay_a_little, ())
        time.sleep(0.0002)

until = time.monotonic() + 4
gc.set_threshold(5)
for _ in range(3):
    _thread.start_new_thread(come_and_go, ())
while time.monotonic() < until:
    Slow()
    look_at_threads([threading.main_thread()])
assert gc.isenabled()
os._exit(0)
"""


def test_looking_never_stops_a_process_whose_threads_come_and_go_while_garbage_is_collected() -> (
    None
):
    """Python before 3.11.9 does stop, for ever, when it lists frames and collects meanwhile."""
    subprocess.run([sys.executable, "-c", COMING_AND_GOING], check=True, timeout=30)


@on_linux
@pytest.mark.parametrize(
    ("program", "stands"), [("import time; time.sleep(60)", True), ("while True: pass", False)]
)
def test_another_process_stands_still_while_it_waits(program: str, *, stands: bool) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", f"print(flush=True)\n{program}"], stdout=subprocess.PIPE
    ) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()
            seconds = 10 if stands else 0.2
            found = standing(lambda: look_at_process(process.pid), lambda: False, seconds=seconds)
            assert found == stands
        finally:
            process.kill()


@on_linux
def test_a_process_that_has_ended_does_not_stand_still() -> None:
    with subprocess.Popen([sys.executable, "-c", ""], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.read()
        # It has not been waited for, so that it is still listed.
        assert not standing(
            lambda: look_at_process(process.pid), lambda: False, looks=100, seconds=0.5
        )
