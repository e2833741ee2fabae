# SPDX-License-Identifier: Apache-2.0
"""
The records of a run: patterns, prediction, result, and what was changed, by the contract.

Measured figures only. A field whose figure is unknown now is taken out of an older record, so that
nobody takes last week's figure for today's (E13, E17).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, cast

import redis

from kryonix_cache.reference_impl.connection import bulk
from kryonix_cache.reference_impl.errors import KeyPartError
from kryonix_cache.reference_impl.problems import Problem, place_of
from kryonix_cache.reference_impl.scan import told
from kryonix_cache.reference_impl.tenant.families import (
    ANSWERS,
    PATTERNS,
    PREDICTION,
    PRELOADED,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from kryonix_cache.reference_impl.bulk import Reply
    from kryonix_cache.reference_impl.connection import Clients
    from kryonix_cache.reference_impl.contract import Contract
    from kryonix_cache.reference_impl.contract.model import TenantId
    from kryonix_cache.reference_impl.demand.series import Demand
    from kryonix_cache.reference_impl.optimiser.analysis import Analysis
    from kryonix_cache.reference_impl.optimiser.report import Change, Rule

RESULT = "analysis-result"
APPLIED = "applied-recommendations"

_Command = tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run found out about a tenant and did for it.

    `opportunities` are the rules whose condition holds, whether or not they had something to do.
    """

    tenant: TenantId
    at: datetime
    analysis: Analysis
    demand: Demand
    opportunities: Sequence[Rule]
    changes: Sequence[Change]


class Records:
    """Writes and removes the records of tenants."""

    def __init__(self, clients: Clients, contract: Contract) -> None:
        assert contract.optimiser is not None
        self._clients = clients
        self._contract = contract
        self._interval = timedelta(seconds=contract.optimiser.interval_s)

    def write(self, outcome: Outcome) -> list[Problem]:
        """Write what was found out; return what could not be written.

        Raises:
            ScanLostError: the server went away.

        """
        keys, problems = self._predicted_keys(outcome)
        patterns = _patterns(outcome)
        hashes = [(PATTERNS, patterns), (PREDICTION, _prediction(outcome, keys))]
        if outcome.changes:
            hashes.append((APPLIED, _applied(outcome, self._preloads(outcome))))
        by_database: dict[int, list[_Command]] = {}
        for family, values in hashes:
            database = self._database(family)
            by_database.setdefault(database, []).extend(self._hash(family, outcome.tenant, values))
        by_database.setdefault(self._database(RESULT), []).append(self._result(outcome))
        for database, commands in by_database.items():
            problems += self._send(database, commands)
        return problems

    def remove(self, tenant: TenantId) -> None:
        """Remove the records of a tenant that is no more."""
        for family in (PATTERNS, PREDICTION, RESULT, APPLIED):
            key = self._contract.key(family, tenant=tenant)
            self._send(self._database(family), [(b"UNLINK", key)])

    def _database(self, family: str) -> int:
        return self._contract.family(family).databases[0]

    def _hash(
        self, family: str, tenant: TenantId, values: Mapping[str, str | None]
    ) -> Iterable[_Command]:
        key = self._contract.key(family, tenant=tenant)
        known = [
            text.encode()
            for name, value in values.items()
            if value is not None
            for text in (name, value)
        ]
        unknown = [name.encode() for name, value in values.items() if value is None]
        yield (b"HSET", key, *known)
        if unknown:
            yield (b"HDEL", key, *unknown)

    def _result(self, outcome: Outcome) -> _Command:
        analysis = outcome.analysis
        result = {
            "tenant_id": outcome.tenant,
            "analysis_timestamp": outcome.at.isoformat(),
            "analysis_summary": _known(
                {
                    "mobile_sessions": analysis.mobile.sessions,
                    "mobile_percentage": analysis.mobile.share_percent,
                    "cache_hit_rate": analysis.cache.hit_rate_percent,
                    "response_ms": analysis.cache.response_ms,
                    "api_volume": analysis.cache.api_calls,
                    "cached_answers": analysis.api.answers,
                }
            ),
            "optimizations_applied": sorted({change.rule for change in outcome.changes}),
            "performance_score": analysis.cache.score,
            "next_analysis": (outcome.at + self._interval).isoformat(),
        }
        key = self._contract.key(RESULT, tenant=outcome.tenant)
        seconds = self._contract.family(RESULT).ttl.max_seconds
        return (b"SET", key, _json(_known(result)).encode(), b"EX", b"%d" % cast("int", seconds))

    def _predicted_keys(self, outcome: Outcome) -> tuple[list[str], list[Problem]]:
        keys: list[str] = []
        problems: list[Problem] = []
        for each in outcome.analysis.forecast.items:
            family, _, item = each.item.partition(":")
            module, _, endpoint = item.partition(".")
            if family != ANSWERS:
                continue
            try:
                key = self._contract.key(
                    ANSWERS, tenant=outcome.tenant, module=module, endpoint=endpoint
                )
            except KeyPartError as error:
                problems.append(Problem(f"prediction of {outcome.tenant}", str(error)))
                continue
            keys.append(key.decode())
        return keys, problems

    def _preloads(self, outcome: Outcome) -> int:
        """Return how many items were preloaded; that of an answer is two keys."""
        return sum(
            parsed is not None and parsed.family.name == PRELOADED
            for parsed in (
                self._contract.parse(change.database, change.key) for change in outcome.changes
            )
        )

    def _send(self, database: int, commands: Sequence[_Command]) -> list[Problem]:
        client = self._clients[database]
        with told(client, database), bulk(client) as connection:
            *queued, done = connection.exchange([(b"MULTI",), *commands, (b"EXEC",)])
        replies = done if isinstance(done, list) else [*queued[1:], done]
        return _refusals(database, commands, replies)


