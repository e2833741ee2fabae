# SPDX-License-Identifier: Apache-2.0
"""The address of a server: parsed once, shown only without its password."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlsplit

from kryonix_cache.reference_impl.errors import UrlInvalidError

if TYPE_CHECKING:
    from pathlib import Path

DEFAULT_PORT = 6379
LAST_DATABASE = 15
"""The specification names sixteen databases, 0 to 15."""

_LAST_PORT = 65535
_SCHEMES = frozenset({"redis", "rediss", "unix"})


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One server, one account, one database.

    `host` and `port` are set for redis and rediss, `path` for unix. The TLS files are
    PEM files; `cert_file` and `key_file` identify this client to the server.
    """

    scheme: str
    host: str = ""
    port: int = DEFAULT_PORT
    path: str = ""
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    database: int = 0
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None

    @classmethod
    def parse(
        cls,
        url: str,
        *,
        username: str | None = None,
        password: str | None = None,
        ca_file: Path | None = None,
        cert_file: Path | None = None,
        key_file: Path | None = None,
    ) -> Endpoint:
        """Parse a redis, rediss or unix URL.

        The keyword arguments fill in what the URL leaves out; what stands in the URL wins.

        Raises:
            UrlInvalidError: the URL is malformed; the message does not repeat it.

        """
        parts = _split(url)
        tls_files = (ca_file, cert_file, key_file)
        if parts.scheme != "rediss" and any(tls_files):
            raise UrlInvalidError("a CA, certificate or key file needs the scheme rediss")
        if key_file and not cert_file:
            raise UrlInvalidError("a key file needs a certificate file beside it")
        location = _unix_location(parts) if parts.scheme == "unix" else _tcp_location(parts)
        return cls(
            scheme=parts.scheme,
            host=location.host,
            port=location.port,
            path=location.path,
            username=_decoded(parts.username, "user name") or username or None,
            password=_decoded(parts.password, "password") or password or None,
            database=location.database,
            ca_file=ca_file,
            cert_file=cert_file,
            key_file=key_file,
        )

    @property
    def address(self) -> str:
        """The address without password and database, fit for reports and logs."""
        user = f"{quote(self.username, safe='')}@" if self.username else ""
        if self.scheme == "unix":
            return f"unix://{user}{self.path}"
        return f"{self.scheme}://{user}{self.host_and_port}"

    @property
    def host_and_port(self) -> str:
        """`host:port`, with an IPv6 host in brackets; the path of a unix socket."""
        if self.scheme == "unix":
            return self.path
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @property
    def secrets(self) -> tuple[str, ...]:
        """The strings that must never be shown: the password, plain and percent-encoded."""
        if not self.password:
            return ()
        return tuple(dict.fromkeys((self.password, quote(self.password, safe=""))))

    def __str__(self) -> str:
        return f"{self.address} database {self.database}"


@dataclass(frozen=True, slots=True)
class _Location:
    host: str
    port: int
    path: str
    database: int


def _split(url: str) -> SplitResult:
    # urlsplit drops tabs and line ends without a word; a URL that holds them is a mistake.
    if any(character <= " " or character == "\x7f" for character in url):
        raise UrlInvalidError("it holds a space or a control character")
    scheme, separator, _ = url.partition("://")
    if not separator:
        raise UrlInvalidError("it has no scheme")
    if scheme.lower() not in _SCHEMES:
        raise UrlInvalidError("its scheme is none of redis, rediss and unix")
    try:
        parts = urlsplit(url)
    except ValueError:
        raise UrlInvalidError("its host is malformed") from None
    if "#" in url:
        raise UrlInvalidError("it holds a '#'; in a password write %23")
    if "?" in url and parts.scheme != "unix":
        raise UrlInvalidError(f"{parts.scheme} URLs take no parameters after '?'")
    return parts


def _tcp_location(parts: SplitResult) -> _Location:
    try:
        host, port = parts.hostname, parts.port
    except ValueError:
        raise UrlInvalidError(f"its port is no number from 1 to {_LAST_PORT}") from None
    if not host:
        raise UrlInvalidError("it has no host")
    if parts.netloc.endswith(":") or port == 0:
        raise UrlInvalidError(f"its port is no number from 1 to {_LAST_PORT}")
    if any(mark in host for mark in "%@/\\"):
        raise UrlInvalidError("its host is malformed")
    database = _database(parts.path[1:]) if len(parts.path) > 1 else 0
    return _Location(host, DEFAULT_PORT if port is None else port, "", database)


def _unix_location(parts: SplitResult) -> _Location:
    if parts.netloc.rpartition("@")[2]:
        raise UrlInvalidError("a unix URL has no host, so three slashes start its path")
    path = _decoded(parts.path, "path") or ""
    if path in {"", "/"}:
        raise UrlInvalidError("it has no socket path")
    try:
        parameters = parse_qsl(
            parts.query, keep_blank_values=True, strict_parsing=bool(parts.query)
        )
    except ValueError:
        raise UrlInvalidError("the part after '?' is malformed") from None
    if [name for name, _ in parameters] not in ([], ["db"]):
        raise UrlInvalidError("the only parameter of a unix URL is db")
    database = _database(parameters[0][1]) if parameters else 0
    return _Location("", 0, path, database)


def _database(text: str) -> int:
    # int() alone would also take '1_0', '+1' and digits of other scripts.
    if text.isascii() and text.isdigit() and len(text) <= len(str(LAST_DATABASE)):
        number = int(text)
        if number <= LAST_DATABASE:
            return number
    raise UrlInvalidError(f"its database is no number from 0 to {LAST_DATABASE}")


def _decoded(text: str | None, what: str) -> str | None:
    if text is None:
        return None
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError:
        raise UrlInvalidError(f"its {what} is not percent-encoded UTF-8") from None
