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
    `file` is where a new one goes.
    """

    plan: UserPlan
    action: Literal["made", "renewed", "given another password", "left as it is", "finished"]
    digests: Sequence[str] | None
    file: SecretFile | None

    def carry_out(self, users: TenantUsers) -> str:
        """Do it, and return a sentence that says so."""
        user = self.plan.user
        if self.action == "finished":
            return f"{user}: an interrupted command was finished{self._where()}."
        if self.action == "left as it is":
            return f"{user}: is as planned, nothing was changed."
        closed = self._write(users)
        return f"{user}: {self.action}, {closed} connections closed{self._where()}."

    def _write(self, users: TenantUsers) -> int:
        if self.digests is not None:
            return users.write(self.plan, self.digests)
        login = Login(self.plan.user, new_secret())
        if self.file is None:
            raise ValueError("a new password has nowhere to go")
        self.file.prepare(login)
        try:
            closed = users.write(self.plan, [digest_of(login.password)])
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
        new = self.digests is None or self.action == "finished"
        return f", its password is in {self.file.path}" if self.file and new else ""


def consider(users: TenantUsers, tenant: str, secret: SecretFile | str, *, rotate: bool) -> Change:
    """Find out what is to be done for a tenant, and change nothing on the server.

    `secret` is the file for a password that is made, or a password that the operator brought.

    Raises:
        AccessRefusedError: the server does not let this account look.
        OwnAccountError: this account is the tenant's user itself.
        SecretFileError: a new password is needed, and its file is there already.
        PasswordKeptError: the brought password is not the user's, or already is.

    """
    plan = users.plan(tenant)
    users.refuse_itself(plan.user)
    state = users.describe(plan.user)
    known = state.digests if state is not None else ()
    has_one = state is not None and not state.open and len(known) == 1
    as_planned = state is not None and state.enabled and has_one and state.keeps(plan)
    finished = False
    file: SecretFile | None = None
    digests: Sequence[str] | None = known
    if isinstance(secret, str):
        digests = (digest_of(secret),)
        new = not has_one or known != digests
        if has_one and new is not rotate:
            raise PasswordKeptError(
                plan.user,
                "has this password already"
                if rotate
                else "has another password; give --rotate to replace it",
            )
    else:
        file, finished = secret, secret.recover(plan.user, known)
        new = not finished and (rotate or not has_one)
        if new:
            secret.refuse_if_taken()
            digests = None
    if as_planned and not new:
        return Change(plan, "finished" if finished else "left as it is", known, file)
    if state is None:
        return Change(plan, "made", digests, file)
    return Change(plan, "given another password" if new else "renewed", digests, file)
