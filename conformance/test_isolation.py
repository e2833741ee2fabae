# SPDX-License-Identifier: Apache-2.0
"""
Isolation of tenants, first part: nobody sees, lists, changes or deletes what is another's.

Any sequence of calls by tenants that look alike is held against one dict for each tenant. What
the handles answer is one side of it; the other is what lies on the server, read on a second
connection that the system under test does not know of.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kryonix_cache.conformance.model.machine import (
    DELETE,
    LIST,
    READ,
    WRITE,
    Lens,
    calls,
    play_machine,
)
from kryonix_cache.conformance.model.operations import Call
from kryonix_cache.conformance.model.programs import SETTINGS, TENANT_NAMES, extent
from kryonix_cache.conformance.model.stages import BENCH, EXPIRING, LASTING
from kryonix_cache.conformance.model.steps import Single
from kryonix_cache.conformance.outcomes import NotOffered
from kryonix_cache.reference_impl.errors import InvalidTenantIdError, KeyPartError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kryonix_cache.conformance.datasets import Place
    from kryonix_cache.conformance.evidence import Evidence
    from kryonix_cache.conformance.model.stage import IsolationStage
    from kryonix_cache.conformance.model.stages import Stages
    from kryonix_cache.reference_impl.contract import Contract

LISTS_ON_LIVE = 2
"""How many examples with lists are played on a live server, where millions of keys may lie."""


END_SECONDS = 5.0
"""So much may be between two readings of the moment at which one key expires."""


@pytest.mark.requirement("isolation.read")
def test_no_tenant_reads_what_another_wrote(stages: Stages) -> None:
    """Each tenant's reads give what that tenant wrote, whatever the others do."""
    _hold(stages, READ, examples=20)


@pytest.mark.requirement("isolation.list")
def test_no_tenant_lists_what_another_wrote(stages: Stages) -> None:
    """Each tenant's lists hold exactly what that tenant wrote and what has not expired."""
    with stages.on_target() as stage:
        how_much = extent(stages.depth, examples=12, steps=20)
        if not stage.disposable:
            how_much = settings(SETTINGS, max_examples=LISTS_ON_LIVE, stateful_step_count=12)
        play_machine(stage, LIST, stages.origin, how_much)


@pytest.mark.requirement("isolation.write")
def test_no_tenant_changes_what_another_wrote(stages: Stages) -> None:
    """On the server, each tenant's keys hold what that tenant wrote last."""
    _hold(stages, WRITE, examples=12)


@pytest.mark.requirement("isolation.delete")
def test_no_tenant_deletes_what_another_wrote(stages: Stages) -> None:
    """On the server, a key is there until its own tenant deletes it or its time is over."""
    _hold(stages, DELETE, examples=12)


@pytest.mark.requirement("isolation.own-namespace")
def test_a_handle_touches_only_its_tenants_keys(stages: Stages) -> None:
    """Every key that appears or changes while one tenant works belongs to that tenant.

    A change is one of the value or of the time at which the key expires. Channels are judged by
    isolation.pubsub. What a system does after the last call of a program has been answered is
    not seen.

    This is played on a server that nobody else uses, where every key can be looked at, and
    held against what lay there before the system first worked: what it always writes, whatever
    it is asked, would otherwise be there already when the first example begins.
    """
    session = stages.session
    bench = session.bench_server("own-namespace")
    server = bench if session.target.live else session.target
    how_much = extent(stages.depth, examples=12)
    with stages.on(server, EXPIRING) as stage:
        if stage is None:
            raise NotOffered("the system offers no tenant store")
        _touch_only_own_keys(stage, session.baseline(server), how_much)
    with stages.beside(bench, *LASTING, "broadcasts") as stage:
        if stage is not None:
            _touch_only_own_keys(stage, session.baseline(bench), how_much)


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


def _hold(stages: Stages, lens: Lens, *, examples: int) -> None:
    """Play answers and sessions on the target, and records, which never expire, on the bench."""
    with stages.on_target() as stage:
        play_machine(stage, lens, stages.origin, extent(stages.depth, examples=examples, steps=20))
    with stages.beside(stages.session.bench_server(BENCH), "records") as stage:
        if stage is not None:
            play_machine(stage, lens, stages.origin, extent(stages.depth, examples=4, steps=20))


def _touch_only_own_keys(
    stage: IsolationStage, baseline: Mapping[Place, str], how_much: settings
) -> None:
    writes = [each for each in stage.operations if each.aspect == "write" and each.entries]
    others = [
        Single(Call(name, operation, index))
        for name in TENANT_NAMES[1:]
        for operation in writes
        for index in range(len(operation.entries))
    ]
    each_once = [
        Call("a", operation, number=number) for number in (0, 1) for operation in stage.operations
    ]

    @how_much
    @given(st.lists(calls(stage.operations, ("a",)), min_size=1, max_size=12))
    @example(each_once)
    def hold(program: list[Call]) -> None:
        # What an earlier example left would hide that this one writes it as well.
        stage.clear_all()
        play = stage.begin()
        for step in others:
            play.take(step)
        before = stage.state()
        ends = stage.ends(before)
        own = [Single(call) for call in program]
        looks = [Single(Call("a", each)) for each in stage.operations if each.aspect != "write"]
        for step in own + looks:
            play.take(step)
        after = stage.state()
        stage.evidence.saw("keys", len(after))
        _keep_ends(stage, ends, stage.ends(before.keys() & after.keys()), own)
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
        stage.evidence.settle()

    hold()


def _keep_ends(
    stage: IsolationStage,
    before: Mapping[Place, float | None],
    after: Mapping[Place, float | None],
    steps: Sequence[Single],
) -> None:
    """Judge that the keys of others expire when they would have expired."""
    for (database, key), end in after.items():
        parsed = stage.contract.parse(database, key)
        was = before[database, key]
        if parsed is not None and parsed.tenant == stage.tenant_id("a"):
            continue
        if end is not None and was is not None and abs(end - was) < END_SECONDS:
            continue
        now = time.time()
        stage.compare(
            f"when the key {key.decode(errors='backslashreplace')!a} of database {database}, "
            "which is not the tenant's, expires",
            "never" if end is None else f"in {end - now:.0f} s",
            "never" if was is None else f"in {was - now:.0f} s",
            steps,
        )


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
