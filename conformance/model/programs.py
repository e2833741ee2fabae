# SPDX-License-Identifier: Apache-2.0
"""
Programs of several tenants, and the model they are held against: one plain dict per tenant.

Hypothesis draws programs; a short one that shows a breach is what it shrinks to, and its steps
stand in the finding, so that a reader can replay them by hand.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from kryonix_cache.conformance.evidence import answer_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from kryonix_cache.fixtures.capabilities import TenantHandle, TenantStore

# Look-alikes: each name is a prefix of another, or meets it when separators are dropped.
TENANT_NAMES = ("a", "ab", "a-b", "a_b")
ITEMS = (("crm", "users"), ("crm", "leads"), ("crm-users", "x"))
SESSIONS = ("s1", "s11")
TTL_SECONDS = 300

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

Kind = Literal["put", "delete", "start", "end"]


@dataclass(frozen=True, slots=True)
class Step:
    """One call of one tenant's handle; `item` is an index into ITEMS or SESSIONS."""

    tenant: str
    kind: Kind
    item: int
    value: int

    def __str__(self) -> str:
        if self.kind in {"put", "delete"}:
            arguments = f"{ITEMS[self.item % len(ITEMS)]}"
        else:
            arguments = f"{SESSIONS[self.item % len(SESSIONS)]!r}"
        value = f" = {self.value}" if self.kind in {"put", "start"} else ""
        return f"{self.tenant}.{self.kind}({arguments}){value}"


def everything() -> list[Step]:
    """Return the program in which every tenant writes every item and every session."""
    puts = [Step(tenant, "put", n, n) for tenant in TENANT_NAMES for n in range(len(ITEMS))]
    starts = [Step(tenant, "start", n, n) for tenant in TENANT_NAMES for n in range(len(SESSIONS))]
    return puts + starts


def programs(*kinds: Kind) -> st.SearchStrategy[list[Step]]:
    """Draw programs of 1 to 12 steps of the given kinds by any of the tenants."""
    step = st.builds(
        Step,
        tenant=st.sampled_from(TENANT_NAMES),
        kind=st.sampled_from(kinds),
        item=st.integers(0, max(len(ITEMS), len(SESSIONS)) - 1),
        value=st.integers(0, 999),
    )
    return st.lists(step, min_size=1, max_size=12)


def written(program: Sequence[Step]) -> str:
    """Return the program in one line."""
    return "; ".join(str(step) for step in program)


@dataclass
class Tenants:
    """Open handles of the tenants, and what each of them must see."""

    handles: Mapping[str, TenantHandle]
    answers: dict[str, dict[tuple[str, str], int]] = field(default_factory=dict)
    sessions: dict[str, dict[str, int]] = field(default_factory=dict)

    @classmethod
    def open(cls, store: TenantStore, tenant_id: Callable[[str], str]) -> Tenants:
        """Open one handle for each name."""
        handles = {name: answer_of("open", store.open, tenant_id(name)) for name in TENANT_NAMES}
        tenants = cls(handles)
        tenants.forget()
        return tenants

    def forget(self) -> None:
        """Start the model anew."""
        self.answers = {name: {} for name in TENANT_NAMES}
        self.sessions = {name: {} for name in TENANT_NAMES}

    def run(self, program: Sequence[Step]) -> None:
        """Run the program on the handles and on the model."""
        for step in program:
            answer_of(str(step), self._take, step)

    def _take(self, step: Step) -> None:
        handle = self.handles[step.tenant]
        module, endpoint = ITEMS[step.item % len(ITEMS)]
        session = SESSIONS[step.item % len(SESSIONS)]
        match step.kind:
            case "put":
                handle.put(module, endpoint, {"n": step.value}, ttl=TTL_SECONDS)
                self.answers[step.tenant][module, endpoint] = step.value
            case "delete":
                handle.delete(module, endpoint)
                self.answers[step.tenant].pop((module, endpoint), None)
            case "start":
                handle.start_session(session, session_fields(step.value))
                self.sessions[step.tenant][session] = step.value
            case "end":
                handle.end_session(session)
                self.sessions[step.tenant].pop(session, None)


def session_fields(value: int) -> dict[str, str]:
    """Return the fields of a made-up session; `value` stands in the user id."""
    return {"user_id": f"user_{value}", "device_type": "mobile", "platform": "android"}
