# SPDX-License-Identifier: Apache-2.0
"""What a server says of the commands it was sent, byte for byte."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from kryonix_cache.conformance.optimising.traffic import (
    Sent,
    calls,
    monitored,
    slow_commands,
    writing_commands,
)

if TYPE_CHECKING:
    from kryonix_cache.reference_impl.connection import Pools

WORDS = [b"", b"\xff\x00 raw", b'"quoted" \\x41 \\', b"\r\n\t\a\b", "ação".encode()]


def test_every_command_of_the_window_is_seen_as_it_was_sent(pools: Pools) -> None:
    sent: list[Sent] = []
    pools[3].ping()
    with monitored(pools[0], sent):
        pools[3].rpush("list", *WORDS)
        with pools[7].pipeline(transaction=True) as pipeline:
            pipeline.set("key", "value", ex=10)
            pipeline.execute()
    pools[3].get("after the window")
    of_ours = [each for each in sent if each.name in {"RPUSH", "SET", "EXEC", "GET"}]
    assert of_ours[0] == Sent(3, "RPUSH", (b"list", *WORDS))
    assert of_ours[1] == Sent(7, "SET", (b"key", b"value", b"EX", b"10"))
    assert [each.name for each in of_ours] == ["RPUSH", "SET", "EXEC"]


def test_a_connection_that_monitored_serves_nobody_else(pools: Pools) -> None:
    with monitored(pools[0], []):
        pass
    assert [pools[0].echo(str(number)) for number in range(3)] == [b"0", b"1", b"2"]


def test_the_server_itself_says_which_commands_write(pools: Pools) -> None:
    writes = writing_commands(pools[0])
    assert {"SET", "HDEL", "RESTORE", "PEXPIRE", "ZINCRBY", "UNLINK"} <= writes
    assert not {"GET", "SCAN", "PTTL", "OBJECT", "MULTI"} & writes


def test_calls_are_counted_by_name(pools: Pools) -> None:
    pools[0].config_resetstat()
    for _ in range(3):
        pools[5].get("x")
    assert calls(pools[0])["get"] == 3


@pytest.mark.parametrize(("above_us", "seen"), [(0, True), (10_000_000, False)])
def test_what_takes_longer_than_the_limit_is_named(
    pools: Pools, above_us: int, *, seen: bool
) -> None:
    slow: list[tuple[str, int]] = []
    before = pools[0].config_get("slowlog*")
    with slow_commands(pools, above_us, slow):
        pools[5].hgetall("some key")
    assert ("HGETALL some key" in {words for words, _ in slow}) is seen
    assert pools[0].config_get("slowlog*") == before
