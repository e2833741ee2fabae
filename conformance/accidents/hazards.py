# SPDX-License-Identifier: Apache-2.0
"""Hazards of a client that blocks: reconnects, forks, crowds, spoiled calls, memories."""

from __future__ import annotations

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, cast

from kryonix_cache.conformance.accidents.blows import Blow
from kryonix_cache.conformance.accidents.callers import Call
from kryonix_cache.conformance.accidents.cells import (
    MODULE,
    NAMES,
    TTL_SECONDS,
    fields_with,
)
from kryonix_cache.conformance.accidents.crowds import Crowd
from kryonix_cache.conformance.accidents.decoys import planted
from kryonix_cache.conformance.accidents.forks import Child
from kryonix_cache.conformance.accidents.standstill import (
    Look,
    look_at_process,
    look_at_threads,
    standing,
)
from kryonix_cache.reference_impl.tenant import families

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from kryonix_cache.conformance.accidents.blocking import BlockingAccidents
    from kryonix_cache.conformance.accidents.scene import Scene
    from kryonix_cache.fixtures.capabilities import TenantHandle

_ROUNDS = 20
_CHILD_SECONDS = 30.0
_MOST_MEETINGS = 30
_LEAST_MEETINGS = 5
_MEETING_SECONDS = 0.2
_SPOILED = "spoiled"


def reconnect(accidents: BlockingAccidents, times: int) -> None:
    """Close all connections from the server's side again and again, and look each time.

    Under the same names lie decoys in other databases: whoever comes back to the wrong one
    finds them, or writes over them.
    """
    accidents.begin()
    scene = accidents.scene
    with planted(scene.raw, scene.run, accidents.caller.cells) as decoys:
        for number in range(times):
            if number % 2:
                accidents.witness.story.append("a connection broke in a write")
                accidents.cut(Call(number, "write"), Blow("cut"))
            else:
                accidents.witness.story.append("the server closed all connections")
                scene.proxy.cut()
            accidents.caller.renew(accidents.caller.cells[number % len(NAMES) :: len(NAMES)])
            accidents.caller.check()
            accidents.witness.evidence.saw("reconnects")
        for where, found, wanted in decoys.changed():
            accidents.witness.found(where, found, wanted)


def crowd(accidents: BlockingAccidents, callers: int, *, until_errors: bool) -> bool:
    """Let more callers ask than there are connections, while no reply comes, and then again.

    Every one of them must get the reply to its own call, or an error. Who shares a connection
    may get the right reply by luck, and then it leaves those of others for its next call.
    Returns whether callers were waiting when the replies came, or had given up if they were to.
    """
    accidents.begin()
    accidents.caller.check()
    scene, cells = accidents.scene, accidents.caller.cells
    accidents.witness.story.append(f"{callers} callers asked at once")
    before = scene.proxy.counters().replies
    scene.proxy.freeze("replies")
    crowd = Crowd(accidents.caller, [cells[n % len(cells)] for n in range(callers)])
    with crowd.asking():
        came = scene.reach("replies", before + 1, lambda: not crowd.waiting())
        if until_errors:
            crowd.wait(accidents.stubborn)
            landed = came
        else:
            landed = came and crowd.gathered(lambda: scene.proxy.counters().requests)
        scene.proxy.let_pass()
    if landed:
        accidents.witness.evidence.saw("impatient_crowds" if until_errors else "crowds")
    accidents.caller.check()
    return landed


def fork(accidents: BlockingAccidents) -> bool:
    """Fork after use; parent and child then work at the same time.

    Replies are held back until both wait for one. Returns whether that happened.
    """
    accidents.begin()
    witness, cells = accidents.witness, accidents.caller.cells
    accidents.caller.check()
    tags = {cell.slug: witness.ledger.fresh(cell.slug) for cell in cells[:: len(NAMES) + 1]}
    for slug, tag in tags.items():
        witness.ledger.doubt(slug, tag)
    with Child(lambda: _work_in_child(accidents, tags)) as child:
        witness.story.append("the process forked")
        with _held_up(accidents.scene, child) as meetings:
            for _ in range(_ROUNDS):
                for cell in cells:
                    accidents.caller.glance(cell)
        said = child.result(_CHILD_SECONDS)
    witness.story.append("in the child")
    if said is None:
        witness.found("a child that reads", "nothing", "an answer or an error of each call")
    else:
        _judge_child(accidents, cast("Mapping[str, list[list[str | None]]]", said))
    witness.story.pop()
    if len(meetings) >= _LEAST_MEETINGS:
        witness.evidence.saw("forks")
    accidents.caller.check()
    return len(meetings) >= _LEAST_MEETINGS


