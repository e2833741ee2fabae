# SPDX-License-Identifier: Apache-2.0
"""The records of a run, held against what was measured: nothing else may stand in them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, cast

from kryonix_cache.conformance.judging.display import place as shown_place
from kryonix_cache.conformance.judging.display import shown_value
from kryonix_cache.conformance.optimising.families import (
    ANALYSIS,
    PATTERNS,
    PREDICTION,
    PRELOADED,
    QUEUES,
    RECOMMENDATIONS,
    WARMED,
)
from kryonix_cache.conformance.optimising.habits import around, daily, items
from kryonix_cache.conformance.optimising.kept import data_of, kept_of
from kryonix_cache.conformance.optimising.scene import MOMENT
from kryonix_cache.reference_impl.errors import FormatError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kryonix_cache.conformance.optimising.looks import Look
    from kryonix_cache.conformance.optimising.scene import Scene
    from kryonix_cache.conformance.optimising.tenants import MadeTenant
    from kryonix_cache.fixtures.capabilities import TenantAnalysis

ASKED = items("crm", 4)
HOURS = around(MOMENT.hour, ASKED)
KNOWN = {
    "cache_hit_rate": 40.0,
    "api_volume": 6000,
    "mobile_percentage": 75.0,
    "mobile_sessions": 4,
}
"""What is measured of the known tenant, by the names that the specification gives to figures."""

SCORE = 65.0


def known_tenant(scene: Scene) -> MadeTenant:
    """Write a tenant of whom all is known, and on whom each rule fires."""
    tenant = scene.tenant("known")
    tenant.metrics(cache_hit_rate="40", avg_response_time="20ms", api_calls_today="6000")
    tenant.users(mobile=3, others=1)
    for module, endpoint in ASKED:
        tenant.answer(module, endpoint, ttl=600)
    scene.learn(daily(tenant.id, HOURS, MOMENT))
    return tenant


def bare_tenant(scene: Scene) -> MadeTenant:
    """Write a tenant of whom nothing is known any more: older records still name figures."""
    tenant = scene.tenant("bare")
    place = tenant.place(QUEUES, queue="mail")
    tenant.clients[place[0]].rpush(place[1], "{}")
    tenant.hash(
        PATTERNS,
        {
            "mobile_percentage": "78.5",
            "peak_hours": "[9,14,16,18]",
            "most_used_module": "crm",
            "last_analysis": "2025-01-27T10:00:00+00:00",
        },
    )
    return tenant


def hash_of(scene: Scene, seen: Look, tenant: MadeTenant, family: str) -> Mapping[str, str]:
    """Return the fields of a record; one that is missing is a finding, and has none."""
    at = tenant.place(family)
    content = seen.keys.get(at)
    if content is None or not isinstance(content.value, dict):
        wanted = f"a record of the family {family}"
        scene.evidence.found(shown_place(*at), found="no hash", wanted=wanted)
        return {}
    scene.evidence.saw("records")
    pairs = content.value.items()
    return {name.decode(): text.decode(errors="backslashreplace") for name, text in pairs}


class RecordJudge:
    """Judges the records of one tenant."""

    def __init__(self, scene: Scene, seen: Look, tenant: MadeTenant) -> None:
        self._scene, self._seen, self._tenant = scene, seen, tenant

    def judge_known(self, analysis: TenantAnalysis) -> None:
        """Judge the records of a tenant of whom all is known."""
        patterns = self._fields(PATTERNS)
        self._is(PATTERNS, patterns, "mobile_percentage", KNOWN["mobile_percentage"])
        self._is(PATTERNS, patterns, "most_used_module", "crm")
        peaks = self._parsed(PATTERNS, patterns, "peak_hours") or ()
        if not peaks or set(cast("tuple[int]", peaks)) - set(HOURS):
            wanted = f"some of the hours in which it read: {sorted(HOURS)}"
            self._found(PATTERNS, "peak_hours", patterns.get("peak_hours"), wanted)
        self._is_time(PATTERNS, patterns, "last_analysis")
        self._judge_prediction(analysis)
        applied = self._fields(RECOMMENDATIONS)
        self._is_time(RECOMMENDATIONS, applied, "applied_at")
        self._judge_warming()

    def _judge_prediction(self, analysis: TenantAnalysis) -> None:
        fields = self._fields(PREDICTION)
        keys = cast("tuple[str]", self._parsed(PREDICTION, fields, "next_hour_keys") or ())
        named = {self._answer_of(key) for key in keys}
        predicted = {(module, endpoint) for module, endpoint in analysis.predicted}
        if named != predicted or not predicted:
            wanted = f"keys of the tenant, one for each predicted answer: {sorted(predicted)}"
            self._found(PREDICTION, "next_hour_keys", fields.get("next_hour_keys"), wanted)
        self._is(PREDICTION, fields, "confidence_score", analysis.confidence)
        self._is_time(PREDICTION, fields, "prediction_timestamp")

    def _answer_of(self, key: str) -> tuple[str, str] | None:
        parsed = self._scene.contract.parse_anywhere(key.encode())
        if parsed is None or parsed.tenant != self._tenant.id:
            return None
        if "item" in parsed.parts:
            module, _, endpoint = parsed.parts["item"].partition(".")
            return module, endpoint
        return parsed.parts.get("module", ""), parsed.parts.get("endpoint", "")

    def _judge_warming(self) -> None:
        """Judge that each preloaded answer is found by its module and endpoint as well."""
        warmed = {}
        for _, parts, content in kept_of(self._scene, self._seen, self._tenant, WARMED):
            warmed[f"{parts['module']}.{parts['endpoint']}"] = data_of(content)
        for _, parts, _ in kept_of(self._scene, self._seen, self._tenant, PRELOADED):
            self._scene.evidence.saw("records")
            value = warmed.get(parts["item"])
            time = value.get("warmed_at") if isinstance(value, dict) else None
            if not _is_moment(time):
                where = f"tenant {self._tenant.id}, the answer {parts['item']}"
                found = "no record" if value is None else f"warmed at {time}"
                wanted = f"a record of the family {WARMED}, warmed at {MOMENT.isoformat()}"
                self._scene.evidence.found(where, found=found, wanted=wanted)

    def judge_bare(self) -> None:
        """Judge that no record of a tenant without data names a figure (E13, E17)."""
        patterns, prediction = self._fields(PATTERNS), self._fields(PREDICTION)
        for name in ("peak_hours", "mobile_percentage", "most_used_module"):
            if name in patterns:
                self._found(PATTERNS, name, patterns[name], "no such field: it was not measured")
        for name in ("optimization_opportunities", "business_insights"):
            if patterns.get(name, "[]") not in {"[]", "{}"}:
                self._found(PATTERNS, name, patterns[name], "nothing: nothing is known of it")
        if prediction.get("next_hour_keys") != "[]":
            found = prediction.get("next_hour_keys")
            self._found(PREDICTION, "next_hour_keys", found, "an empty list: no read is recorded")
        self._is(PREDICTION, prediction, "confidence_score", 0.0)
        gain = prediction.get("predicted_hit_rate_improvement")
        if gain is not None and float(gain) != 0:
            name = "predicted_hit_rate_improvement"
            self._found(PREDICTION, name, gain, "no figure: nothing is predicted")
        self._is_time(PATTERNS, patterns, "last_analysis")
        if self._tenant.place(RECOMMENDATIONS) in self._seen.keys:
            self._found(RECOMMENDATIONS, "", "a record", "none, for nothing was changed")

    def judge_result(self, known: Mapping[str, float], score: float | None, changed: bool) -> None:  # noqa: FBT001 (it reads as a sentence)
        """Judge the result of the run: its life, its times, its figures."""
        at = self._tenant.place(ANALYSIS)
        content = self._seen.keys.get(at)
        result = data_of(content) if content else None
        if content is None or not isinstance(result, dict):
            wanted = f"the result of the run as JSON, a record of the family {ANALYSIS}"
            self._scene.evidence.found(shown_place(*at), found="none", wanted=wanted)
            return
        self._scene.evidence.saw("records")
        self._judge_life(content.ttl)
        interval = self._scene.rule.interval_s
        for name, moment in (
            ("analysis_timestamp", MOMENT),
            ("next_analysis", datetime.fromtimestamp(MOMENT.timestamp() + interval, UTC)),
        ):
            if not _is_moment(result.get(name), moment):
                self._found(ANALYSIS, name, result.get(name), f"{moment.isoformat()}, in UTC")
        if result.get("tenant_id") != self._tenant.id:
            self._found(ANALYSIS, "tenant_id", result.get("tenant_id"), self._tenant.id)
        self._judge_summary(result.get("analysis_summary"), known)
        found = result.get("performance_score")
        if score is None and found is not None:
            self._found(ANALYSIS, "performance_score", found, "no figure: its parts are unknown")
        elif score is not None and not _is_near(found, score):
            self._found(ANALYSIS, "performance_score", found, f"{score:g}")
        if bool(result.get("optimizations_applied")) != changed:
            wanted = "what was done" if changed else "an empty list: nothing was changed"
            found = result.get("optimizations_applied")
            self._found(ANALYSIS, "optimizations_applied", found, wanted)

    def _judge_life(self, ttl: int) -> None:
        longest = self._scene.lifetime(ANALYSIS) * 1000
        if not longest - 60_000 <= ttl <= longest:
            wanted = f"{longest / 1000:.0f} s"
            self._found(ANALYSIS, "its time to live", f"{ttl / 1000:.0f} s", wanted)

    def _judge_summary(self, summary: object, known: Mapping[str, float]) -> None:
        members = summary if isinstance(summary, dict) else {}
        for name, value in known.items():
            if not _is_near(members.get(name), value):
                self._found(ANALYSIS, f"analysis_summary.{name}", members.get(name), f"{value:g}")
        for name in KNOWN.keys() - known.keys():
            found = members.get(name)
            # A count of keys is known to be 0 where there are none.
            if found is not None and not (name == "mobile_sessions" and found == 0):
                wanted = "no figure: it was not measured"
                self._found(ANALYSIS, f"analysis_summary.{name}", found, wanted)

    def _fields(self, family: str) -> Mapping[str, str]:
        return hash_of(self._scene, self._seen, self._tenant, family)

    def _parsed(self, family: str, fields: Mapping[str, str], name: str) -> object:
        text = fields.get(name)
        try:
            rule = self._scene.contract.family(family).fields[name]
            return None if text is None else rule.format.parse(text)
        except FormatError:
            return None

    def _is(self, family: str, fields: Mapping[str, str], name: str, value: float | str) -> None:
        found = self._parsed(family, fields, name)
        if not (found == value if isinstance(value, str) else _is_near(found, value)):
            self._found(family, name, fields.get(name), f"{value}")

    def _is_time(self, family: str, fields: Mapping[str, str], name: str) -> None:
        if not _is_moment(fields.get(name)):
            wanted = f"{MOMENT.isoformat()}, the present of the run, in UTC"
            self._found(family, name, fields.get(name), wanted)

    def _found(self, family: str, name: str, found: object, wanted: str) -> None:
        where = f"{shown_place(*self._tenant.place(family))} field '{name}'"
        shown = "nothing" if found is None else shown_value(str(found))
        self._scene.evidence.found(where, found=shown, wanted=wanted, erratum="E17")


def _is_near(found: object, wanted: float) -> bool:
    if isinstance(found, bool) or not isinstance(found, int | float):
        return False
    return abs(found - wanted) < 0.01  # noqa: PLR2004 (figures may be rounded to two places)


def _is_moment(text: object, wanted: datetime = MOMENT) -> bool:
    """Say whether a text is a moment in UTC, offset and all (E27)."""
    try:
        moment = datetime.fromisoformat(str(text))
    except ValueError:
        return False
    offset = moment.utcoffset()
    return offset is not None and not offset and abs((moment - wanted).total_seconds()) < 1
