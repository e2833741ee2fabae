# SPDX-License-Identifier: Apache-2.0
"""The errors of the reference implementation: one class for each situation."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Iterable


class KryonixError(Exception):
    """Base of every error that a command of this project shows to its user.

    The message is one sentence: what happened, where, and what to do about it.
    """

    exit_code: ClassVar[int] = 4


class UrlInvalidError(KryonixError):
    """The address of a server is malformed.

    The message never repeats the URL, because it may hold a password.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"The server URL is not valid: {reason}; write it as redis://user@host:6379/0, "
            "rediss://user@host:6379/0 or unix:///path/to/socket?db=0."
        )


class ForbiddenCommandError(KryonixError):
    """A command that no part of this project may send was about to be sent."""

    exit_code: ClassVar[int] = 3

    def __init__(self, command: str, carrier: str | None = None) -> None:
        self.command = command
        within = f" inside {carrier}" if carrier else ""
        super().__init__(
            f"The command {command}{within} is forbidden in the whole project and was not sent; "
            "it blocks the server or destroys the data of every tenant."
        )


class DatabaseSwitchError(KryonixError):
    """A connection that is bound to one database was asked to select another (E12)."""

    exit_code: ClassVar[int] = 3

    def __init__(self, database: int) -> None:
        super().__init__(
            f"SELECT on a connection bound to database {database} was not sent; "
            "take a client of the other database instead (E12)."
        )


class UncheckedBytesError(KryonixError):
    """Bytes that did not go through the command check were about to be sent."""

    exit_code: ClassVar[int] = 3

    def __init__(self) -> None:
        super().__init__(
            "Bytes that no check has seen were not sent; "
            "give the connection commands, or a KeyTemplate for bulk reads."
        )


class TargetUnreachableError(KryonixError):
    """Nothing answers at the address."""

    def __init__(self, address: str, reason: str) -> None:
        super().__init__(
            f"No server answers at {address} ({reason}); "
            "check the address, the firewall and whether the server runs."
        )


class TargetRefusedError(KryonixError):
    """The server answers, and refuses to serve this client."""

    def __init__(self, address: str, reply: str) -> None:
        super().__init__(
            f"The server at {address} refuses this client ({reply}); "
            "mend that on the server or use another account."
        )


class WrongPasswordError(KryonixError):
    """The server wants credentials, or does not accept the given ones."""

    def __init__(self, address: str, *, given: bool) -> None:
        happened = (
            "does not accept the user name or the password"
            if given
            else "wants a password and none was given"
        )
        super().__init__(
            f"The server at {address} {happened}; "
            "put the right ones into the URL, the environment or the target file."
        )


class TlsFailureError(KryonixError):
    """No trusted encrypted connection could be made."""

    def __init__(self, address: str, reason: str) -> None:
        super().__init__(
            f"No trusted TLS connection to {address} is possible ({reason}); "
            "check the scheme (redis or rediss), the host name and the CA file."
        )


class NotARedisServerError(KryonixError):
    """Something else than a Redis or Valkey data server answers."""

    def __init__(self, address: str, found: str) -> None:
        super().__init__(
            f"What answers at {address} is not a Redis or Valkey data server ({found}); "
            "check host and port."
        )


class ReplicaError(KryonixError):
    """The server is a replica: it takes no writes, and its data may lag behind."""

    def __init__(self, address: str, primary: str) -> None:
        super().__init__(
            f"The server at {address} is a replica of {primary}; give the address of the primary."
        )


class ClusterError(KryonixError):
    """The server runs in cluster mode, where the sixteen databases do not exist."""

    def __init__(self, address: str) -> None:
        super().__init__(
            f"The server at {address} runs in cluster mode, which has no numbered databases; "
            "give a server with cluster-enabled no."
        )


class LoadingError(KryonixError):
    """The server is still reading its data from disk."""

    def __init__(self, address: str) -> None:
        super().__init__(
            f"The server at {address} is still loading its data; try again when it has finished."
        )


