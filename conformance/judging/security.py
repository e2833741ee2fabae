# SPDX-License-Identifier: Apache-2.0
"""Judges of what the server lets strangers and ordinary users do: security.* of the registry."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from kryonix_cache.conformance.judging.attempts import CONNECTION
from kryonix_cache.conformance.judging.configuration import config_refusal
from kryonix_cache.conformance.judging.judgement import (
    Judgement,
    inconclusive,
    judged,
    not_applicable,
)
from kryonix_cache.reports.lines import Finding

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from kryonix_cache.conformance.judging.configuration import ServerJudge
    from kryonix_cache.conformance.judging.server_facts import DeploymentFacts
    from kryonix_cache.reference_impl.contract import Contract, Profile

_CLOSE_DEFAULT_USER = (
    "give every user a password and switch the default user off, or set requirepass"
)
_GUARDS = {
    "enable-debug-command": "DEBUG can stop the server and read every tenant's data",
    "enable-protected-configs": "CONFIG SET dir and dbfilename can write any file of the server",
}


def judge_authentication(
    facts: DeploymentFacts, _contract: Contract, _profile: Profile
) -> Judgement:
    """Judge what a connection without credentials was let do, and what its ACL would let it."""
    requirement = "security.authentication"
    answered = [attempt for attempt in facts.anonymous if attempt.reply is not None]
    if not answered:
        reason = next((attempt.reason for attempt in facts.anonymous), "none was made")
        return inconclusive(
            requirement, f"no second connection came about ({reason})", {"attempts": 0}
        )
    findings = [
        Finding(
            where=f"{attempt.command} without credentials",
            found="it is served",
            wanted="it is refused",
            erratum="E26",
            remedy=_CLOSE_DEFAULT_USER,
        )
        for attempt in answered
        if attempt.allowed
    ]
    user = facts.default_user
    # Behind a connection that needs a certificate, or is refused, nobody gets to be this user.
    refused_whole = any(attempt.command == CONNECTION for attempt in answered)
    if user is not None and user.is_open and not refused_whole:
        findings.append(
            Finding(
                where="ACL user default",
                found=f"on, without a password and with the commands {user.commands}",
                wanted="off, or no command without a password",
                erratum="E26",
                remedy=_CLOSE_DEFAULT_USER,
            )
        )
    return judged(requirement, findings, {"attempts": len(answered)})


def judge_default_user(facts: DeploymentFacts, _contract: Contract, _profile: Profile) -> Judgement:
    """Judge whether the default user is off or has no keys."""
    requirement = "security.default-user"
    user = facts.default_user
    if user is None:
        reply = facts.refusals.get("ACL GETUSER", "it answered with nothing")
        reason = f"the server does not show the default user ({reply}); allow +acl|getuser"
        return inconclusive(requirement, reason, {"users": 0})
    findings = []
    if "off" not in user.flags and (user.keys or user.selectors):
        password = "no password" if "nopass" in user.flags else "a password"
        keys = user.keys or "those of its selectors"
        findings.append(
            Finding(
                where="ACL user default",
                found=f"on, with {password} and the keys {keys}",
                wanted="off, or without keys",
                erratum="E26",
                remedy="make users of their own for people and services, then "
                "`ACL SETUSER default off`",
            )
        )
    return judged(requirement, findings, {"users": 1})


def judge_protected_mode(
    facts: DeploymentFacts, _contract: Contract, _profile: Profile
) -> Judgement:
    """Judge protected mode and the addresses that the server listens on."""
    requirement = "security.protected-mode"
    refusal = config_refusal(requirement, facts)
    if refusal:
        return refusal
    mode, bind = facts.directives.get("protected-mode", "no"), facts.directives.get("bind", "")
    findings = []
    if mode != "yes" and (public := _public(bind.split())):
        findings.append(
            Finding(
                where="directive protected-mode",
                found=f"{mode}, and the server listens on {', '.join(public)}",
                wanted="yes, or only addresses that are not public",
                remedy="`CONFIG SET protected-mode yes`, or bind the server to a private address",
            )
        )
    return judged(requirement, findings, {"directives": 1})


def judge_tls(facts: DeploymentFacts, _contract: Contract, _profile: Profile) -> Judgement:
    """Judge how the target is reached; a rediss connection exists only once it was verified."""
    requirement = "security.tls"
    if facts.scheme == "unix":
        return not_applicable(requirement, "the target is reached over a socket of this machine")
    findings = []
    if facts.scheme != "rediss":
        findings.append(
            Finding(
                where="connection to the target",
                found="in clear",
                wanted="TLS with a verified certificate",
                remedy="give the server a TLS port and reach it with a rediss:// URL",
            )
        )
    return judged(requirement, findings, {"connections": 1})


def judge_admin_commands(
    facts: DeploymentFacts, _contract: Contract, _profile: Profile
) -> Judgement:
    """Judge whether DEBUG and the protected directives are disabled."""
    requirement = "security.admin-commands"
    refusal = config_refusal(requirement, facts)
    if refusal:
        return refusal
    findings = [
        Finding(
            where=f"directive {name}",
            found=facts.directives.get(name, "a server without it, where all of it is open"),
            wanted="no",
            remedy=f"put `{name} no` into the configuration file and restart: {danger}"
            if name in facts.directives
            else f"deny DEBUG and CONFIG by ACL, or upgrade to Redis 7: {danger}",
        )
        for name, danger in _GUARDS.items()
        if facts.directives.get(name) != "no"
    ]
    return judged(requirement, findings, {"directives": len(_GUARDS)})


JUDGES: Mapping[str, ServerJudge] = {
    "security.authentication": judge_authentication,
    "security.default-user": judge_default_user,
    "security.protected-mode": judge_protected_mode,
    "security.tls": judge_tls,
    "security.admin-commands": judge_admin_commands,
}


def _public(bind: Iterable[str]) -> list[str]:
    """Return the addresses that strangers may reach; a host name may be any of them."""
    addresses = list(bind) or ["every address"]
    return [address for address in addresses if not _is_inside(address.removeprefix("-"))]


def _is_inside(address: str) -> bool:
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    return not parsed.is_unspecified and (parsed.is_private or parsed.is_link_local)
