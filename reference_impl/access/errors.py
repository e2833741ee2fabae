# SPDX-License-Identifier: Apache-2.0
"""The errors of access control: one class for each situation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kryonix_cache.reference_impl.errors import KryonixError, TargetLostError

if TYPE_CHECKING:
    from kryonix_cache.reference_impl.access.users import Login


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
    """The server does not carry out what access control needs, and nothing was changed."""

    def __init__(self, command: str, reply: str) -> None:
        self.command = command
        self.reply = reply
        super().__init__(
            f"The server refuses {command}{_whom(reply)} ({reply}), and nothing was changed; "
            f"{_remedy(reply)}."
        )


class AccessUnfinishedError(KryonixError):
    """The server carried out a part of a change; `done` says which, `login` is a new account.

    The server knows the password of `login` from then on, and nobody else holds it: keep it.
    """

    def __init__(self, command: str, reply: str, *, done: str, login: Login | None = None) -> None:
        self.command = command
        self.reply = reply
        self.done = done
        self.login = login
        super().__init__(
            f"The server refuses {command}{_whom(reply)} ({reply}), but {done}; {_remedy(reply)}, "
            "then do the same again."
        )


class OwnAccountError(KryonixError):
    """The account that manages users would change itself."""

    def __init__(self, user: str) -> None:
        super().__init__(
            f"The account in use is {user!r}, the user of the tenant itself, and would lose its "
            "rights midway; nothing was changed; use an account that is no tenant's."
        )


class AccessLostError(TargetLostError):
    """The server went away while users were managed."""

    def __init__(self, address: str, reason: str) -> None:
        super().__init__(
            f"The server at {address} was lost ({reason}): run the command again, it finds out "
            "what was done, and does the rest or says that the password you brought is there."
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


def _whom(reply: str) -> str:
    return " to this account" if _lacks_a_right(reply) else ""


def _remedy(reply: str) -> str:
    if _lacks_a_right(reply):
        return "use an account that may manage users"
    if reply.startswith("BUSY"):
        return "wait until its script has ended, or end it (SCRIPT KILL)"
    if reply.lower().startswith(("unknown command", "unknown subcommand")):
        return "users are for a server that has this command"
    return "remove the cause that the server names"


def _lacks_a_right(reply: str) -> bool:
    return reply.startswith("NOPERM") or "no permissions" in reply
