# SPDX-License-Identifier: Apache-2.0
"""
The rules: what is changed, for how long, and why. Pure: nothing here knows of a server.

All times to live are in milliseconds, so that no rounding lifts one above its bound.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kryonix_cache.reference_impl.contract.model import OptimiserRule
    from kryonix_cache.reference_impl.optimiser.analysis import Analysis
    from kryonix_cache.reference_impl.optimiser.report import Rule

SECOND: Final = 1000
FOR_EVER: Final = -1
GONE: Final = -2
LEAST_GAIN: Final = SECOND
"""A change that gains less is none."""


@dataclass(frozen=True, slots=True)
class Standing:
    """A cached value at one moment: what it lives still, how old it is, whether it was extended."""

    ttl_ms: int
    age_ms: int
    extended: bool


@dataclass(frozen=True, slots=True)
class Lifetime:
    """The time to live that a rule gives, and why."""

    ttl_ms: int
    reason: str


def firing(rule: OptimiserRule, analysis: Analysis) -> Mapping[Rule, str]:
    """Return the rules whose condition holds, in the order in which they act, each with why.

    What is unknown makes no condition true (E13).
    """
    cache, share = analysis.cache, analysis.mobile.share_percent
    fires: dict[Rule, str] = {}
    if cache.api_calls is not None and cache.api_calls > rule.api_calls_above:
        fires["api"] = f"{cache.api_calls} calls today are more than {rule.api_calls_above}"
    if cache.hit_rate_percent is not None and cache.hit_rate_percent < rule.hit_rate_below_percent:
        fires["ttl"] = (
            f"the hit rate of {cache.hit_rate_percent:g} % "
            f"is below {rule.hit_rate_below_percent:g} %"
        )
    if share is not None and share > rule.mobile_share_above_percent:
        fires["mobile"] = (
            f"{share:.4g} % of the users are mobile, "
            f"more than {rule.mobile_share_above_percent:g} %"
        )
    if analysis.forecast.items:
        fires["preload"] = f"the model {analysis.forecast.model} predicts requests"
    return fires


def opportunities(rule: OptimiserRule, analysis: Analysis) -> tuple[Rule, ...]:
    """Return the rules whose condition holds, whether or not they find something to do."""
    return tuple(firing(rule, analysis))


def extension(
    rule: OptimiserRule, by: Rule, standing: Standing, *, most_s: int | None, why: str
) -> Lifetime | None:
    """Return how long an answer shall live by the TTL rule or the API rule; None: as it does.

    Never shorter than it does, never until it is older than the contract's `oldest_value_s`, not
    a second time for one written value, and never more than the family's `most_s` seconds. What
    never expires, and what is gone, is left alone (E14).
    """
    if standing.extended or standing.ttl_ms <= 0:
        return None
    bound = remaining(rule, standing.age_ms, most_s)
    if by == "ttl":
        if not is_short(rule, standing.ttl_ms):
            return None
        # As a fraction: a float's error may lie on either side of the bound.
        bound = min(bound, int(standing.ttl_ms * Fraction(str(rule.ttl_factor))))
    if bound < standing.ttl_ms + LEAST_GAIN:
        return None
    return Lifetime(bound, f"{why}: {_what(rule, by, standing, bound)}")


def _what(rule: OptimiserRule, by: Rule, standing: Standing, bound: int) -> str:
    kind = f"one of the {rule.hottest_keys} hottest answers" if by == "ttl" else "a hot answer"
    return (
        f"{kind} lives {seconds(bound)} s instead of {seconds(standing.ttl_ms)} s; "
        f"it is {seconds(standing.age_ms)} s old and gets at most {rule.oldest_value_s} s old"
    )


def is_short(rule: OptimiserRule, ttl_ms: int) -> bool:
    """Say whether an answer lives so shortly that the TTL rule looks at it; a gone one does too."""
    return FOR_EVER != ttl_ms < rule.ttl_below_s * SECOND


def remaining(rule: OptimiserRule, age_ms: int, most_s: int | None) -> int:
    """Return the milliseconds that a value of this age may live still; 0 or less for none."""
    left = rule.oldest_value_s * SECOND - age_ms
    return left if most_s is None else min(left, most_s * SECOND)


def gains(present_ms: int, ttl_ms: int) -> bool:
    """Say whether a key that lives `present_ms` (or is gone) would live longer by a new value."""
    return present_ms != FOR_EVER and ttl_ms >= max(present_ms, 0) + LEAST_GAIN


def is_fresh(rule: OptimiserRule, ttl_ms: int) -> bool:
    """Say whether a kept item needs nothing before the next run."""
    return ttl_ms == FOR_EVER or ttl_ms > rule.interval_s * SECOND


def is_due(rule: OptimiserRule, ttl_ms: int) -> bool:
    """Say whether a preloaded item ends nearer to this run than to the next one.

    It pays to wait: whoever replaces a preload a whole interval before its end pays for four where
    three would do, and runs are never exactly an interval apart.
    """
    return FOR_EVER != ttl_ms <= rule.interval_s * SECOND // 2


def is_warm(preload_s: int, answer_ttl_ms: int) -> bool:
    """Say whether the answer itself lives long enough to make its preload needless."""
    return answer_ttl_ms == FOR_EVER or 2 * answer_ttl_ms >= preload_s * SECOND


def seconds(milliseconds: int) -> str:
    """Return milliseconds as seconds in words, without needless digits."""
    return f"{milliseconds / SECOND:.3f}".rstrip("0").rstrip(".")
