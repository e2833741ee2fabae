# SPDX-License-Identifier: Apache-2.0
"""The address of a server: what is taken, what is refused, and what is never shown."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kryonix_cache.reference_impl.connection import Endpoint
from kryonix_cache.reference_impl.errors import UrlInvalidError

SECRET = "s3cr:t/p@ss"
VISIBLE = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), min_size=1, max_size=12)


@pytest.mark.parametrize(
    ("url", "address", "database"),
    [
        ("redis://cache", "redis://cache:6379", 0),
        ("redis://cache/", "redis://cache:6379", 0),
        ("redis://cache:7000/5", "redis://cache:7000", 5),
        ("rediss://ana@cache:7000/15", "rediss://ana@cache:7000", 15),
        ("redis://[::1]:7000/1", "redis://[::1]:7000", 1),
        ("redis://:pw@10.0.0.1", "redis://10.0.0.1:6379", 0),
        ("unix:///run/redis/s.sock", "unix:///run/redis/s.sock", 0),
        ("unix://ana:pw@/run/s.sock?db=3", "unix://ana@/run/s.sock", 3),
    ],
)
def test_a_well_formed_url_gives_address_and_database(
    url: str, address: str, database: int
) -> None:
    endpoint = Endpoint.parse(url)
    assert (endpoint.address, endpoint.database) == (address, database)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("", "no scheme"),
        ("cache:6379", "no scheme"),
        ("http://cache", "none of redis"),
        ("redis+tls://cache", "none of redis"),
        ("redis://", "no host"),
        ("redis://:6379", "no host"),
        ("redis://ana:pw@:6379", "no host"),
        ("redis://cache:", "port"),
        ("redis://cache:0", "port"),
        ("redis://cache:65536", "port"),
        ("redis://cache:port", "port"),
        ("redis://cache:-1", "port"),
        ("redis://::1:6379", "port"),
        ("redis://[::1", "host is malformed"),
        ("redis://[nonsense]:6379", "host is malformed"),
        ("redis://cache/16", "database"),
        ("redis://cache/-1", "database"),
        ("redis://cache/1_0", "database"),
        ("redis://cache/\u0663", "database"),
        ("redis://cache/0/1", "database"),
        ("redis://cache/zero", "database"),
        ("redis://cache?db=1", "parameters"),
        ("redis://cache/1?", "parameters"),
        ("redis://cache/1?timeout=5", "parameters"),
        ("redis://:pw#x@cache", "'#'"),
        ("redis://ca che", "space"),
        ("redis://cache\n", "control"),
        ("redis://%ff@cache", "user name"),
        ("unix://run/redis.sock", "three slashes"),
        ("unix://", "socket path"),
        ("unix:///run/s.sock?db=16", "database"),
        ("unix:///run/s.sock?db=1&db=2", "only parameter"),
        ("unix:///run/s.sock?timeout=1", "only parameter"),
        ("unix:///run/s.sock?x", "malformed"),
    ],
)
def test_a_malformed_url_is_refused_with_its_reason(url: str, reason: str) -> None:
    with pytest.raises(UrlInvalidError, match=reason):
        Endpoint.parse(url)


@given(name=VISIBLE, password=VISIBLE)
def test_user_name_and_password_survive_percent_encoding(name: str, password: str) -> None:
    url = f"redis://{quote(name, safe='')}:{quote(password, safe='')}@cache:1/2"
    endpoint = Endpoint.parse(url)
    assert (endpoint.username, endpoint.password) == (name, password)


def test_the_password_is_in_no_text_form_of_the_endpoint() -> None:
    endpoint = Endpoint.parse(f"redis://ana:{quote(SECRET, safe='')}@cache/3")
    shown = f"{endpoint} {endpoint!r} {endpoint.address} {endpoint.host_and_port}"
    assert endpoint.password == SECRET
    assert all(secret not in shown for secret in endpoint.secrets)
    assert endpoint.secrets == (SECRET, quote(SECRET, safe=""))


@pytest.mark.parametrize("rest", ["cache:99999", "cache/99", "", "cache?x=1", "cache#", "[::1"])
def test_the_password_is_not_in_the_error_of_a_malformed_url(rest: str) -> None:
    with pytest.raises(UrlInvalidError) as caught:
        Endpoint.parse(f"redis://ana:hunter2@{rest}")
    assert "hunter2" not in str(caught.value)
    # A chained exception would show the URL in a traceback.
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_what_stands_in_the_url_wins_over_what_is_given_beside_it() -> None:
    beside = Endpoint.parse("redis://cache", username="ana", password="pw")
    inside = Endpoint.parse("redis://bob:own@cache", username="ana", password="pw")
    assert (beside.username, beside.password) == ("ana", "pw")
    assert (inside.username, inside.password) == ("bob", "own")


def test_tls_files_need_the_scheme_that_uses_them() -> None:
    with pytest.raises(UrlInvalidError, match="rediss"):
        Endpoint.parse("redis://cache", ca_file=Path("ca.pem"))
    with pytest.raises(UrlInvalidError, match="certificate file"):
        Endpoint.parse("rediss://cache", key_file=Path("key.pem"))
