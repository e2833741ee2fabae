# SPDX-License-Identifier: Apache-2.0
"""
Isolation of tenants, first part: nobody sees, lists, changes or deletes what is another's.

What the handles answer is held against a model; what lies on the server is read on a second
connection that the system under test does not know of.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kryonix_cache.conformance.evidence import Evidence, answer_of
from kryonix_cache.conformance.model.programs import (
    ITEMS,
    SESSIONS,
    SETTINGS,
    TENANT_NAMES,
    Kind,
    Step,
    everything,
    programs,
)
from kryonix_cache.reference_impl.errors import InvalidTenantIdError, KeyPartError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kryonix_cache.conformance.datasets import Place
    from kryonix_cache.conformance.model.stage import IsolationStage
    from kryonix_cache.fixtures.capabilities import TenantHandle
    from kryonix_cache.reference_impl.contract import Contract

_WRITES: tuple[Kind, ...] = ("put", "start")
_EVERYBODY_WRITES = [
    Step(tenant, kind, 0, value) for value, tenant in enumerate(TENANT_NAMES) for kind in _WRITES
]


@pytest.mark.requirement("isolation.read")
def test_no_tenant_reads_what_another_wrote(stage: IsolationStage, evidence: Evidence) -> None:
    """Each tenant's reads give what that tenant wrote, whatever the others wrote."""

    @SETTINGS
    @given(programs("put", "start"))
    @example(_EVERYBODY_WRITES)
    @example(_EVERYBODY_WRITES[::-1])
    def hold(program: list[Step]) -> None:
        tenants = stage.play(program)
        for name, handle in tenants.handles.items():
            for item in ITEMS:
                wanted = tenants.answers[name].get(item)
                evidence.saw("foreign_attempts", wanted is None)
                data = answer_of(f"{name}.get", handle.get, *item)
                stage.compare(
                    f"{name}.get{item}", data, None if wanted is None else {"n": wanted}, program
                )
            for session in SESSIONS:
                value = tenants.sessions[name].get(session)
                evidence.saw("foreign_attempts", value is None)
                fields = answer_of(f"{name}.read_session", handle.read_session, session)
                wanted_user = None if value is None else f"user_{value}"
                stage.compare(
                    f"{name}.read_session({session!r})['user_id']",
                    fields.get("user_id"),
                    wanted_user,
                    program,
                )
        evidence.settle()

    hold()


@pytest.mark.requirement("isolation.list")
def test_no_tenant_lists_what_another_wrote(stage: IsolationStage, evidence: Evidence) -> None:
    """Each tenant's lists hold exactly what that tenant wrote."""

    @stage.listing_settings
    @given(programs("put", "start"))
    @example(_EVERYBODY_WRITES)
    @example(_EVERYBODY_WRITES[::-1])
    def hold(program: list[Step]) -> None:
        tenants = stage.play(program)
        for name, handle in tenants.handles.items():
            evidence.saw(
                "foreign_attempts", any(tenants.answers[o] for o in TENANT_NAMES if o != name)
            )
            stage.compare(
                f"{name}.list()",
                sorted(answer_of(f"{name}.list", handle.list)),
                sorted(tenants.answers[name]),
                program,
            )
            stage.compare(
                f"{name}.list_sessions()",
                sorted(answer_of(f"{name}.list_sessions", handle.list_sessions)),
                sorted(tenants.sessions[name]),
                program,
            )
        evidence.settle()

    hold()


@pytest.mark.requirement("isolation.write")
def test_no_tenant_changes_what_another_wrote(stage: IsolationStage, evidence: Evidence) -> None:
    """On the server, each tenant's keys hold what that tenant wrote last."""

    @SETTINGS
    @given(programs("put", "start"))
    @example(_EVERYBODY_WRITES)
    @example(_EVERYBODY_WRITES[::-1])
    def hold(program: list[Step]) -> None:
        tenants = stage.play(program)
        for name in TENANT_NAMES:
            others = any(step.tenant != name for step in program)
            for (module, endpoint), value in tenants.answers[name].items():
                evidence.saw("foreign_attempts", others)
                text = stage.cached_answer(name, module, endpoint)
                stage.compare(
                    f"the key of {name}'s answer {module}/{endpoint}",
                    None if text is None else json.loads(text)["data"],
                    {"n": value},
                    program,
                )
            for session, value in tenants.sessions[name].items():
                evidence.saw("foreign_attempts", others)
                stage.compare(
                    f"the key of {name}'s session {session}",
                    stage.session_user(name, session),
                    f"user_{value}".encode(),
                    program,
                )
        evidence.settle()

    hold()


