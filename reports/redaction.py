# SPDX-License-Identifier: Apache-2.0
"""
The one gate that every string passes on its way into a run record.

It does two things. It masks secrets: every password that the run knows of, in each spelling
that a report could hold, and the password in the user part of any URL, known or not. And it
makes strings printable: control characters, lone surrogates and marks that reverse the
direction of text come out as escapes, so that a hostile key name can neither drive a terminal
nor break XML.

Every report is made from a record only, so what passed here once is clean everywhere.
"""

import html
import json
import re
import shlex
import unicodedata
from collections.abc import Iterable, Iterator
from urllib.parse import quote, quote_plus

from kryonix_cache.reports.lines import Json

MASK = "***"

SHORTEST_SECRET = 4
"""
Shorter secrets are masked in URLs only.

Masking each `1` of a report would make it unreadable, and the places that are masked would tell
the secret. Such a password protects nothing anyway; `Redactor.too_short` lets a command say so.
"""

# Redis addresses: everything up to the last @, because people paste passwords unescaped.
_CACHE_URL = re.compile(r"(?i)\b((?:rediss?|valkeys?|unix)://[^\s:@/]*):[^\s]*@")
_ANY_URL = re.compile(r"(?i)\b([a-z][a-z0-9+.-]*://[^\s/?#:@]*):[^\s/?#]*@")
_QUERY = re.compile(r"(?i)([?&](?:password|auth|token|apikey|api_key)=)[^&\s#]+")

_PLAIN_CONTROLS = frozenset("\n\t")
_HIDDEN_CATEGORIES = frozenset({"Cc", "Cs", "Zl", "Zp"})
_DIRECTION_MARKS = frozenset(
    "\u200e\u200f\u061c\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
)
_NON_CHARACTERS = frozenset("\ufffe\uffff")


class Redactor:
    """Masks the secrets it was given, in any string or JSON document."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        given = {secret for secret in secrets if secret}
        known = {secret for secret in given if len(secret) >= SHORTEST_SECRET}
        self.too_short = len(given) - len(known)
        # Longest first: a secret that begins like another one must not leave its tail behind.
        spellings = sorted({s for secret in known for s in _spellings(secret)}, key=len)[::-1]
        self._known = re.compile("|".join(map(re.escape, spellings))) if spellings else None

    def __repr__(self) -> str:
        return "Redactor(...)"

    def text(self, text: str) -> str:
        """Return `text` printable and without secrets."""
        if self._known is not None:
            text = self._known.sub(MASK, text)
        text = _CACHE_URL.sub(rf"\1:{MASK}@", text)
        text = _ANY_URL.sub(rf"\1:{MASK}@", text)
        text = _QUERY.sub(rf"\1{MASK}", text)
        return printable(text)

    def value(self, value: Json) -> Json:
        """Return a JSON document with every string in it, keys included, passed through `text`."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list):
            return [self.value(member) for member in value]
        if isinstance(value, dict):
            return {self.text(name): self.value(member) for name, member in value.items()}
        return value


def printable(text: str) -> str:
    """Return `text` with everything that does not show, new line and tab apart, escaped."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(_escaped(character) if _hides(character) else character for character in text)


def _hides(character: str) -> bool:
    return character not in _PLAIN_CONTROLS and (
        unicodedata.category(character) in _HIDDEN_CATEGORIES
        or character in _DIRECTION_MARKS
        or character in _NON_CHARACTERS
    )


def _escaped(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"  # noqa: PLR2004 - one byte


def _spellings(secret: str) -> Iterator[str]:
    """Yield `secret` as it stands in text, URLs, JSON, HTML, Python and shell source."""
    yield secret
    for encoded in (quote(secret), quote(secret, safe=""), quote_plus(secret)):
        yield encoded
        yield re.sub("%[0-9A-F]{2}", lambda match: match[0].lower(), encoded)
    for ascii_only in (True, False):
        once = json.dumps(secret, ensure_ascii=ascii_only)[1:-1]
        yield once
        yield json.dumps(once, ensure_ascii=ascii_only)[1:-1]
    yield html.escape(secret)
    yield html.escape(secret, quote=False)
    yield repr(secret)[1:-1]
    yield repr(secret.encode("utf-8", "surrogateescape"))[2:-1]
    yield shlex.quote(secret).strip("'")
    yield printable(secret)
