# SPDX-License-Identifier: Apache-2.0
"""A grant names one server and one database to the letter, or it grants nothing."""

from __future__ import annotations

import pytest

from kryonix_cache.fixtures.errors import GrantInvalidError, GrantMismatchError
from kryonix_cache.fixtures.grants import Grant, granted
from kryonix_cache.fixtures.powers import Power
from kryonix_cache.reference_impl.endpoint import Endpoint


@pytest.mark.parametrize(
    ("text", "power", "place", "database"),
    [
        ("own=cache:6379/0", Power.OWN, "cache:6379", 0),
        ("whole=10.0.0.1:7000/15", Power.WHOLE, "10.0.0.1:7000", 15),
        ("config=[::1]:7000/3", Power.CONFIG, "[::1]:7000", 3),
        ("destroy=/run/redis.sock/2", Power.DESTROY, "/run/redis.sock", 2),
    ],
)
def test_a_grant_names_power_server_and_database(
    text: str, power: Power, place: str, database: int
) -> None:
    grant = Grant.parse(text)
    assert (grant.power, grant.place, grant.database) == (power, place, database)
    assert str(grant) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "config",
        "=cache:6379/0",
        "config=",
        "everything=cache:6379/0",
        "observe=cache:6379/0",
        "CONFIG=cache:6379/0",
        "config=cache",
        "config=cache/0",
        "config=cache:6379",
        "config=cache:6379/",
        "config=cache:6379/16",
        "config=cache:6379/x",
        "config=:6379/0",
        "config=cache:0/0",
        "config=ana:pw@cache:6379/0",
        "config=redis://cache:6379/0",
        "config=cache:6379/0 ",
        "config=cache:6379/0,/1",
    ],
)
def test_a_grant_with_a_part_missing_or_wrong_is_refused(text: str) -> None:
    with pytest.raises(GrantInvalidError):
        Grant.parse(text)


def test_a_star_is_the_name_of_a_host_and_matches_no_other() -> None:
    with pytest.raises(GrantMismatchError):
        granted([Grant.parse("config=*:6379/0")], Endpoint.parse("redis://cache:6379/0"))


def test_the_granted_powers_are_those_of_the_target() -> None:
    grants = [Grant.parse("config=cache:6379/0"), Grant.parse("own=cache:6379/0")]
    assert granted(grants, Endpoint.parse("redis://cache")) == {Power.CONFIG, Power.OWN}
    assert granted([], Endpoint.parse("redis://cache")) == frozenset()


@pytest.mark.parametrize(
    "url",
    [
        "redis://other",
        "redis://cache:6380",
        "redis://cache/1",
        "redis://127.0.0.1",
        "redis://cache.x",
    ],
)
def test_a_grant_for_another_server_or_database_grants_nothing(url: str) -> None:
    with pytest.raises(GrantMismatchError, match="cache:6379/0"):
        granted([Grant.parse("config=cache:6379/0")], Endpoint.parse(url))


def test_one_grant_that_does_not_fit_spoils_all() -> None:
    grants = [Grant.parse("config=cache:6379/0"), Grant.parse("config=other:6379/0")]
    with pytest.raises(GrantMismatchError):
        granted(grants, Endpoint.parse("redis://cache"))
