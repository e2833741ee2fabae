# SPDX-License-Identifier: Apache-2.0
"""Whose names a tenant's glob reaches: held against globs that are really matched."""

from __future__ import annotations

from fnmatch import fnmatchcase

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kryonix_cache.reference_impl.access.patterns import Reach, reach_of
from kryonix_cache.reference_impl.contract.keys import glob_of, part_names
from tests.access.contracts import OWN

ID = OWN.tenant.parse("acme")
SEGMENTS = st.sampled_from(["a", "b", "acme", "{x}", "{y}", "{tenant}"])
PATTERNS = (
    st.lists(SEGMENTS, min_size=1, max_size=5)
    .map(":".join)
    .filter(lambda text: len(set(part_names(text))) == len(part_names(text)))
)
PARTS = {"x": "[a-z0-9]+", "y": "[ab]"}


@settings(max_examples=300, deadline=None)
@given(PATTERNS, PATTERNS, st.data())
def test_whatever_a_glob_matches_is_within_its_reach(
    pattern: str, other: str, data: st.DataObject
) -> None:
    """No key of another tenant, or of nobody, is matched that was called out of reach."""
    tenant = data.draw(st.sampled_from(["acme", "a", "b", "evil", "acme2"]))
    values = {
        "tenant": tenant,
        "x": data.draw(st.sampled_from(["a", "b", "acme", "evil", "zz"])),
        "y": data.draw(st.sampled_from(["a", "b"])),
    }
    key = other.format(**{name: values[name] for name in part_names(other)})
    if fnmatchcase(key, glob_of(pattern, ID)):
        own = "tenant" in part_names(other) and tenant == ID
        assert reach_of(pattern, other, ID, PARTS) >= (Reach.OWN if own else Reach.FOREIGN)


@pytest.mark.parametrize(
    ("pattern", "other", "reach"),
    [
        ("t:{tenant}:{x}", "t:{tenant}:{x}", Reach.OWN),
        ("t:{tenant}:{x}", "t:{tenant}:{x}:{y}", Reach.OWN),
        ("t:{tenant}:{x}", "t:{tenant}", Reach.NOTHING),
        ("t:{tenant}", "t:{tenant}:{x}", Reach.NOTHING),
        ("t:{tenant}", "t:{tenant}", Reach.OWN),
        ("t:{tenant}", "t:{x}", Reach.FOREIGN),
        ("t:{tenant}", "t:{y}", Reach.NOTHING),
        ("t:{tenant}", "s:{tenant}", Reach.NOTHING),
        ("t:{x}:{tenant}", "t:{tenant}:{x}:{y}", Reach.NOTHING),
        ("t:{y}:{tenant}", "t:{tenant}:{x}:{y}:{z}", Reach.FOREIGN),
        ("{x}:{tenant}", "system:{z}", Reach.FOREIGN),
    ],
)
def test_the_reach_of_a_pattern(pattern: str, other: str, reach: Reach) -> None:
    assert reach_of(pattern, other, ID, {**PARTS, "z": "[a-z]+"}) is reach


def test_no_pattern_of_the_own_contract_reaches_a_foreign_key() -> None:
    """Also where the server has no rules by database, and all patterns stand beside each other."""
    for mine in OWN.tenant_families:
        for other in OWN.families:
            assert reach_of(mine.pattern, other.pattern, ID, OWN.parts) is not Reach.FOREIGN
