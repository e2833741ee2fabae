# SPDX-License-Identifier: Apache-2.0
"""The users of tenants on one server: made, given another password, kept out, removed."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

import redis

from kryonix_cache.reference_impl.access.dialect import read_dialect
from kryonix_cache.reference_impl.access.errors import (
    AccessRefusedError,
    UserMissingError,
    UserPresentError,
)
from kryonix_cache.reference_impl.access.rules import access_rule, plan_user
from kryonix_cache.reference_impl.connection import bulk

if TYPE_CHECKING:
    from kryonix_cache.reference_impl.access.rules import UserPlan
    from kryonix_cache.reference_impl.connection import Clients, Reply
    from kryonix_cache.reference_impl.contract import Contract

SECRET_BYTES = 32
"""256 bits, as many as the digest has."""

_ADMINISTRATION = 0
_NO_SUCH_USER = "No such user"


@dataclass(frozen=True, slots=True)
class Login:
    """The account of a tenant's own user; the password is held here and nowhere else."""

    username: str
    password: str = field(repr=False)


def new_secret() -> str:
    """Return a password of SECRET_BYTES random bytes, in characters that need no quoting."""
    return secrets.token_urlsafe(SECRET_BYTES)


def digest_of(password: str) -> str:
    """Return the form in which alone a password goes to the server."""
    return hashlib.sha256(password.encode()).hexdigest()


class TenantUsers:
    """Manages one user for each tenant, by commands of an account that may manage users.

    A user may do what `plan_user` derives from the contract. Taking access away also closes the
    user's connections: a server goes on serving one that was open before.

    Every method raises InvalidTenantIdError before anything is sent, and AccessRefusedError
    where the server refuses this account.
    """

    def __init__(self, contract: Contract, clients: Clients) -> None:
        """Raise AccessUndeclaredError if the contract does not say what tenants may do."""
        self._contract = contract
        self._rule = access_rule(contract)
        self._client = clients[_ADMINISTRATION]

    def admit(self, tenant: str) -> Login:
        """Make the tenant's user, or make it anew with another password."""
        plan = self.plan(tenant)
        login = Login(plan.user, new_secret())
        self.write(plan, [digest_of(login.password)])
        return login

    def rotate(self, tenant: str) -> Login:
        """Give the user another password; a suspended one stays out.

        Raises UserMissingError if there is no user.
        """
        user = self._present(tenant)
        login = Login(user, new_secret())
        self._send(b"SETUSER", user, "resetpass", f"#{digest_of(login.password)}")
        self.close_connections(user)
        return login

    def suspend(self, tenant: str) -> None:
        """Keep the user out until it is admitted again; raise UserMissingError if there is none."""
        user = self._present(tenant)
        self._send(b"SETUSER", user, "off")
        self.close_connections(user)

    def rename(self, tenant: str, new: str) -> Login:
        """Make the user of `new` and remove that of `tenant`; keys are not touched.

        The new user is made first: where that fails, the old one is as it was.
        Raises UserMissingError, and UserPresentError if `new` has a user already.
        """
        user, successor = self._present(tenant), self.user_of(new)
        if successor == user:
            return self.admit(tenant)
        if self.describe(successor) is not None:
            raise UserPresentError(successor)
        login = self.admit(new)
        self.revoke(tenant)
        return login

    def revoke(self, tenant: str) -> int:
        """Remove the user and close its connections; return how many those were."""
        user = self.user_of(tenant)
        if self.describe(user) is None:
            return 0
        # Off first: a client that connects again at once finds the door shut.
        self._send(b"SETUSER", user, "off")
        closed = self.close_connections(user)
        self._send(b"DELUSER", user)
        return closed

    def user_of(self, tenant: str) -> str:
        """Return the name of the tenant's user."""
        return self._rule.user_of(self._contract.tenant.parse(tenant))

    def plan(self, tenant: str) -> UserPlan:
        """Return what the tenant's user shall be on this server."""
        self._contract.tenant.check(tenant)
        try:
            dialect = read_dialect(self._client, self._rule)
        except redis.ResponseError as error:
            raise AccessRefusedError("ACL GETUSER", str(error)) from None
        return plan_user(self._contract, tenant, dialect)

    def write(self, plan: UserPlan, digests: list[str]) -> int:
        """Make the user as planned, in one step, and close its connections; return how many.

        `digests` are the SHA-256 of its passwords.
        """
        passwords = [f"#{each}" for each in digests]
        self._send(b"SETUSER", plan.user, "reset", "on", *passwords, *plan.words())
        return self.close_connections(plan.user)

    def describe(self, user: str) -> Reply:
        """Return the reply of ACL GETUSER, None where there is no such user."""
        return self._send(b"GETUSER", user)

    def close_connections(self, user: str) -> int:
        """Close every connection of the user; return how many there were."""
        with bulk(self._client) as connection:
            (reply,) = connection.exchange([(b"CLIENT", b"KILL", b"USER", user.encode())])
        if isinstance(reply, redis.ResponseError):
            if _NO_SUCH_USER in str(reply):
                return 0
            raise AccessRefusedError(
                "CLIENT KILL", str(reply), done="the user was changed but may still be connected"
            )
        return cast("int", reply)

    def _present(self, tenant: str) -> str:
        user = self.user_of(tenant)
        if self.describe(user) is None:
            raise UserMissingError(user)
        return user

    def _send(self, subcommand: bytes, *words: str) -> Reply:
        with bulk(self._client) as connection:
            (reply,) = connection.exchange(
                [(b"ACL", subcommand, *(word.encode() for word in words))]
            )
        if isinstance(reply, redis.ResponseError):
            raise AccessRefusedError(f"ACL {subcommand.decode()}", str(reply)) from None
        return reply
