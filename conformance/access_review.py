# SPDX-License-Identifier: Apache-2.0
"""
Whether a tenant's user is on the server as planned, and whether the server keeps it to that.

Four things are looked at: the rules, the default user, what ACL DRYRUN answers, and what the
tenant's own connection may do. Whatever cannot be looked at is a gap, and what has a gap is not
proven.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import redis

from kryonix_cache.fixtures.declared_users import DiscardedTrials
from kryonix_cache.reference_impl.access import read_dialect
from kryonix_cache.reference_impl.access.dialect import commands_of
from kryonix_cache.reference_impl.access.rules import DEFAULT_USER, access_rule
from kryonix_cache.reference_impl.access.state import (
    ROTATION,
    Difference,
    apply_command,
    differences,
)
from kryonix_cache.reference_impl.access.users import digest_of
from kryonix_cache.reference_impl.access.verification import (
    CommandShapes,
    ask_the_server,
    for_the_tenant,
    keyless_probes,
    probes,
    try_as_tenant,
)
from kryonix_cache.reference_impl.connection import Pools

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from kryonix_cache.reference_impl.access import Login, TenantUsers, UserPlan
    from kryonix_cache.reference_impl.access.state import UserState
    from kryonix_cache.reference_impl.access.verification import Answers, Probe
    from kryonix_cache.reference_impl.contract import Contract

Verdict = Literal["proven", "deviating", "partly proven"]

CLIENT_NAME = "kryonix-cache:acl"

_SHOWN = 10
_RENEW = (
    "renew the user (`kryonix-cache acl apply`), and tell the server's maintainers if that is it"
)


@dataclass(frozen=True, slots=True)
class Review:
    """What was found out about one tenant's user.

    `asked` calls were put to ACL DRYRUN and `tried` over the tenant's own connection. `gaps` say
    what could not be proven, `limits` what this server's rules cannot express.
    """

    tenant: str
    user: str
    deviations: tuple[Difference, ...]
    gaps: tuple[str, ...]
    limits: tuple[str, ...]
    asked: int
    tried: int

    @property
    def verdict(self) -> Verdict:
        """'proven' only where nothing deviates and nothing was left open."""
        if self.deviations:
            return "deviating"
        return "partly proven" if self.gaps else "proven"


def review(
    contract: Contract, users: TenantUsers, clients: Pools, tenant: str, login: Login | None
) -> Review:
    """Look at the tenant's user on the server; `login` is its account, if the password is known.

    Raises AccessRefusedError where this account may not look, and redis.RedisError where the
    server is lost.
    """
    plan = users.plan(tenant)
    state = users.describe(plan.user)
    found = [*differences(plan, state), *_of_the_default_user(users.describe(DEFAULT_USER))]
    asked: Answers | None = None
    tried: Answers | None = None
    gaps: list[str] = []
    if state is not None:
        found += _of_the_login(plan, state, login)
        try:
            calls, keyless = _calls(contract, clients, plan)
        except redis.ResponseError as error:
            gaps.append(
                f"No call could be tried, for COMMAND is refused to this account ({error})."
            )
            calls, keyless = [], []
        asked = ask_the_server(clients, plan.user, [*calls, *keyless])
        gaps += _gaps_of_asking(asked, login)
        found += _wrong(asked, "ACL DRYRUN")
        if login is None:
            gaps.append(
                "Nothing was tried as the tenant: give its password (--secret-file, or the "
                "variable KRYONIX_TENANT_PASSWORD)."
            )
        elif state.enabled and digest_of(login.password) in state.digests:
            tried = _as_tenant(contract, clients, plan, login, calls)
            found += _wrong(tried, "the tenant's own connection")
            gaps += [f"No answer was had to: {probe}." for probe in tried.unanswered[:_SHOWN]]
    return Review(
        tenant=plan.tenant,
        user=plan.user,
        deviations=tuple(found),
        gaps=tuple(gaps),
        limits=plan.limits,
        asked=asked.tried if asked else 0,
        tried=tried.tried if tried else 0,
    )


def _calls(contract: Contract, clients: Pools, plan: UserPlan) -> tuple[list[Probe], list[Probe]]:
    """Return the calls on keys, and those without a key that the server has besides them."""
    rule = access_rule(contract)
    dialect = read_dialect(clients[0], rule)
    named = dialect.known(commands_of(rule))
    shapes = CommandShapes(clients[0], named)
    return probes(contract, plan, dialect, shapes), keyless_probes(clients[0], named)


def _gaps_of_asking(asked: Answers, login: Login | None) -> Iterator[str]:
    if asked.tried:
        yield from (f"ACL DRYRUN gave no answer to: {each}." for each in asked.unanswered[:_SHOWN])
    elif asked.denied:
        yield "ACL DRYRUN is refused to this account, so nothing was asked."
    elif login is None:
        yield "This server has no ACL DRYRUN, so nothing was asked."


def _of_the_default_user(state: UserState | None) -> Iterator[Difference]:
    if state is not None and state.unguarded:
        yield Difference(
            "the user default",
            "on, without a password",
            "off",
            "every tenant is one RESET away from its rights: ACL SETUSER default off, once all "
            "else has an account of its own",
        )


def _of_the_login(plan: UserPlan, state: UserState, login: Login | None) -> Iterator[Difference]:
    if login is None:
        return
    if login.username != plan.user:
        yield Difference("the secret", f"of {login.username!a}", f"of {plan.user}", "give its own")
    elif digest_of(login.password) not in state.digests:
        yield Difference(
            f"the password of {plan.user}",
            "not the one that the server has",
            "the one that the server has",
            f"give the right one, or another one: {apply_command(plan.tenant, *ROTATION)}",
        )


def _as_tenant(
    contract: Contract, clients: Pools, plan: UserPlan, login: Login, calls: Sequence[Probe]
) -> Answers:
    account = replace(clients.endpoint, username=login.username, password=login.password)
    with Pools(account, policy=DiscardedTrials(), name=CLIENT_NAME, sockets=contract.client) as own:
        return try_as_tenant(own, for_the_tenant(calls, plan.tenant))


def _wrong(answers: Answers, by: str) -> list[Difference]:
    shown = [
        Difference(
            str(probe),
            f"{'refused' if probe.allowed else 'allowed'} by {by}",
            "allowed" if probe.allowed else "refused",
            _RENEW,
        )
        for probe in answers.wrong[:_SHOWN]
    ]
    if more := len(answers.wrong) - len(shown):
        shown.append(Difference(f"{more} more calls", "answered wrongly", "as planned", _RENEW))
    return shown


def lost(error: redis.RedisError) -> str:
    """Return why the server was lost, in one line."""
    return str(error).splitlines()[0].rstrip(".") if str(error) else type(error).__name__
