# SPDX-License-Identifier: Apache-2.0
"""What a run is asked to do, and its identity: the id from which its tenants are named."""

from __future__ import annotations

import re
import secrets
import shlex
import signal
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from kryonix_cache.conformance.errors import UsageError
from kryonix_cache.conformance.registry import Registry, load_registry
from kryonix_cache.conformance.waivers import load_waivers
from kryonix_cache.fixtures.system import REFERENCE
from kryonix_cache.fixtures.targets.specification import refuse_empty
from kryonix_cache.reference_impl.contract import Contract, Profile, load_contract
from kryonix_cache.reference_impl.scan import impact_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kryonix_cache.conformance.judging.sampling import Reading
    from kryonix_cache.reports.lines import Waiver

RUN_ID = r"[0-9]{8}t[0-9]{6}-[0-9a-f]{6}"
DEFAULT_PROFILE = "ci"
RUNS = Path("reports") / "runs"
COUNTEREXAMPLE = "counterexample-"
"""What the file begins with that shows a breach as a program; the requirement's id follows."""

STOPPING = frozenset({signal.SIGINT, signal.SIGTERM})
"""The signals that end a run: a Ctrl-C, and what build systems cancel a job with."""

Depth = Literal["default", "nightly"]
"""How much generated data a run plays: for a gate, or for a whole night."""


def split_ids(values: Iterable[str]) -> tuple[str, ...]:
    """Return the ids of --select, which may be given often and hold several between commas."""
    return tuple(part.strip() for value in values for part in value.split(",") if part.strip())


def new_run_id() -> str:
    """Return a fresh id: the UTC time, and enough chance to keep two runs of a second apart."""
    return f"{datetime.now(UTC):%Y%m%dt%H%M%S}-{secrets.token_hex(3)}"


@dataclass(frozen=True, slots=True)
class RunTenants:
    """The tenants of one run: `ct-<run>-<name>`; every key of theirs belongs to the run."""

    contract: Contract
    run: str

    @property
    def prefix(self) -> str:
        """What the ids of the run's tenants start with."""
        return f"{self.contract.tenant.run_prefix}{self.run}-"

    def id(self, name: str) -> str:
        """Return the id of the tenant `name`; raise InvalidTenantIdError for a bad name."""
        tenant = f"{self.prefix}{name}"
        self.contract.tenant.check(tenant)
        return tenant

    def owns(self, database: int, key: bytes) -> bool:
        """Say whether `key` of `database` belongs to one of the run's tenants."""
        parsed = self.contract.parse(database, key)
        return parsed is not None and self._has(parsed.tenant)

    def owns_channel(self, channel: bytes) -> bool:
        """Say whether the channel belongs to one of the run's tenants."""
        parsed = self.contract.parse_channel(channel)
        return parsed is not None and self._has(parsed.tenant)

    def _has(self, tenant: str | None) -> bool:
        return (
            tenant is not None
            and tenant.startswith(self.prefix)
            and self.contract.tenant.is_valid(tenant)
        )


@dataclass(frozen=True, slots=True)
class RunRequest:
    """What the command line or pytest's options ask for, before anything is looked up."""

    target: str | None = None
    target_file: Path | None = None
    profile: str = DEFAULT_PROFILE
    contract: Path | None = None
    system: str = REFERENCE
    select: tuple[str, ...] = ()
    waivers: Path | None = None
    accept: tuple[str, ...] = ()
    grants: tuple[str, ...] = ()
    config_file: Path | None = None
    redis_image: str | None = None
    replica_allowed: bool = False
    fields: Reading = "sample"
    max_impact: str = "high"
    out: Path = RUNS
    seed: int = 0
    depth: Depth = "default"
    run: str = field(default_factory=new_run_id)


@dataclass(frozen=True, slots=True)
class RunPlan:
    """A request whose names were looked up: everything that can be refused before the start."""

    request: RunRequest
    contract: Contract
    profile: Profile
    registry: Registry
    selection: tuple[str, ...]
    scope: tuple[str, ...]
    waivers: tuple[Waiver, ...]

    @property
    def gate(self) -> tuple[str, ...]:
        """The levels that gate: the profile's; those of the selection where none of them does.

        Somebody who selects a SHOULD alone asks about it, and a failure must not be called
        conformant. A HAZARD never gates.
        """
        levels = {self.registry[each].level_in(self.profile.name) for each in self.scope}
        if not self.selection or levels & set(self.profile.gate):
            return self.profile.gate
        return tuple(sorted(levels - {"HAZARD"})) or self.profile.gate

    @property
    def tenants(self) -> RunTenants:
        """The tenants of this run."""
        return RunTenants(self.contract, self.request.run)

    @property
    def folder(self) -> Path:
        """Where the record and the reports of this run go."""
        return self.request.out / self.request.run


def command_line(request: RunRequest, *, target: str, select: str) -> str:
    """Return the shell command that makes the same run for `select`; `target` holds no secret."""
    words = ["kryonix-cache", "conformance", "--target", target, "--profile", request.profile]
    words += ["--select", select, "--seed", str(request.seed)]
    for option, value in (
        ("--contract", request.contract),
        ("--config-file", request.config_file),
        ("--redis-image", request.redis_image),
    ):
        words += [option, str(value)] if value else []
    for option, text, usual in (
        ("--system", request.system, REFERENCE),
        ("--fields", request.fields, "sample"),
        ("--max-impact", request.max_impact, "high"),
        ("--depth", request.depth, "default"),
    ):
        words += [option, text] if text != usual else []
    words += [word for grant in request.grants for word in ("--grant", grant)]
    words += ["--allow-replica"] if request.replica_allowed else []
    return shlex.join(words)


def plan_run(request: RunRequest) -> RunPlan:
    """Look everything up; raise a KryonixError for whatever is wrong, before anything starts."""
    impact_of(request.max_impact)
    if request.target is not None:
        refuse_empty(request.target, "--target")
    if not re.fullmatch(RUN_ID, request.run):
        raise UsageError(f"{request.run!r} is no run id, as 20260131t120000-0a1b2c.")
    unacceptable = set(request.accept) - {"partial"}
    if unacceptable:
        raise UsageError(f"--accept takes 'partial' only, not {', '.join(sorted(unacceptable))}.")
    contract = load_contract(request.contract)
    profile = contract.profile(request.profile)
    registry = load_registry()
    selection = registry.select(request.select)
    scope = registry.in_scope(profile, selection)
    if not scope:
        raise UsageError(f"The profile {profile.name} leaves out all that --select names.")
    today = datetime.now(UTC).date()
    return RunPlan(
        request=request,
        contract=contract,
        profile=profile,
        registry=registry,
        selection=selection,
        scope=scope,
        waivers=_waivers(request.waivers, registry, today),
    )


def _waivers(path: Path | None, registry: Registry, today: date) -> tuple[Waiver, ...]:
    return () if path is None else load_waivers(path, registry, today=today)
