# SPDX-License-Identifier: Apache-2.0
"""The golden lists: exactly what an audit of the specification's own data must find (E29)."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Literal

from kryonix_cache.reports.lines import Finding

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kryonix_cache.conformance.judging.judgement import Judgement

Data = Literal["sample", "commands"]
"""What was audited: the seeded sample, or what the specification's shell commands leave."""


@dataclass(frozen=True, slots=True, order=True)
class GoldenFinding:
    """One finding that must be there: its requirement, its place, and the erratum it names."""

    requirement: str
    where: str
    erratum: str | None


@cache
def golden_list(data: Data) -> frozenset[GoldenFinding]:
    """Return the findings that an audit of `data`, with all fields, must give."""
    text = files("kryonix_cache.conformance").joinpath("golden.toml").read_text(encoding="utf-8")
    return frozenset(
        GoldenFinding(entry["requirement"], entry["where"], entry["erratum"])
        for entry in tomllib.loads(text)["finding"]
        if data in entry["of"]
    )


def found_list(judgements: Mapping[str, Judgement]) -> frozenset[GoldenFinding]:
    """Return what an audit found, in the form of the golden list."""
    return frozenset(
        GoldenFinding(requirement, finding.where, finding.erratum)
        for requirement, judgement in judgements.items()
        for finding in judgement.findings
    )


def golden_differences(judgements: Mapping[str, Judgement], data: Data) -> tuple[Finding, ...]:
    """Return a finding for each golden one that is missing, and for each other that is there."""
    wanted, found = golden_list(data), found_list(judgements)
    hidden = sum(each.total - len(each.findings) for each in judgements.values())
    differences = [_difference(each, "nothing", "this finding") for each in sorted(wanted - found)]
    differences += [_difference(each, "this finding", "nothing") for each in sorted(found - wanted)]
    if hidden:
        text = f"{hidden} more findings than examples"
        differences.append(Finding(where="audit", found=text, wanted="none"))
    return tuple(differences)


def _difference(each: GoldenFinding, found: str, wanted: str) -> Finding:
    where = f"{each.requirement} at {each.where}"
    return Finding(where=where, found=found, wanted=wanted, erratum=each.erratum)
