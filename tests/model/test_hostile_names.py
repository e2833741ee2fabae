# SPDX-License-Identifier: Apache-2.0
"""Hostile names are hostile, the reference refuses each, and a watch sees what is done."""

from __future__ import annotations

import itertools
import threading
import unicodedata
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings

from kryonix_cache.conformance.model import hostility
from kryonix_cache.conformance.model.hostility import Watch
from kryonix_cache.fixtures.strategies import (
    HOSTILE_PARTS,
    HostileId,
    hostile_ids,
    known_hostile_ids,
    neighbours,
    no_texts,
    words_as_ids,
)
from kryonix_cache.reference_impl.connection import Pools
from kryonix_cache.reference_impl.contract import default_contract
from kryonix_cache.reference_impl.errors import InvalidTenantIdError, KeyPartError
from kryonix_cache.reference_impl.tenant import TenantCaches
from tests.targets.servers import binary, redis_binary, server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kryonix_cache.fixtures.targets.server import ServerProcess

__all__ = ["binary", "redis_binary", "server"]

CONTRACT = default_contract()
KNOWN = known_hostile_ids(CONTRACT)


@pytest.fixture
def pools(server: ServerProcess) -> Iterator[Pools]:
    with Pools(server.endpoint) as clients:
        yield clients


def test_every_trick_of_the_issue_is_played() -> None:
    texts = {each.text for each in KNOWN}
    assert {"", "*", "acme*", ":acme"} <= texts
    assert all(any(character in text for text in texts) for character in "*?[]\\:{} \n\r\x00")
    folded = {unicodedata.normalize("NFKC", text).lower().strip() for text in texts - {"acme"}}
    assert "acme" in folded
    assert any(len(text) > 63 for text in texts)
    assert any("\u0430" in text for text in texts)
    assert any(unicodedata.normalize("NFC", t) != t for t in texts)
    assert {f"acme:{word}" for word in ("tenant", "system", "channels")} <= texts
    assert {"tenant", "system", "channels"} <= set(words_as_ids(CONTRACT))
    assert {"acme2", "acm", "ac-me"} <= set(neighbours(CONTRACT))


@settings(max_examples=200, deadline=None)
@given(hostile_ids(CONTRACT))
def test_no_drawn_id_is_one_that_the_contract_allows(hostile: HostileId) -> None:
    assert not CONTRACT.tenant.is_valid(hostile.text)


def test_the_reference_refuses_each_id_with_its_own_error(pools: Pools) -> None:
    """The sentence gives the rule, and the name of the character that offends, or the length."""
    caches = TenantCaches(CONTRACT, pools)
    for each in KNOWN:
        with pytest.raises(InvalidTenantIdError) as caught:
            caches.open(each.text)
        sentence = str(caught.value)
        assert CONTRACT.tenant.wanted in sentence
        assert " at position " in sentence or f"({len(each.text)} characters)" in sentence
        assert sentence.isascii()
        assert len(sentence) < 1_000
    for each in no_texts():
        with pytest.raises(InvalidTenantIdError, match="A tenant id is text"):
            caches.open(each.text)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("acme*", "ASTERISK at position 5"),
        ("acme:x", "COLON at position 5"),
        ("\uff41cme", "FULLWIDTH LATIN SMALL LETTER A at position 1"),
        ("\u0430cme", "CYRILLIC SMALL LETTER A at position 1"),
        ("acme\x00", r"character U\+0000 at position 5"),
        ("acme\u200b", "ZERO WIDTH SPACE at position 5"),
        ("ACME", "LATIN CAPITAL LETTER A at position 1"),
        ("-acme", "HYPHEN-MINUS at position 1"),
    ],
)
def test_the_offending_character_is_named(pools: Pools, text: str, name: str) -> None:
    with pytest.raises(InvalidTenantIdError, match=name):
        TenantCaches(CONTRACT, pools).open(text)


@pytest.mark.parametrize("part", HOSTILE_PARTS, ids=ascii)
def test_the_reference_refuses_each_hostile_part(pools: Pools, part: str) -> None:
    acme = TenantCaches(CONTRACT, pools).open("acme")
    for call in (
        lambda: acme.answers.get(part, "users"),
        lambda: acme.answers.get("crm", part),
        lambda: acme.sessions.read(part),
        lambda: acme.queues.length(part),
        lambda: acme.websockets.read(part),
        lambda: acme.broadcasts.publish(part, "x"),
    ):
        with pytest.raises(KeyPartError):
            call()


def test_a_watch_tells_refusals_from_what_only_looks_like_one(
    pools: Pools, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch = Watch(pools, CONTRACT)

    def refuse() -> None:
        raise ValueError("no")

    def stumble() -> None:
        raise AssertionError("no")

    def leave() -> None:
        raise SystemExit(0)

    def ask_first() -> None:
        pools[1].exists("x")
        raise ValueError("no")

    assert watch.reaction(refuse).is_refusal
    assert str(watch.reaction(stumble)) == "AssertionError"
    assert str(watch.reaction(leave)) == "SystemExit"
    assert str(watch.reaction(ask_first)) == "ValueError, after 1 commands were sent"
    assert (
        str(watch.reaction(lambda: pools[1].exists("x"))) == "accepted, after 1 commands were sent"
    )
    tried = (refuse, stumble, leave, ask_first, lambda: None)
    for attempt in tried[1:]:
        assert not watch.refuses_all([refuse, attempt])
    assert watch.refuses_all([refuse, refuse])
    monkeypatch.setattr(hostility, "PATIENCE_SECONDS", 0.05)
    ends = threading.Event()
    try:
        assert str(watch.reaction(ends.wait)) == "no answer within 0.05 s"
        assert not watch.refuses_all([refuse, ends.wait])
    finally:
        ends.set()


def test_all_words_differ() -> None:
    for first, second in itertools.combinations(KNOWN, 2):
        assert (first.text, first.trick) != (second.text, second.trick)
