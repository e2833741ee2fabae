# SPDX-License-Identifier: Apache-2.0
"""
Field formats: one parser for each kind of value that the contract names.

The specification keeps numbers with units in hashes (``145ms``, ``0.2%``,
``10000/hour``, ``8min_30s``), on which ``int()`` and ``float()`` fail (E18). Here every
format reads the text form into a typed value, or says in one sentence what was wanted.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from kryonix_cache.reference_impl.contract import readers
from kryonix_cache.reference_impl.contract.readers import matching, text_of
from kryonix_cache.reference_impl.errors import FormatError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["FORMATS", "Format", "host_of", "text_of"]

_NAME = r"[A-Za-z0-9_.+-]{1,128}"
_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_HOST = rf"(?=.{{1,253}}\Z){_LABEL}(?:\.{_LABEL})+"
_PACKAGE = r"[A-Za-z][A-Za-z0-9_-]*(?:\.[A-Za-z][A-Za-z0-9_-]*)+"
_VERSION = r"[0-9]{1,9}(?:\.[0-9]{1,9}){1,3}"


@dataclass(frozen=True, slots=True)
class Format:
    """A kind of value: its name, what is wanted, an example, and the reader of its text."""

    name: str
    wanted: str
    example: str
    read: Callable[[str], object]
    erratum: str | None = None

    def parse(self, text: str) -> object:
        """Return the typed value of `text`; raise FormatError when it has none."""
        try:
            return self.read(text)
        except FormatError:
            raise
        except (ValueError, OverflowError, RecursionError):
            raise FormatError(self.wanted, erratum=self.erratum) from None


def _ip(text: str) -> str:
    return str(ipaddress.ip_address(text))


def _numbers() -> tuple[Format, ...]:
    return (
        Format("integer", "a whole number, not negative", "1250", readers.count, "E18"),
        Format("number", "a number without a unit", "89.2", readers.number, "E18"),
        Format("fraction", "a number from 0 to 1", "0.94", readers.within(0, 1), "E18"),
        Format("percent", "a number from 0 to 100, % allowed", "78.5", readers.percent, "E18"),
        Format(
            "duration", "amounts with units, as 145ms or 8min_30s", "145ms", readers.duration, "E18"
        ),
        Format("rate", "count/period, as 10000/hour", "10000/hour", readers.rate, "E18"),
        Format("boolean", "true or false", "true", readers.boolean),
        Format("coordinates", "latitude,longitude", "-23.55,-46.63", readers.coordinates),
    )


def _times() -> tuple[Format, ...]:
    wanted = "an ISO 8601 time with offset"
    return (
        Format("time", wanted, "2025-01-27T10:00:00Z", readers.time),
        Format("time-or-now", f"{wanted}, or now", "now", readers.time_or_now),
        Format("date", "a date, as 2025-01-15", "2025-01-15", readers.day),
        Format("epoch", "seconds since 1970", "1737972000", readers.epoch, "E18"),
        Format("hour", "an hour from 0 to 23", "14", readers.hour, "E18"),
        Format("timezone", "a time zone, as America/Sao_Paulo", "UTC", readers.timezone),
        Format(
            "timeline-member",
            "<epoch>:<figure>:<value>",
            "1737972000:response_time:145",
            readers.timeline_member,
            "E33",
        ),
        Format(
            "access",
            "<hour>:<family>:<item>, the hour from 00 to 23",
            "09:api-cache:crm.dashboard",
            readers.access,
        ),
    )


def _structures() -> tuple[Format, ...]:
    hours, names = readers.list_of(readers.hour), readers.list_of(matching(_NAME))
    return (
        Format("json", "JSON", '{"a":1}', readers.json_value),
        Format("json-object", "a JSON object", '{"a":1}', readers.json_object),
        Format("json-list", "a JSON list", '["a"]', readers.json_list),
        Format("hour-list", "a JSON list of hours from 0 to 23", "[9,14,18]", hours),
        Format("name-list", "a JSON list of names", '["crm"]', names),
        Format(
            "key-list", "a JSON list of keys", '["tenant:acme:sdk:config"]', readers.list_of(str)
        ),
    )


def _words() -> tuple[Format, ...]:
    return (
        Format("text", "text of at most 65536 characters", "Text", matching(r"(?s).{0,65536}")),
        Format("name", "a name of letters, digits and _ . + -", "crm", matching(_NAME)),
        Format("tenant", "the tenant of the key", "acme", matching(r"(?s).+")),
        Format("enum", "one of the listed words", "active", str),
        Format("version", "a version, as 1.2.5", "1.2.5", matching(_VERSION)),
        Format("color", "a colour, as #2E7D32", "#2E7D32", matching(r"#[0-9A-Fa-f]{6}")),
        Format("language", "a language, as pt-BR", "pt-BR", matching(r"[a-z]{2,3}(?:-[A-Z]{2})?")),
        Format("currency", "a currency, as BRL", "BRL", matching(r"[A-Z]{3}")),
        Format("package", "a package name, as com.example.app", "com.acme.app", matching(_PACKAGE)),
        Format("sector", "a sector's name", "medicina", matching(r"[a-z0-9_-]{1,64}")),
        Format("code", "a code of 4 to 10 digits", "456789", matching(r"[0-9]{4,10}")),
        Format(
            "api-key",
            "an API key of at least 16 characters",
            "sk_acme_0123456789",
            matching(r"[A-Za-z0-9_-]{16,256}"),
        ),
    )


def _addresses() -> tuple[Format, ...]:
    return (
        Format("url", "an http or https address", "https://acme.example.com/a.png", readers.url),
        Format("host", "a host name in lower case", "acme.example.com", matching(_HOST)),
        Format("path", "a path, as /api/crm/leads", "/api/leads", matching(r"/[^\s?#]{0,1024}")),
        Format("email", "a mail address", "a@acme.org", matching(r"[^@\s]{1,64}@[^@\s]{1,189}")),
        Format(
            "phone",
            "a phone number, as +5517987654321",
            "+5517987654321",
            matching(r"\+[0-9]{8,15}"),
        ),
        Format("ip", "an IP address", "192.0.2.1", _ip),
    )


FORMATS: Mapping[str, Format] = {
    each.name: each for each in (*_words(), *_numbers(), *_times(), *_structures(), *_addresses())
}


def host_of(text: str) -> str:
    """Return the host that a host name or an address names; facts compare hosts (E29)."""
    return urlsplit(text).hostname or text if "://" in text else text
