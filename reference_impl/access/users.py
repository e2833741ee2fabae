# SPDX-License-Identifier: Apache-2.0
"""The users of tenants on one server: made, given another password, kept out, removed."""

from __future__ import annotations

import hashlib
import secrets
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

import redis

from kryonix_cache.reference_impl.access.dialect import read_dialect
from kryonix_cache.reference_impl.access.errors import (
    AccessRefusedError,
    AccessUnfinishedError,
    OwnAccountError,
    UserMissingError,
    UserPresentError,
)
from kryonix_cache.reference_impl.access.rules import access_rule, plan_user, user_of
from kryonix_cache.reference_impl.access.state import read_state
from kryonix_cache.reference_impl.connection import bulk

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from kryonix_cache.reference_impl.access.rules import UserPlan
    from kryonix_cache.reference_impl.access.state import UserState
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


def setuser_words(plan: UserPlan, digests: Sequence[str], *, enabled: bool = True) -> list[str]:
    """Return what follows the name in ACL SETUSER; `digests` are the SHA-256 of its passwords."""
    return ["reset", "on" if enabled else "off", *(f"#{each}" for each in digests), *plan.words()]


@contextmanager
def _holding(login: Login) -> Iterator[None]:
    """Give the login to an error that comes after the server has learnt its password."""
    try:
        yield
    except AccessUnfinishedError as error:
        error.login = login
        raise


class TenantUsers:
    """Manages one user for each tenant, by commands of an account that may manage users.

    A user may do what `plan_user` derives from the contract. Taking access away also closes the
    user's connections: a server goes on serving one that was open before.

    Every method raises InvalidTenantIdError before anything is sent, AccessRefusedError where
    the server refuses this account and nothing was changed, and OwnAccountError where this
    account is the user itself. AccessUnfinishedError says that the user was changed and the rest
    was refused: where a password was made, it is in the error's `login`.
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
        with _holding(login):
            self.write(plan, [digest_of(login.password)])
        return login

    def rotate(self, tenant: str) -> Login:
        """Give the user another password; a suspended one stays out.

        Raises UserMissingError if there is no user.
        """
        user = self._present(tenant)
        login = Login(user, new_secret())
        with _holding(login):
            self._change(user, "resetpass", f"#{digest_of(login.password)}")
        return login

    def suspend(self, tenant: str) -> None:
        """Keep the user out until it is admitted again; raise UserMissingError if there is none."""
        self._change(self._present(tenant), "off")

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
        self.refuse_itself(user)
        login = self.admit(new)
        try:
            self.revoke(tenant)
        except AccessRefusedError as error:
            done = f"the user {successor} was made and {user} is there as well"
            raise AccessUnfinishedError(
                error.command, error.reply, done=done, login=login
            ) from error
        except AccessUnfinishedError as error:
            done = f"the user {successor} was made and {error.done}"
            raise AccessUnfinishedError(
                error.command, error.reply, done=done, login=login
            ) from error
        return login

    def revoke(self, tenant: str) -> int:
        """Remove the user and close its connections; return how many those were."""
        user = self.user_of(tenant)
        if self.describe(user) is None:
            return 0
        # Off first: a client that connects again at once finds the door shut.
        closed = self._change(user, "off")
        try:
            self._send(b"DELUSER", user)
        except AccessRefusedError as error:
            done = f"the user {user} was switched off and its connections are closed"
            raise AccessUnfinishedError(error.command, error.reply, done=done) from None
        return closed

    def user_of(self, tenant: str) -> str:
        """Return the name of the tenant's user."""
        return user_of(self._contract, self._contract.tenant.parse(tenant))

    def plan(self, tenant: str) -> UserPlan:
        """Return what the tenant's user shall be on this server."""
        self._contract.tenant.check(tenant)
        return plan_user(self._contract, tenant, read_dialect(self._client, self._rule))

    def write(self, plan: UserPlan, digests: Sequence[str], *, enabled: bool = True) -> int:
        """Make the user as planned, in one step, and close its connections; return how many.

        `digests` are the SHA-256 of its passwords.
        """
        return self._change(plan.user, *setuser_words(plan, digests, enabled=enabled))

    def describe(self, user: str) -> UserState | None:
        """Return what the user is on the server, None where there is no such user."""
        reply = self._send(b"GETUSER", user)
        try:
            return read_state(self._client, reply)
        except redis.ResponseError as error:
            raise AccessRefusedError("ACL CAT", str(error)) from None

    def save(self) -> None:
        """Let the server write its users, which were changed before, into its ACL file."""
        try:
            self._send(b"SAVE")
        except AccessRefusedError as error:
            done = "the users are changed, until a restart undoes it"
            raise AccessUnfinishedError(error.command, error.reply, done=done) from None

    def refuse_itself(self, user: str) -> None:
        """Raise OwnAccountError if the user is the account that sends these commands."""
        try:
            account = self._send(b"WHOAMI")
        except AccessRefusedError:
            # The right to change users does not imply that to ask who one is.
            return
        if account == user.encode():
            raise OwnAccountError(user)

    def _change(self, user: str, *words: str) -> int:
        """Change the user in one step and close its connections; return how many those were."""
        self.refuse_itself(user)
        # Closed before as well: an account that may not close them finds out before it changes
        # anything.
        closed = self._close_connections(user)
        self._send(b"SETUSER", user, *words)
        try:
            return closed + self._close_connections(user)
        except AccessRefusedError as error:
            done = f"the user {user} was changed, and connections of it may be open"
            raise AccessUnfinishedError(error.command, error.reply, done=done) from None

    def _close_connections(self, user: str) -> int:
        with bulk(self._client) as connection:
            (reply,) = connection.exchange([(b"CLIENT", b"KILL", b"USER", user.encode())])
        if isinstance(reply, redis.ResponseError):
            if _NO_SUCH_USER in str(reply):
                return 0
            raise AccessRefusedError("CLIENT KILL", str(reply)) from None
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