@contextmanager
def _held_up(scene: Scene, child: Child) -> Iterator[list[int]]:
    """Start the child, and hold replies back again and again until it and the main thread wait.

    Gives a list that grows with each time that they did.
    """
    meetings: list[int] = []
    ended = threading.Event()
    main = threading.current_thread()
    lost = _held(scene)

    def look() -> Look | None:
        threads, process = look_at_threads([main]), look_at_process(child.pid)
        # Somebody's reply is held back, and nothing comes any more.
        if threads is None or process is None or _held(scene) == lost:
            return None
        return threads, scene.proxy.counters()

    def hold_up() -> None:
        scene.proxy.freeze("replies")
        child.start()
        for number in range(_MOST_MEETINGS):
            met = standing(look, ended.is_set, seconds=_MEETING_SECONDS)
            scene.proxy.let_pass()
            if met:
                meetings.append(number)
            elif ended.is_set() or len(meetings) >= _LEAST_MEETINGS:
                break
            scene.proxy.freeze("replies")
        scene.proxy.let_pass()

    with ThreadPoolExecutor(1) as threads:
        holding = threads.submit(hold_up)
        try:
            yield meetings
        finally:
            ended.set()
        holding.result()


def _held(scene: Scene) -> int:
    """Return how many bytes of replies have come and not passed, those lost in cuts included."""
    counters = scene.proxy.counters()
    return counters.replies - counters.replies_passed


def _work_in_child(accidents: BlockingAccidents, tags: Mapping[str, str]) -> object:
    found: Counter[tuple[str, str | None]] = Counter()
    errors: Counter[tuple[str, str]] = Counter()
    for number in range(_ROUNDS):
        # Not in the parent's order: two that read the same cell have the same reply.
        for cell in reversed(accidents.caller.cells):
            try:
                if number == _ROUNDS // 2 and cell.slug in tags:
                    cell.write(tags[cell.slug])
                found[cell.slug, cell.read()] += 1
            except BaseException as error:  # noqa: BLE001 (nothing may leave the child)
                if not accidents.witness.excuses(error):
                    errors[cell.slug, f"{type(error).__name__}: {error}"] += 1
    return {"found": list(found), "errors": list(errors)}


def _judge_child(
    accidents: BlockingAccidents, said: Mapping[str, Sequence[Sequence[str | None]]]
) -> None:
    by_slug = {cell.slug: cell for cell in accidents.caller.cells}
    for slug, tag in said["found"]:
        cell = by_slug[str(slug)]
        accidents.witness.glance(cell.slug, cell.reading, tag)
    for slug, error in said["errors"]:
        accidents.witness.found(by_slug[str(slug)].reading, error, "an answer")
    if not said["found"]:
        accidents.witness.found("a child that reads", "errors only", "answers")


class Torn(dict[str, str]):
    """Fields that break off in the middle."""

    def __iter__(self) -> Iterator[str]:
        yield "user_id"
        raise RuntimeError("the fields break off")

    def items(self) -> Iterator[tuple[str, str]]:  # type: ignore[override]
        """Yield one field and raise."""
        yield "user_id", "torn"
        raise RuntimeError("the fields break off")

    def keys(self) -> Iterator[str]:  # type: ignore[override]
        """Yield one name and raise."""
        return iter(self)


def spoil(accidents: BlockingAccidents) -> None:
    """Make calls that must fail, some in the middle of what they send; the next ones must not."""
    accidents.begin()
    for name in NAMES:
        handle = accidents.store.open(accidents.scene.run.id(name))
        for told, call in _spoiled(accidents, name, handle).items():
            accidents.witness.story.append(f"{name}.{told} failed")
            try:
                call()
            except KeyboardInterrupt:
                raise
            except BaseException:  # noqa: BLE001 (it may fail as it likes)
                accidents.witness.evidence.saw("spoiled_calls")
            accidents.caller.check()


def _spoiled(
    accidents: BlockingAccidents, name: str, handle: TenantHandle
) -> dict[str, Callable[[], object]]:
    run, raw = accidents.scene.run, accidents.scene.raw
    nonsense = cast("str", object())
    fields = fields_with("torn")
    contract, tenant = run.contract, run.id(name)
    key = contract.key(families.SESSIONS, tenant=tenant, session=_SPOILED)
    raw[contract.family(families.SESSIONS).databases[0]].set(key, "no hash", ex=TTL_SECONDS)
    return {
        "put() of what is no JSON": lambda: handle.put(
            MODULE, _SPOILED, {"tag": object()}, ttl=TTL_SECONDS
        ),
        "put() with a lifetime below zero": lambda: handle.put(
            MODULE, _SPOILED, {"tag": 1}, ttl=-1
        ),
        "read_session() of a key that is no hash": lambda: handle.read_session(_SPOILED),
        "start_session() with fields that break off": lambda: handle.start_session(
            _SPOILED, Torn(fields)
        ),
        "start_session() with a field that is no text": lambda: handle.start_session(
            _SPOILED, {**fields, "user_id": nonsense}
        ),
    }


def remember(accidents: BlockingAccidents) -> None:
    """Read everything twice, take some away and read again: a memory must keep tenants apart."""
    accidents.begin()
    caller = accidents.caller
    caller.check()
    caller.check()
    for number in range(len(caller.cells)):
        call = Call(number, "remove" if number % 3 else "write")
        accidents.witness.story.append(caller.told(call))
        accidents.let_be(call)
        caller.check()
        accidents.witness.evidence.saw("changes")
