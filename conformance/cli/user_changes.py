# SPDX-License-Identifier: Apache-2.0
"""
What `kryonix-cache acl apply` does for one tenant: first considered, then carried out.

All tenants of a command are considered before anything is changed for the first of them, so that
what can be refused is refused while nothing is half done.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from kryonix_cache.conformance.errors import PasswordKeptError
from kryonix_cache.reference_impl.access import Login
from kryonix_cache.reference_impl.access.errors import (
    AccessRefusedError,
    AccessUnfinishedError,
    OwnAccountError,
)
from kryonix_cache.reference_impl.access.users import digest_of, new_secret
from kryonix_cache.reference_impl.connection import bulk

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import redis

    from kryonix_cache.conformance.cli.secret_files import SecretFile
    from kryonix_cache.reference_impl.access import TenantUsers, UserPlan
    from kryonix_cache.reference_impl.access.state import UserState

Memory = Literal["acl-file", "config-file", "none", "unknown"]
"""Where a server keeps its users for the next start."""

REMEMBERING: Mapping[Memory, str] = {
    "acl-file": "The server has an ACL file: give --save, or send ACL SAVE, or a restart undoes "
    "this.",
    "config-file": "The server has no ACL file: send CONFIG REWRITE, or keep the lines of "
    "`kryonix-cache acl plan --format aclfile` in its configuration, or a restart undoes this.",
    "none": "The server was started without a configuration file: a restart forgets its users, so "
    "apply again after each one.",
    "unknown": "Whether the server remembers this after a restart cannot be seen with this "
    "account: find out whether it has an ACL file (CONFIG GET aclfile).",
}


def memory_of(client: redis.Redis, info: Mapping[str, str]) -> Memory:
    """Find out where the server keeps its users; `info` are its INFO fields."""
    with bulk(client) as connection:
        (reply,) = connection.exchange([(b"CONFIG", b"GET", b"aclfile")])
    if isinstance(reply, list) and len(reply) > 1 and reply[1]:
        return "acl-file"
    if not isinstance(reply, list) or "config_file" not in info:
        return "unknown"
    return "config-file" if info["config_file"] else "none"


@dataclass(frozen=True, slots=True)
class Change:
    """What is to be done for one tenant's user.

    `digests` are those of the passwords that it shall have; None where a new one is to be made.
    `file` is where a new one goes. A user that was switched off is not `enabled` by the way.
    """

    plan: UserPlan
    action: Literal["made", "renewed", "given another password", "left as it is", "finished"]
    digests: Sequence[str] | None
    file: SecretFile | None
    enabled: bool

    def carry_out(self, users: TenantUsers) -> str:
        """Do it, and return a sentence that says so."""
        user = self.plan.user
        off = "" if self.enabled else "; it is off and stays so, until --admit is given"
        if self.action == "finished":
            return f"{user}: an interrupted command was finished{self._where()}{off}."
        if self.action == "left as it is":
            return f"{user}: is as planned, nothing was changed{off}."
        closed = self._write(users)
        return f"{user}: {self.action}, {closed} connections closed{self._where()}{off}."

    def _write(self, users: TenantUsers) -> int:
        if self.digests is not None:
            return users.write(self.plan, self.digests, enabled=self.enabled)
        login = Login(self.plan.user, new_secret())
        if self.file is None:
            raise ValueError("a new password has nowhere to go")
        self.file.prepare(login)
        try:
            digests = [digest_of(login.password)]
            closed = users.write(self.plan, digests, enabled=self.enabled)
        except (AccessRefusedError, OwnAccountError):
            self.file.discard()
            raise
        except AccessUnfinishedError:
            self.file.keep()
            raise
        # After any other error it is open whether the server has the password: it stays.
        self.file.keep()
        return closed

    def _where(self) -> str:
        new = self.digests is None or self.action in {"finished", "made"}
        return f", its password is in {self.file.path}" if self.file and new else ""


def consider(
    users: TenantUsers,
    tenant: str,
    secret: SecretFile | str,
    *,
    rotate: bool = False,
    admit: bool = False,
) -> Change:
    """Find out what is to be done for a tenant, and change nothing on the server.

    `secret` is the file for a password that is made, or a password that the operator brought.
    With `admit` a user that was switched off is let in again.

    Raises:
        AccessRefusedError: the server does not let this account look.
        OwnAccountError: this account is the tenant's user itself.
        SecretFileError: a new password is needed and its file is there already, or none is
            needed and the file does not hold the one that the server has.
        PasswordKeptError: the brought password is not the user's, or already is.

    """
    plan = users.plan(tenant)
    users.refuse_itself(plan.user)
    state = users.describe(plan.user)
    file: SecretFile | None = None
    finished = False
    if isinstance(secret, str):
        digests: Sequence[str] | None = _brought(plan.user, state, secret, rotate=rotate)
    else:
        file = secret
        finished = file.recover(plan.user, _known(state))
        digests = _known(state) if finished else _filed(plan.user, state, file, rotate=rotate)
    new = digests is None or digests != _known(state)
    enabled = state is None or state.enabled or admit
    if state is None:
        return Change(plan, "made", digests, file, enabled)
    if not new and state.keeps(plan) and not state.open and enabled is state.enabled:
        return Change(plan, "finished" if finished else "left as it is", digests, file, enabled)
    return Change(plan, "given another password" if new else "renewed", digests, file, enabled)


def _known(state: UserState | None) -> tuple[str, ...]:
    return state.digests if state is not None else ()


def _has_one(state: UserState | None) -> bool:
    """Say whether there is a user with one password, as each shall have."""
    return state is not None and not state.open and len(state.digests) == 1


def _brought(user: str, state: UserState | None, password: str, *, rotate: bool) -> Sequence[str]:
    """Return the digest of a brought password; raise PasswordKeptError."""
    digests = (digest_of(password),)
    new = not _has_one(state) or _known(state) != digests
    if _has_one(state) and new is not rotate:
        raise PasswordKeptError(
            user,
            "has this password already"
            if rotate
            else "has another password; give --rotate to replace it",
        )
    return digests


def _filed(
    user: str, state: UserState | None, file: SecretFile, *, rotate: bool
) -> Sequence[str] | None:
    """Return the digests that the user keeps or gets back from the file, None for a new password.

    Raises SecretFileError where the file does not fit.
    """
    if not rotate and _has_one(state):
        file.refuse_without(user, _known(state))
        return _known(state)
    # A server that forgot its users, as at a restart, gets the password back that is in use.
    login = file.login_of(user) if state is None and not rotate else None
    if login is not None:
        return (digest_of(login.password),)
    file.refuse_if_taken()
    return None