@pytest.mark.requirement("isolation.delete")
def test_no_tenant_deletes_what_another_wrote(stage: IsolationStage, evidence: Evidence) -> None:
    """On the server, a key is there exactly as long as its own tenant has not deleted it."""

    @SETTINGS
    @given(programs("delete", "end"))
    @example([Step("a", "delete", 0, 0), Step("a", "end", 0, 0)])
    def hold(deletions: list[Step]) -> None:
        tenants = stage.play([*everything(), *deletions])
        for name in TENANT_NAMES:
            evidence.saw("foreign_attempts", any(step.tenant != name for step in deletions))
            for module, endpoint in ITEMS:
                stage.compare(
                    f"there is {name}'s answer {module}/{endpoint}",
                    stage.cached_answer(name, module, endpoint) is not None,
                    (module, endpoint) in tenants.answers[name],
                    deletions,
                )
            for session in SESSIONS:
                stage.compare(
                    f"there is {name}'s session {session}",
                    stage.session_user(name, session) is not None,
                    session in tenants.sessions[name],
                    deletions,
                )
        evidence.settle()

    hold()


@pytest.mark.requirement("isolation.own-namespace")
def test_a_handle_touches_only_its_tenants_keys(
    stage: IsolationStage, baseline: Mapping[Place, str], evidence: Evidence
) -> None:
    """Every key that appears or changes while one tenant works belongs to that tenant.

    This is played on a server that nobody else uses, where every key can be looked at, and
    held against what lay there before the system first worked: what it always writes, whatever
    it is asked, would otherwise be there already when the first example begins.
    """
    others = [step for step in everything() if step.tenant != "a"]

    @SETTINGS
    @given(programs("put", "delete", "start", "end"))
    @example([Step("a", kind, 0, 0) for kind in ("put", "start", "delete", "end")])
    def hold(program: list[Step]) -> None:
        # What an earlier example left would hide that this one writes it as well.
        stage.clear_all()
        tenants = stage.play(others)
        own = [Step("a", step.kind, step.item, step.value) for step in program]
        before = stage.state()
        tenants.run(own)
        _look_at_everything(tenants.handles["a"])
        after = stage.state()
        evidence.saw("keys", len(after))
        changed = {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}
        # Whoever wrote it: a key of nobody in the run was made or changed by the system.
        changed |= {
            key
            for key, digest in after.items()
            if not stage.owns(key) and baseline.get(key) != digest
        }
        for database, key in sorted(changed):
            parsed = stage.contract.parse(database, key)
            stage.compare(
                f"the tenant of the key {key.decode(errors='backslashreplace')!a} of "
                f"database {database}, which changed",
                None if parsed is None else parsed.tenant,
                stage.tenant_id("a"),
                own,
            )
        evidence.settle()

    hold()


@pytest.mark.requirement("isolation.key-builder")
def test_keys_are_built_and_parsed_exactly(contract: Contract, evidence: Evidence) -> None:
    """Different parts make different keys, a key gives its parts back, separators are refused."""
    families = contract.tenant_families
    tenant_ids = st.from_regex(contract.tenant.pattern, fullmatch=True)
    built: dict[tuple[int, bytes], tuple[str, tuple[tuple[str, str], ...]]] = {}

    @SETTINGS
    @given(st.data())
    def hold(data: st.DataObject) -> None:
        evidence.start_over()
        for family in families:
            parts = {
                name: data.draw(
                    tenant_ids
                    if name == "tenant"
                    else st.from_regex(contract.parts[name], fullmatch=True)
                )
                for name in family.parts
            }
            key = contract.key(family.name, **parts)
            evidence.saw("keys")
            parsed = contract.parse(family.databases[0], key)
            if parsed is None or dict(parsed.parts) != parts or parsed.family is not family:
                evidence.found(f"family {family.name}", found=parsed, wanted=parts)
            same = built.setdefault(
                (family.databases[0], key), (family.name, tuple(sorted(parts.items())))
            )
            if same != (family.name, tuple(sorted(parts.items()))):
                evidence.found(f"key {key!r}", found=f"{same} and {parts}", wanted="one origin")
            _refuse_separators(contract, family.name, parts, evidence)
        evidence.settle()

    hold()


def _look_at_everything(handle: TenantHandle) -> None:
    for item in ITEMS:
        answer_of("a.get", handle.get, *item)
    for session in SESSIONS:
        answer_of("a.read_session", handle.read_session, session)
    answer_of("a.list", handle.list)
    answer_of("a.list_sessions", handle.list_sessions)


def _refuse_separators(
    contract: Contract, family: str, parts: dict[str, str], evidence: Evidence
) -> None:
    for name, value in parts.items():
        for hostile in (f"{value}:x", f":{value}", f"{value}\n", "", "*"):
            try:
                key = contract.key(family, **{**parts, name: hostile})
            except (KeyPartError, InvalidTenantIdError):
                continue
            evidence.found(f"family {family}, part {name}", found=key, wanted="a refusal")
