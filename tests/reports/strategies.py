# SPDX-License-Identifier: Apache-2.0
"""Hypothesis strategies for runs of every shape."""

from hypothesis import strategies as st

from kryonix_cache.reports.lines import Check, Finding, Requirement
from kryonix_cache.reports.verdict import WORST_FIRST
from tests.reports.records import Run, check, requirement, waiver

_IDS = ("server.ping", "config.aof", "config.databases", "keyspace.ttl", "isolation.read")
_GATES = (("MUST",), ("MUST", "SHOULD"))

hostile_text = st.one_of(
    st.text(max_size=12),
    st.sampled_from(
        [
            "<script>alert(1)</script>",
            "]]>&lt;",
            "\x00\x1b[31m\u202e\ud800\uffff",
            "a|b\n```\n# h",
            "{{7*7}}{% x %}",
            "[bold]x[/]",
        ]
    ),
)
findings = st.builds(
    Finding,
    where=hostile_text,
    found=hostile_text,
    wanted=hostile_text,
    erratum=st.sampled_from([None, "E18"]),
    remedy=st.none() | hostile_text,
)


def checks_of(identifier: str) -> st.SearchStrategy[list[Check]]:
    """Return up to three checks of one requirement, with and without a witness."""
    return st.lists(
        st.builds(
            check,
            st.just(identifier),
            st.sampled_from(WORST_FIRST),
            hostile_text,
            operations=st.integers(0, 2),
            observations=st.dictionaries(st.just("keys"), st.integers(0, 3)),
            ran_on=st.sampled_from(["target", "bench"]),
            evidence=st.lists(findings, max_size=2).map(tuple),
        ),
        max_size=3,
    )


@st.composite
def runs(draw: st.DrawFn) -> Run:
    """Return a run with any mix of levels, scopes, outcomes and waivers."""
    gate = draw(st.sampled_from(_GATES))
    chosen = draw(st.lists(st.sampled_from(_IDS), unique=True))
    entries: list[Requirement] = [
        requirement(
            identifier,
            draw(hostile_text),
            level=draw(st.sampled_from(["MUST", "SHOULD", "HAZARD"])),
            gate=gate,
            in_scope=draw(st.booleans()),
            witness=draw(st.sampled_from([{}, {"commands": 1}, {"keys": 2}])),
        )
        for identifier in chosen
    ]
    return Run(
        requirements=entries,
        gate=gate,
        checks=[c for e in entries if e.in_scope for c in draw(checks_of(e.id))],
        waivers=tuple(waiver(e.id) for e in entries if draw(st.integers(0, 4)) == 0),
        accept=draw(st.sampled_from([(), ("partial",)])),
        selection=draw(st.sampled_from([(), tuple(chosen)])),
    )
