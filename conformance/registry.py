# SPDX-License-Identifier: Apache-2.0
"""The requirement registry: what the suite judges, as data, and what is in scope of a run."""

from __future__ import annotations

import difflib
import hashlib
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Literal, get_args

from kryonix_cache.conformance.errors import RegistryError, UnknownRequirementError
from kryonix_cache.reports.lines import ChecklistItem
from kryonix_cache.reports.lines import Registry as RegistryStamp
from kryonix_cache.reports.lines import Requirement as RequirementStamp

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from kryonix_cache.reference_impl.contract import Profile

Level = Literal["MUST", "SHOULD", "HAZARD"]
Power = Literal["observe", "own", "whole", "config", "destroy"]
Subject = Literal["server", "data", "system"]


@dataclass(frozen=True, slots=True)
class Requirement:
    """One requirement: its id is selector, report name, waiver key and anchor."""

    id: str
    level: Level
    must_in: tuple[str, ...]
    power: Power
    subject: Subject
    statement: str
    source: str
    errata: tuple[str, ...]
    witness: Mapping[str, int]

    @property
    def area(self) -> str:
        """The part of the id before the dot."""
        return self.id.partition(".")[0]

    def level_in(self, profile: str) -> Level:
        """Return the level that holds in `profile`."""
        return "MUST" if profile in self.must_in else self.level


@dataclass(frozen=True, slots=True)
class Registry:
    """Every requirement by id, in the order of the file, and the specification's checklist."""

    requirements: Mapping[str, Requirement]
    checklist: tuple[ChecklistItem, ...]
    sha256: str

    def __getitem__(self, requirement: str) -> Requirement:
        """Return one requirement; raise UnknownRequirementError with the nearest ids."""
        try:
            return self.requirements[requirement]
        except KeyError:
            near = difflib.get_close_matches(requirement, self.requirements, n=3)
            hint = f"did you mean {' or '.join(near)}" if near else "`--list` shows them all"
            raise UnknownRequirementError(
                f"There is no requirement {requirement!r}: {hint}."
            ) from None

    def select(self, patterns: Iterable[str]) -> tuple[str, ...]:
        """Return the ids that `patterns` name: an id, or an area such as `config`.

        An unknown one raises UnknownRequirementError: a selection that matches nothing would
        otherwise be judged, and pass.
        """
        chosen: list[str] = []
        for pattern in patterns:
            of_area = [r.id for r in self.requirements.values() if r.area == pattern]
            chosen += of_area or [self[pattern].id]
        return tuple(each for each in self.requirements if each in chosen)

    def in_scope(self, profile: Profile, selection: Sequence[str]) -> tuple[str, ...]:
        """Return what a run judges: the selection, or all, less what the profile leaves out."""
        return tuple(
            each
            for each in self.requirements
            if each not in profile.leaves_out and (not selection or each in selection)
        )

    def stamp(self, profile: Profile, scope: Sequence[str], gate: Sequence[str]) -> RegistryStamp:
        """Return the registry as a run record holds it; `gate` are the levels that gate."""
        return RegistryStamp(
            sha256=self.sha256,
            requirements=tuple(
                _stamp(each, profile, gate, in_scope=each.id in scope)
                for each in self.requirements.values()
            ),
        )


def _stamp(
    requirement: Requirement, profile: Profile, gate: Sequence[str], *, in_scope: bool
) -> RequirementStamp:
    level = requirement.level_in(profile.name)
    return RequirementStamp(
        id=requirement.id,
        area=requirement.area,
        level=level,
        gating=level in gate,
        in_scope=in_scope,
        power=requirement.power,
        subject=requirement.subject,
        statement=requirement.statement,
        source=requirement.source,
        errata=requirement.errata,
        witness=dict(requirement.witness),
    )


@cache
def load_registry() -> Registry:
    """Return the registry that the suite ships; raise RegistryError where it breaks a rule."""
    requirements_text = _resource("requirements.toml")
    checklist_text = _resource("checklist.toml")
    requirements = {
        each.id: each
        for area, tables in tomllib.loads(requirements_text).items()
        for name, table in tables.items()
        for each in [_requirement(f"{area}.{name}", table)]
    }
    checklist = tuple(
        ChecklistItem(
            kind=kind,
            number=number,
            statement=item["statement"],
            requirements=tuple(item["requirements"]),
        )
        for kind, items in tomllib.loads(checklist_text).items()
        for number, item in enumerate(items, start=1)
    )
    sha256 = hashlib.sha256((requirements_text + checklist_text).encode()).hexdigest()
    return Registry(requirements, checklist, sha256)


def _resource(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


def _requirement(identity: str, table: Mapping[str, Any]) -> Requirement:
    for name, words in (("level", Level), ("power", Power), ("subject", Subject)):
        if table.get(name) not in get_args(words):
            raise RegistryError(
                f"The requirement {identity} has {name} {table.get(name)!r}: "
                f"give one of {', '.join(get_args(words))}."
            )
    if not table.get("witness"):
        raise RegistryError(
            f"The requirement {identity} names no witness: a pass would mean nothing."
        )
    return Requirement(
        id=identity,
        level=table["level"],
        must_in=tuple(table.get("must_in", ())),
        power=table["power"],
        subject=table["subject"],
        statement=table["statement"],
        source=table["source"],
        errata=tuple(table.get("errata", ())),
        witness=dict(table["witness"]),
    )
