# SPDX-License-Identifier: Apache-2.0
"""What a server knows of time: how long keys live still, and since when nobody asked for them.

Both are set here, so that no test has to wait until they are so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from kryonix_cache.conformance.datasets import names_by_database

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta

    from kryonix_cache.conformance.datasets import Place
    from kryonix_cache.reference_impl.connection import Clients
    from kryonix_cache.reference_impl.contract import Contract

_MOST_FREQUENT = 254
_IDLE_STEP_S = 30


def pass_time(clients: Clients, contract: Contract, time: timedelta) -> None:
    """Let time pass on the server: lower each time to live, and remove what is over."""
    passed = int(time.total_seconds() * 1000)
    for database, names in names_by_database(clients, contract).items():
        client = clients[database]
        with client.pipeline(transaction=False) as pipeline:
            for name in names:
                pipeline.pttl(name)
            lives = cast("list[int]", pipeline.execute())
        with client.pipeline(transaction=False) as pipeline:
            for name, left in zip(names, lives, strict=True):
                if 0 <= left <= passed:
                    pipeline.unlink(name)
                elif left > passed:
                    pipeline.pexpire(name, left - passed)
            pipeline.execute()


def heat(clients: Clients, hottest_first: Sequence[Place], *, by_frequency: bool) -> None:
    """Set the server's own access figures of keys, so that the first was asked for most.

    RESTORE gives frequency to a key under an LFU policy, and idleness under the others.
    """
    step = _MOST_FREQUENT // max(len(hottest_first), 1)
    for rank, (database, key) in enumerate(hottest_first):
        client = clients[database]
        payload, ttl = cast("bytes", client.dump(key)), client.pttl(key)
        figure = (
            ("FREQ", _MOST_FREQUENT - rank * step)
            if by_frequency
            else ("IDLETIME", rank * _IDLE_STEP_S)
        )
        client.execute_command("RESTORE", key, max(ttl, 0), payload, "REPLACE", *figure)
