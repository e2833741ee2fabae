# SPDX-License-Identifier: Apache-2.0
"""Time that passes by decree, and heat that nobody has to wait for."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from kryonix_cache.conformance.optimising.server_time import heat, pass_time
from kryonix_cache.reference_impl.contract import default_contract

if TYPE_CHECKING:
    from kryonix_cache.reference_impl.connection import Pools


def test_time_lowers_what_ends_and_leaves_what_never_does(pools: Pools) -> None:
    pools[1].set("ends later", "x", ex=1000)
    pools[11].set("ends now", "x", px=899_000)
    pools[15].set("never ends", "x")
    pass_time(pools, default_contract(), timedelta(minutes=15))
    assert 98_000 < pools[1].pttl("ends later") <= 100_000
    assert pools[11].exists("ends now") == 0
    assert pools[15].pttl("never ends") == -1


@pytest.mark.parametrize(
    ("policy", "by_frequency", "figure"),
    [("allkeys-lru", False, "IDLETIME"), ("allkeys-lfu", True, "FREQ")],
)
def test_the_server_ranks_keys_as_they_were_heated(
    pools: Pools, policy: str, figure: str, *, by_frequency: bool
) -> None:
    """Value and time to live stay as they were."""
    pools[1].config_set("maxmemory-policy", policy)
    names = [b"key%d" % (number * 7 % 40) for number in range(40)]
    for number, name in enumerate(names):
        pools[1].set(name, f"x{number}", ex=1000 + number)
    pools[1].persist(names[3])
    heat(pools, [(1, name) for name in names], by_frequency=by_frequency)
    figures = [pools[1].object(figure, name) for name in names]
    assert figures == sorted(figures, reverse=by_frequency)
    assert len(set(figures)) == len(names)
    assert pools[1].pttl(names[3]) == -1
    assert 1005_000 < pools[1].pttl(names[7]) <= 1007_000
    assert pools[1].get(names[7]) == b"x7"
