# SPDX-License-Identifier: Apache-2.0
"""The errors of access control: one class for each situation."""

from __future__ import annotations

from kryonix_cache.reference_impl.errors import KryonixError, TargetLostError


class AccessUndeclaredError(KryonixError):
    """The contract does not say what a tenant's own user may do."""

    def __init__(self, contract: str) -> None:
        super().__init__(
            f"The contract {contract!r} has no [access]: say there how a tenant's user is called "
            "and which commands it has, as the contract of the package does."
        )


class AccessInexpressibleError(KryonixError):
    """A name cannot stand in a rule of a server's ACL."""

    def __init__(self, what: str, name: str, reason: str) -> None:
        super().__init__(
            f"The {what} {name!a} cannot stand in an ACL rule, because {reason}; "
            "change the contract's pattern."
        )


class AccessRefusedError(KryonixError):
    """The server does not carry out what access control needs; `done` says what was done before."""

    def __init__(self, command: str, reply: str, *, done: str = "nothing was changed") -> None:
        self.command = command
        super().__init__(
            f"The server refuses {command} to this account ({reply}), and {done}; "
            "use an account that may manage users."
        )


class AccessLostError(TargetLostError):
    """The server went away while users were managed."""

    def __init__(self, address: str, reason: str) -> None:
        super().__init__(
            f"The server at {address} was lost ({reason}): run the command again, "
            "it finds out what was done and does the rest."
        )


class UserMissingError(KryonixError):
    """There is no user of the tenant on the server."""

    def __init__(self, user: str) -> None:
        super().__init__(
            f"The server has no user {user!r}: admit the tenant first "
            "(`kryonix-cache acl apply`), or check its name."
        )


class UserPresentError(KryonixError):
    """A tenant would be given the user of another one."""

    def __init__(self, user: str) -> None:
        super().__init__(
            f"The server has a user {user!r} already, which another tenant may be using: "
            "revoke that one first, or choose another name."
        )
