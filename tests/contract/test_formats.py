# SPDX-License-Identifier: Apache-2.0
"""Field formats: what each reads, what each refuses, and that nothing else comes out of one."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kryonix_cache.reference_impl.contract.formats import FORMATS, host_of, text_of
from kryonix_cache.reference_impl.errors import FormatError

ODD_NUMBERS = ["", "x", "1_000", "1e3", "inf", "nan", "٣", "+1", " 1", "1 ", "0x1", "-", "1\n"]
DEEP = "[" * 100_000
REFUSED: dict[str, list[str]] = {
    "text": ["a" * 65_537],
    "name": ["", "a b", "a:b", "é", "a\n", "a" * 129],
    "tenant": [""],
    "integer": [*ODD_NUMBERS, "-1", "1.5", "1" * 19],
    "number": [*ODD_NUMBERS, "145ms", "1.", ".5"],
    "fraction": [*ODD_NUMBERS, "1.01", "-0.1", "50%"],
    "percent": [*ODD_NUMBERS, "101", "4500%", "-1", "5%%"],
    "duration": [*ODD_NUMBERS, "145", "8min30s", "8 min", "_5s", "1y"],
    "rate": [*ODD_NUMBERS, "10000", "/hour", "10000/year", "10000/", "-1/hour"],
    "boolean": ["", "True", "yes", "1"],
    "coordinates": ["", "lat,lng", "91,0", "0,181", "1", "1,2,3"],
    "version": ["", "1", "1.2.3.4.5", "v1.2", "1.2-beta"],
    "color": ["", "2E7D32", "#2E7D3", "#2E7D3G", "red"],
    "language": ["", "PT", "pt_BR", "pt-br"],
    "currency": ["", "brl", "R$", "BRLX"],
    "package": ["", "app", "com..app", "com.1app"],
    "sector": ["", "Medicina", "a b"],
    "code": ["", "123", "12345678901", "12a4", "٤٥٦٧"],
    "api-key": ["", "short", "sk acme 0123456789", "sk:acme:0123456789"],
    "time": ["", "timestamp", "2025-01-27", "2025-13-01T00:00:00Z", "1737972000", "now"],
    "time-or-now": ["", "later", "2025-01-27"],
    "date": ["", "15/01/2025", "2025-02-30", "2025-W03-3", "20250115"],
    "epoch": [*ODD_NUMBERS, "-1", "99999999999999"],
    "hour": [*ODD_NUMBERS, "24", "-1", "9.5"],
    "timezone": ["", "Brasilia", "America/Sao Paulo", "../etc/passwd"],
    "timeline-member": ["", "response_time:145", "1737972000:x", "1:x:1"],
    "access": ["", "9:a:b", "24:a:b", "09:a", "09::b", "09:a:b:c", "09:a:b/c"],
    "json": ["", "{", "NaN", "Infinity", "{'a':1}", DEEP],
    "json-object": ["", "[]", "1", "null", DEEP],
    "json-list": ["", "{}", "1", DEEP],
    "hour-list": ["", "[24]", '["x"]', "9,14", "{}"],
    "name-list": ["", '["a b"]', "[[]]", "crm"],
    "key-list": ["", "{}", "a,b"],
    "url": ["", "ftp://a.b/c", "http://", "acme.com", "https://a b.c", "http://[::1", "//a.b"],
    "host": ["", "acme", "Acme.com", "-a.com", "a..com", "a_b.com", "a.com:80", "a" * 254 + ".b"],
    "path": ["", "api", "/a b", "/a?b"],
    "email": ["", "a", "@b", "a@", "a b@c", "a@b@c"],
    "phone": ["", "5517987654321", "+551798", "+55 17 987654321"],
    "ip": ["", "256.1.1.1", "1.2.3", "localhost", "192.0.2.1/24"],
}


@pytest.mark.parametrize("name", FORMATS)
def test_the_example_of_each_format_has_a_value(name: str) -> None:
    FORMATS[name].parse(FORMATS[name].example)


def test_every_format_has_values_that_it_refuses() -> None:
    """`enum` is the exception: its words stand in the field, not in the format."""
    assert REFUSED.keys() == FORMATS.keys() - {"enum"}


@pytest.mark.parametrize(("name", "text"), [(n, t) for n, ts in REFUSED.items() for t in ts])
def test_a_value_out_of_format_is_refused_in_the_words_of_the_format(name: str, text: str) -> None:
    with pytest.raises(FormatError) as caught:
        FORMATS[name].parse(text)
    assert caught.value.wanted == FORMATS[name].wanted
    assert caught.value.erratum == FORMATS[name].erratum


@pytest.mark.parametrize("name", FORMATS)
@given(text=st.text())
def test_any_text_is_read_or_refused_and_nothing_else_happens(name: str, text: str) -> None:
    with suppress(FormatError):
        FORMATS[name].parse(text)


def test_a_refusal_never_repeats_the_value() -> None:
    """The value may be a secret."""
    with pytest.raises(FormatError) as caught:
        FORMATS["api-key"].parse("secret of acme")
    assert str(caught.value) == "the value is not an API key of at least 16 characters"


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("duration", "145ms", 0.145),
        ("percent", "0.2%", 0.2),
        ("rate", "10000/hour", (10_000, 3600)),
        ("duration", "8min_30s", 510.0),
        ("percent", "35%", 35.0),
        ("duration", "3min_45s", 225.0),
        ("duration", "24h", 86_400.0),
        ("percent", "78%", 78.0),
    ],
)
def test_the_numbers_with_units_of_the_specification_have_values(
    name: str, text: str, value: object
) -> None:
    """E18."""
    assert FORMATS[name].parse(text) == pytest.approx(value)


def test_a_time_without_offset_is_refused_with_its_own_erratum() -> None:
    """E27."""
    for name in ("time", "time-or-now"):
        with pytest.raises(FormatError, match="offset") as caught:
            FORMATS[name].parse("2025-01-27T10:00:00")
        assert caught.value.erratum == "E27"


def test_times_are_read_as_utc() -> None:
    moment = datetime(2025, 1, 27, 10, tzinfo=UTC)
    assert FORMATS["time"].parse("2025-01-27T07:00:00-03:00") == moment
    assert FORMATS["epoch"].parse("1737972000") == moment
    assert FORMATS["time-or-now"].parse("now") is None
    assert FORMATS["date"].parse("2025-01-15") == date(2025, 1, 15)


@given(
    value=st.recursive(
        st.none() | st.booleans() | st.integers(-(10**15), 10**15) | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_the_text_of_a_json_value_is_its_json_unless_it_is_text(value: object) -> None:
    assert (
        text_of(value) == value if isinstance(value, str) else json.loads(text_of(value)) == value
    )


def test_hosts_and_addresses_of_one_host_are_compared_as_hosts() -> None:
    assert host_of("https://acme.example.com/a.png") == host_of("acme.example.com")


def test_json_that_names_a_member_twice_is_refused() -> None:
    """Two members of one name are read differently by different readers."""
    with pytest.raises(FormatError):
        FORMATS["json-object"].parse('{"tenant_id":"acme","tenant_id":"globex"}')
