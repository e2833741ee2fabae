# SPDX-License-Identifier: Apache-2.0
"""Made-up but realistic run records, built through the real writer."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from kryonix_cache.reports.lines import (
    BenchStamp,
    Check,
    ChecklistItem,
    ContractStamp,
    Footprint,
    Header,
    Outcome,
    Platform,
    Registry,
    Requirement,
    Suite,
    TargetStamp,
    Waiver,
)
from kryonix_cache.reports.record import RECORD_NAME, Record, RecordWriter
from kryonix_cache.reports.redaction import Redactor

STARTED = "2026-11-20T09:30:00+00:00"
FINISHED = "2026-11-20T09:30:41+00:00"


QUIET_FOOTPRINT = Footprint(
    commands=18_204,
    foreign_keys_written=0,
    keys_created=312,
    keys_removed=312,
    keys_left=0,
    values_read=640,
    digest="equal",
)
"""What a run reports that left no trace."""


def requirement(
    identifier: str,
    statement: str = "",
    *,
    level: str = "MUST",
    gate: Iterable[str] = ("MUST",),
    in_scope: bool = True,
    errata: tuple[str, ...] = (),
    witness: Mapping[str, int] | None = None,
) -> Requirement:
    """Return a registry entry; area and gating follow from id and level."""
    return Requirement(
        id=identifier,
        area=identifier.partition(".")[0],
        level=level,
        gating=level in set(gate),
        in_scope=in_scope,
        power="observe",
        subject="server",
        statement=statement or f"what {identifier} asks for",
        source="Configuration",
        errata=errata,
        witness={"commands": 1} if witness is None else witness,
    )


def check(identifier: str, outcome: str = "pass", reason: str = "", **more: object) -> Check:
    """Return a check that sent two commands."""
    filled = Check(
        requirement=identifier,
        test=f"test_{identifier.partition('.')[0]}.py::test_{identifier.partition('.')[2]}",
        outcome=Outcome(outcome),
        reason=reason,
        seconds=0.25,
        operations=2,
        reproduce=f"kryonix-cache conformance --select {identifier}",
    )
    changed = replace(filled, **more)
    return replace(changed, evidence_total=max(changed.evidence_total, len(changed.evidence)))


@dataclass(frozen=True, kw_only=True)
class Run:
    """What a record is built from."""

    requirements: Sequence[Requirement] = (requirement("server.ping"),)
    checks: Sequence[Check] = ()
    waivers: tuple[Waiver, ...] = ()
    accept: tuple[str, ...] = ()
    gate: tuple[str, ...] = ("MUST",)
    selection: tuple[str, ...] = ()
    checklist: tuple[ChecklistItem, ...] = ()
    footprint: Footprint | None = QUIET_FOOTPRINT
    secrets: tuple[str, ...] = ()
    run: str = "20261120-093000-7f3a"
    address: str = "redis://cache.staging.example:6379"
    started: str = STARTED

    def header(self) -> Header:
        """Return the header line."""
        return Header(
            suite=Suite(name="kryonix-cache-conformance", version="0.1.0"),
            run=self.run,
            command="conformance",
            started=self.started,
            profile="production",
            gate=self.gate,
            seed=20261120,
            accept=self.accept,
            selection=self.selection,
            contract=ContractStamp(
                name="kryonix", version="2.0", sha256=hashlib.sha256(b"contract").hexdigest()
            ),
            registry=Registry(
                sha256=hashlib.sha256(b"registry").hexdigest(),
                requirements=tuple(self.requirements),
            ),
            checklist=self.checklist,
            target=TargetStamp(
                kind="url",
                address=self.address,
                live=True,
                product="Redis",
                version="7.0.15",
                databases=16,
                capabilities=("acl", "config-file", "functions", "listpack"),
            ),
            bench=BenchStamp(kind="embedded", product="Valkey", version="9.1.2"),
            system="kryonix_cache.reference_impl.system:reference",
            platform=Platform(python="3.11.7", machine="x86_64"),
            waivers=self.waivers,
        )

    def write(self, folder: Path) -> Path:
        """Write the record into `folder` and return its path."""
        path = folder / RECORD_NAME
        with RecordWriter(path, Redactor(self.secrets)) as writer:
            writer.header(self.header())
            for line in self.checks:
                writer.check(line)
            writer.finish(finished=FINISHED, seconds=41.2, footprint=self.footprint)
        return path

    def record(self, folder: Path) -> Record:
        """Write the record and return it as the writer gives it back."""
        with RecordWriter(folder / RECORD_NAME, Redactor(self.secrets)) as writer:
            writer.header(self.header())
            for line in self.checks:
                writer.check(line)
            return writer.finish(finished=FINISHED, seconds=41.2, footprint=self.footprint)


def waiver(identifier: str, **more: str) -> Waiver:
    """Return a waiver that outlives the run."""
    filled = Waiver(
        requirement=identifier,
        reason="the maintenance window is in December",
        owner="platform team",
        expires="2026-12-31",
    )
    return replace(filled, **more)
