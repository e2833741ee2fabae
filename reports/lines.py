# SPDX-License-Identifier: Apache-2.0
"""
The lines of a run record as values, and their plain JSON form in both directions.

Each class is one object of ``record.schema.json``, field for field. ``from_json`` trusts its
input: only what the schema accepted reaches it.
"""

import dataclasses
import types
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from typing import Any, ClassVar, TypeVar, Union, cast, get_args, get_origin, get_type_hints

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]
"""What JSON can say."""

EVIDENCE_LIMIT = 20
"""How many findings one line carries; ``evidence_total`` says how many there were."""


class Outcome(StrEnum):
    """How one check, or one requirement, came out."""

    PASS = "pass"  # noqa: S105 - an outcome, no password
    FAIL = "fail"
    ERROR = "error"
    INCONCLUSIVE = "inconclusive"
    SKIPPED = "skipped"
    WAIVED = "waived"
    NOT_OFFERED = "not-offered"
    NOT_APPLICABLE = "not-applicable"


class Verdict(StrEnum):
    """What a whole run says about its target."""

    NON_CONFORMANT = "non-conformant"
    ERROR = "error"
    INCONCLUSIVE = "inconclusive"
    PARTIAL = "partial"
    CONFORMANT = "conformant"
    NOTHING_RAN = "nothing-ran"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One deviation: where it is, what is there, what should be, and how to mend it."""

    where: str
    found: str
    wanted: str
    erratum: str | None = None
    remedy: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """Which suite made the run."""

    name: str
    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ContractStamp:
    """Which contract the run judged by; `sha256` is that of the contract file."""

    name: str
    version: str
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirement:
    """
    One entry of the registry as it stood for this run.

    `gating` means that the level is one of the header's `gate`. `witness` holds the least
    that must have happened for a pass to mean something: `commands` counts operations,
    every other name counts observations.
    """

    id: str
    area: str
    level: str
    gating: bool
    in_scope: bool
    power: str
    subject: str
    statement: str
    source: str
    errata: tuple[str, ...] = ()
    witness: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Registry:
    """All requirements of the suite, in and out of scope; `sha256` is that of the registry."""

    sha256: str
    requirements: tuple[Requirement, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChecklistItem:
    """One validation or test that the source asks for, with the requirements that stand for it."""

    kind: str
    number: int
    statement: str
    requirements: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetStamp:
    """What was tested; `address` is redacted."""

    kind: str
    address: str
    live: bool
    product: str
    version: str
    databases: int
    capabilities: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchStamp:
    """The disposable server that took what the target was spared."""

    kind: str
    product: str
    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Platform:
    """Where the suite itself ran."""

    python: str
    machine: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiver:
    """A deviation that somebody answers for until the day `expires` (YYYY-MM-DD) is over."""

    requirement: str
    reason: str
    owner: str
    expires: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """The first line: what is judged, by what, against what."""

    kind: ClassVar[str] = "header"

    format: int = 1
    suite: Suite
    run: str
    command: str
    started: str
    profile: str
    gate: tuple[str, ...]
    seed: int
    depth: str = "default"
    accept: tuple[str, ...] = ()
    selection: tuple[str, ...] = ()
    contract: ContractStamp
    registry: Registry
    checklist: tuple[ChecklistItem, ...] = ()
    target: TargetStamp
    bench: BenchStamp | None = None
    system: str
    platform: Platform
    waivers: tuple[Waiver, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One executed test; `seconds` is wall time, `operations` the commands it sent."""

    kind: ClassVar[str] = "check"

    requirement: str
    test: str
    outcome: Outcome
    reason: str = ""
    seconds: float = 0.0
    operations: int = 0
    observations: Mapping[str, int] = field(default_factory=dict)
    ran_on: str = "target"
    evidence: tuple[Finding, ...] = ()
    evidence_total: int = 0
    reproduce: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """
    One requirement's outcome, derived from its checks and never written by hand.

    `ran_on` is `target`, `bench`, `both`, or `none` when no check exists.
    """

    kind: ClassVar[str] = "result"

    requirement: str
    area: str
    level: str
    gating: bool
    outcome: Outcome
    reason: str
    seconds: float
    operations: int
    observations: Mapping[str, int]
    ran_on: str
    evidence: tuple[Finding, ...]
    evidence_total: int
    reproduce: str
    waiver: Waiver | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedCommand:
    """A command that the power guard stopped before it was sent."""

    command: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Footprint:
    """What the run did to its target, by the journal of what was sent."""

    kind: ClassVar[str] = "footprint"

    commands: int
    foreign_keys_written: int
    keys_created: int
    keys_removed: int
    keys_left: int
    values_read: int
    refused: tuple[RefusedCommand, ...] = ()
    digest: str = "not comparable"
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Footer:
    """The last line: the conclusion, and a hash over all bytes before it."""

    kind: ClassVar[str] = "footer"

    finished: str
    seconds: float
    counts: Mapping[str, int]
    verdict: Verdict
    exit_code: int
    lines: int
    sha256: str


Line = Header | Check | Result | Footprint | Footer
_T = TypeVar("_T")


def to_json(value: object) -> Json:
    """Return the plain JSON form; a line starts with its `kind`."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        kind = getattr(value, "kind", None) if isinstance(value, Line) else None
        members = {f.name: to_json(getattr(value, f.name)) for f in dataclasses.fields(value)}
        return {"kind": kind, **members} if isinstance(kind, str) else members
    if isinstance(value, StrEnum):
        return value.value
    if isinstance(value, Mapping):
        return {str(name): to_json(member) for name, member in value.items()}
    if isinstance(value, list | tuple):
        return [to_json(member) for member in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    message = f"{type(value).__name__} has no JSON form"
    raise TypeError(message)


def from_json(cls: type[_T], document: Mapping[str, Json]) -> _T:
    """Build a value of `cls` from a document that the schema has accepted."""
    hints = _hints(cast("Hashable", cls))
    members = {
        name: _decode(hints[name], member) for name, member in document.items() if name in hints
    }
    return cls(**members)


@cache
def _hints(cls: Any) -> dict[str, Any]:
    declared = {f.name for f in dataclasses.fields(cls)}
    return {name: hint for name, hint in get_type_hints(cls).items() if name in declared}


def _decode(hint: Any, value: Any) -> Any:
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        inner = next(arg for arg in get_args(hint) if arg is not types.NoneType)
        return None if value is None else _decode(inner, value)
    if origin is tuple:
        return tuple(_decode(get_args(hint)[0], member) for member in value)
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return from_json(hint, value)
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return hint(value)
    if hint is float:
        return float(value)
    return value