def _refusals(
    database: int, commands: Sequence[_Command], replies: Sequence[Reply]
) -> list[Problem]:
    named = [command[1] for command in commands]
    return list(
        dict.fromkeys(
            Problem(place_of(database, key), str(reply))
            for key, reply in zip([*named, named[-1]], replies, strict=False)
            if isinstance(reply, redis.ResponseError)
        )
    )


def _patterns(outcome: Outcome) -> dict[str, str | None]:
    analysis = outcome.analysis
    insights = _known(
        {
            "sector": analysis.business.sector,
            "timezone": analysis.business.timezone,
            "operating_days": analysis.business.operating_days,
        }
    )
    share = analysis.mobile.share_percent
    return {
        "peak_hours": _json(analysis.peak_hours) if analysis.peak_hours else None,
        "mobile_percentage": None if share is None else number(share),
        "most_used_module": most_used_module(outcome.demand),
        "optimization_opportunities": _json(list(outcome.opportunities)),
        "last_analysis": outcome.at.isoformat(),
        "business_insights": _json(insights) if insights else None,
    }


def _prediction(outcome: Outcome, keys: Sequence[str]) -> dict[str, str | None]:
    forecast = outcome.analysis.forecast
    gain = forecast.improvement
    return {
        "next_hour_keys": _json(keys),
        "confidence_score": number(forecast.confidence),
        "predicted_hit_rate_improvement": None if gain is None else number(gain),
        "recommended_preload": "true" if keys else "false",
        "prediction_timestamp": outcome.at.isoformat(),
        "ai_model": forecast.model,
    }


def _applied(outcome: Outcome, preloads: int) -> dict[str, str | None]:
    counts: dict[Rule, int] = {}
    for change in outcome.changes:
        counts[change.rule] = counts.get(change.rule, 0) + 1
    longer = counts.get("ttl", 0) + counts.get("api", 0)
    mobile = counts.get("mobile")
    model = f"the prediction {outcome.analysis.forecast.model}"
    return {
        "ttl_optimization": f"{_count(longer, 'cached answer')} extended" if longer else None,
        "mobile_compression": f"{_count(mobile, 'item')} for mobile users" if mobile else None,
        "preload_strategy": f"{_count(preloads, 'item')} by {model}" if preloads else None,
        "result": _count(len(outcome.changes), "change"),
        "applied_at": outcome.at.isoformat(),
    }


def most_used_module(demand: Demand) -> str | None:
    """Return the module whose answers were read most, the first by name of equals."""
    reads: dict[str, float] = {}
    for item, count in zip(demand.items, demand.counts.sum(axis=1).tolist(), strict=True):
        family, _, name = item.partition(":")
        if family == ANSWERS and count > 0:
            module = name.partition(".")[0]
            reads[module] = reads.get(module, 0.0) + count
    return min(reads, key=lambda module: (-reads[module], module), default=None)


def _count(amount: int, what: str) -> str:
    return f"{amount} {what}" if amount == 1 else f"{amount} {what}s"


def number(value: float) -> str:
    """Return a number as the contract's formats read it: no exponent, at most four places."""
    return f"{value:.4f}".rstrip("0").rstrip(".")


def _known(values: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in values.items() if value is not None}


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