class DatabaseUnavailableError(KryonixError):
    """The server does not have the database, or does not let this user into it."""

    def __init__(self, address: str, database: int, reply: str) -> None:
        super().__init__(
            f"Database {database} of the server at {address} cannot be used ({reply}); "
            "name a database that the server has and that the user may enter."
        )


class ContractError(KryonixError):
    """A contract file cannot be used: it is missing, is no TOML, or breaks a rule of its schema."""


class FormatError(KryonixError):
    """A value is not in its field's format (E18): it has no typed value.

    `wanted` says what the format wants; `erratum` names the erratum that explains it, if any.
    The value itself stands nowhere in the error, for it may be a secret.
    """

    def __init__(self, wanted: str, *, erratum: str | None = None) -> None:
        super().__init__(f"the value is not {wanted}")
        self.wanted = wanted
        self.erratum = erratum


class InvalidTenantIdError(KryonixError):
    """A tenant id breaks the contract's rule for tenant ids; raised before any byte is sent."""


class KeyPartError(KryonixError):
    """A key cannot be built: a named part is missing, unknown, or holds a character it must not."""


class UnknownFamilyError(KryonixError):
    """A name is no key family of the contract."""


class ValueTooLongLivedError(KryonixError):
    """A key would live longer than its family's limit, or not at all."""


class ValueUnreadableError(KryonixError):
    """A stored value is not what the tenant's handle writes there; it is not shown."""

    def __init__(self, key: str) -> None:
        super().__init__(
            f"The value of the key {key!a} is not what a tenant's handle writes there; "
            "find out who wrote it, and remove it."
        )


class ForeignValueError(KryonixError):
    """A value under a tenant's key names another tenant, and was not handed out."""

    def __init__(self, key: str) -> None:
        super().__init__(
            f"The value of the key {key!a} names another tenant and was not handed out; "
            "find out who wrote it, and remove it."
        )


class FamilyClosedError(KryonixError):
    """A tenant's handle was asked for more than the contract lets the tenant do in a family."""

    def __init__(self, family: str, access: str) -> None:
        allowed = "only read" if access == "read" else "neither read nor written"
        super().__init__(
            f"Keys of the family {family!r} are {allowed} by tenants; "
            "write them as the operator, or change the family's access in the contract."
        )


class ListingRefusedError(KryonixError):
    """The server does not let this user scan, because a scan shows every tenant's keys."""

    def __init__(self, tenant: str, family: str) -> None:
        super().__init__(
            f"The keys of tenant {tenant!r} in the family {family!r} cannot be listed as this "
            "user of the server, because a scan shows every tenant's keys; "
            "list them over the connection of the application."
        )


class ContentionError(KryonixError):
    """Others changed a key each time that it was about to be changed."""

    def __init__(self, attempts: int) -> None:
        super().__init__(
            f"A key was changed by somebody else {attempts} times in a row while it was about to "
            "be changed; try again when there is less going on."
        )


class TargetLostError(KryonixError):
    """The server went away while it was being worked with."""

    exit_code = 12


class ScanLostError(TargetLostError):
    """The server went away while it was being read; what was seen until then proves nothing."""

    def __init__(self, address: str, place: str, reason: str) -> None:
        super().__init__(
            f"The target {address} was lost while {place} was read ({reason}); "
            "check that the server runs, then run again."
        )


class ReadDeniedError(KryonixError):
    """The server does not let this user run a command that reading the keyspace needs."""

    def __init__(self, command: str, reply: str) -> None:
        self.command = command
        super().__init__(
            f"The server refuses {command} to this user ({reply}); "
            f"allow it by ACL, for every key that shall be read, or use another account."
        )


class ImpactInvalidError(KryonixError):
    """A limit of the impact on the server is no share and none of its words."""

    def __init__(self, given: str, words: Iterable[str]) -> None:
        super().__init__(
            f"The impact {given!r} is not valid: "
            f"give {', '.join(words)}, or a share above 0 and up to 1."
        )
