# SPDX-License-Identifier: Apache-2.0
"""The views of a record that several reports share, and their common wording."""

from collections.abc import Mapping
from dataclasses import dataclass

from kryonix_cache.reports.lines import Outcome, Result, Verdict
from kryonix_cache.reports.record import Record
from kryonix_cache.reports.verdict import INCOMPLETE, count_outcomes, is_accepted

SEVEREST_FIRST = (
    Outcome.FAIL,
    Outcome.ERROR,
    Outcome.INCONCLUSIVE,
    Outcome.WAIVED,
    Outcome.SKIPPED,
    Outcome.NOT_OFFERED,
    Outcome.NOT_APPLICABLE,
    Outcome.PASS,
)
"""The order in which every report lists outcomes."""

ON_THE_BENCH = "on the bench"
"""How every report says that a result is not about the target itself."""

_MOST_NAMED = 5

QUIET = frozenset({Outcome.PASS, Outcome.NOT_APPLICABLE})
"""Outcomes that ask nothing of the reader."""


@dataclass(frozen=True, slots=True)
class Area:
    """The results of one area, in the order of the registry."""

    name: str
    results: tuple[Result, ...]

    @property
    def counts(self) -> dict[str, int]:
        """How many results each outcome has."""
        return count_outcomes(self.results)


def areas_of(record: Record) -> tuple[Area, ...]:
    """Return the areas in the order in which the registry first names them."""
    names = dict.fromkeys(result.area for result in record.results)
    return tuple(
        Area(name, tuple(result for result in record.results if result.area == name))
        for name in names
    )


def attention_of(record: Record) -> tuple[Result, ...]:
    """
    Return what a reader must look at, gating and severest first.

    That is everything not quiet but hazards; a hazard in error is here, for errors of any level
    decide the verdict.
    """
    return tuple(
        sorted(
            (r for r in record.results if r.outcome not in QUIET and not _is_hazard(r)),
            key=lambda r: (not r.gating, SEVEREST_FIRST.index(r.outcome)),
        )
    )


def hazards_of(record: Record) -> tuple[Result, ...]:
    """Return the hazards that showed: reported in every report, gating in none."""
    return tuple(r for r in record.results if r.outcome not in QUIET and _is_hazard(r))


def _is_hazard(result: Result) -> bool:
    return result.level == "HAZARD" and not result.gating and result.outcome is not Outcome.ERROR


def verdict_words(record: Record) -> str:
    """Return the verdict as every report spells it, an accepted one marked as such."""
    accepted = is_accepted(record.verdict, record.header.accept)
    return f"{record.verdict.value} (accepted)" if accepted else record.verdict.value


def meaning_of(record: Record) -> str:
    """Return the verdict as a sentence with its numbers."""
    gating = [result for result in record.results if result.gating]
    counts = count_outcomes(gating)
    incomplete = sum(counts[outcome] for outcome in INCOMPLETE)
    errors = record.footer.counts[Outcome.ERROR]
    return {
        Verdict.CONFORMANT: f"All {len(gating)} gating requirements hold.",
        Verdict.NON_CONFORMANT: f"{counts[Outcome.FAIL]} of {len(gating)} gating requirements "
        "do not hold.",
        Verdict.ERROR: f"{errors} of {len(record.results)} requirements could not be judged, "
        "because the suite or the target broke: the run proves nothing.",
        Verdict.INCONCLUSIVE: f"{counts[Outcome.INCONCLUSIVE]} of {len(gating)} gating "
        "requirements show no fault, on too little to stand on.",
        Verdict.PARTIAL: f"No gating requirement fails, but {incomplete} of {len(gating)} were "
        "skipped, waived or not offered.",
        Verdict.NOTHING_RAN: "No requirement was judged.",
    }[record.verdict]


def scope_words(record: Record) -> str:
    """Return over what the verdict was found."""
    header = record.header
    over = f"{len(record.results)} requirements of profile {header.profile}"
    if header.selection:
        chosen = header.selection
        if len(chosen) > _MOST_NAMED:
            return f"{over}, only a selection of {len(chosen)} requirements"
        return f"{over}, only the selection {', '.join(chosen)}"
    return over


def bench_words(record: Record) -> str:
    """Return how many results are not about the target itself, '' where all are."""
    number = sum(result.ran_on == "bench" for result in record.results)
    if not number:
        return ""
    found = "result was" if number == 1 else "results were"
    return f"{number} {found} found {ON_THE_BENCH}, on servers that the suite started for them"


def counts_words(counts: Mapping[str, int]) -> str:
    """Return counts as words, severest first, zeros left out."""
    shown = [f"{counts[outcome]} {outcome}" for outcome in SEVEREST_FIRST if counts.get(outcome)]
    return ", ".join(shown) or "none"


def gist_of(result: Result) -> str:
    """Return one sentence for a result: its reason, else its first finding."""
    if result.reason:
        return result.reason
    if result.evidence:
        finding = result.evidence[0]
        return f"{finding.where}: found {finding.found}, wanted {finding.wanted}"
    return result.outcome.value
