# SPDX-License-Identifier: Apache-2.0
"""What the generated programs are made of: tenants that look alike, items, and their extent."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from kryonix_cache.conformance.run import Depth

# Look-alikes: each name is a prefix of another, or meets it when separators are dropped.
TENANT_NAMES = ("a", "ab", "a-b", "a_b")
ITEMS = (("crm", "users"), ("crm", "leads"), ("crm-users", "x"))
SESSIONS = ("s1", "s11")
QUEUES = ("mail", "mail-low")
CONNECTIONS = ("c1", "c11")
MODULES = ("crm", "crm-users")
CHANNELS = ("news", "new", "news-x")
TTL_SECONDS = 300
TTLS = (TTL_SECONDS, 100, 1200)
BRIEF_SECONDS = 50
PAUSES = (BRIEF_SECONDS, 100, BRIEF_SECONDS, 300, 100, 300, 1700, 1800)
"""Seconds that pass at once, as often as they are drawn: after the long ones little is left.

Whatever is left of a time to live is 0 or far from it (50 s), so that the real time of a play
decides nothing."""

MOST_LANES = 16
"""How many threads or tasks play at once: as many as a pool of clients has connections."""

NUMBERS = 999
"""Values are numbered from 0 to this."""

SETTINGS = settings(
    # Hypothesis makes a profile of its own the default where CI is set, and that one draws the
    # same programs whatever the seed.
    settings.get_profile("default"),
    max_examples=20,
    derandomize=False,
    deadline=None,
    database=None,
    report_multiple_bugs=False,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)


def _draw_no_constants_of_modules() -> None:
    # Hypothesis also draws the constants of the modules that it finds imported and that are
    # installed in no site-packages. So a seed would play other programs after a line of an adapter
    # was changed, and in a checkout others than in an installation. There is no setting for it, and
    # a version that has another way inside must not keep the suite from running.
    try:
        providers = import_module("hypothesis.internal.conjecture.providers")
        constants = import_module("hypothesis.internal.constants_ast").Constants()
    except (ImportError, AttributeError):
        return
    if hasattr(providers, "_get_local_constants"):
        vars(providers)["_get_local_constants"] = lambda: constants


_draw_no_constants_of_modules()

_NIGHTLY = 4


def extent(depth: Depth, *, examples: int, steps: int = 50) -> settings:
    """Return how much is played: so many examples for a gate, four times as many in a night.

    `steps` are those of a machine's example; a night takes its examples of 50.
    """
    if depth == "nightly":
        return settings(SETTINGS, max_examples=examples * _NIGHTLY, stateful_step_count=50)
    return settings(SETTINGS, max_examples=examples, stateful_step_count=steps)


def session_fields(value: int | str) -> dict[str, str]:
    """Return the fields of a made-up session; `value` stands in the user id."""
    return {"user_id": f"user_{value}", "device_type": "mobile", "platform": "android"}
