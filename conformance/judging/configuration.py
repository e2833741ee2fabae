# SPDX-License-Identifier: Apache-2.0
"""Judges of the server's directives: config.* of the registry."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from kryonix_cache.conformance.judging.directive_values import in_words, normal_form, size_words
from kryonix_cache.conformance.judging.judgement import (
    Judgement,
    inconclusive,
    judged,
    not_applicable,
)
from kryonix_cache.reports.lines import Finding

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from kryonix_cache.conformance.judging.server_facts import DeploymentFacts
    from kryonix_cache.reference_impl.contract import Contract, Directive, Profile

    ServerJudge = Callable[[DeploymentFacts, Contract, Profile], Judgement]

BUILT_IN: Mapping[str, str] = {
    "databases": "16",
    "maxmemory": "0",
    "maxmemory-policy": "noeviction",
    "maxmemory-samples": "5",
    "timeout": "0",
    "tcp-keepalive": "300",
    "tcp-backlog": "511",
    "hash-max-listpack-entries": "512",
    "hash-max-listpack-value": "64",
    "list-max-listpack-size": "-2",
    "set-max-intset-entries": "512",
    "zset-max-listpack-entries": "128",
    "save": "3600 1 300 100 60 10000",
    "appendonly": "no",
    "appendfsync": "everysec",
    "auto-aof-rewrite-percentage": "100",
    "auto-aof-rewrite-min-size": "64mb",
}
"""What servers from Redis 6.2 on take for a directive that no file names.

CONFIG REWRITE leaves out what has this value, so a file alone does not tell it.
"""


def config_refusal(requirement: str, facts: DeploymentFacts) -> Judgement | None:
    """Return the judgement that the directives could not be read, or None if they were."""
    if facts.directives:
        return None
    reply = facts.refusals.get("CONFIG GET", "it answered with nothing")
    reason = f"the server refuses CONFIG GET to this user ({reply}); allow +config|get"
    return inconclusive(requirement, reason, {"directives": 0})


def judge_directives(
    requirement: str, facts: DeploymentFacts, _contract: Contract, profile: Profile
) -> Judgement:
    """Compare each directive of one requirement with its value in the profile."""
    refusal = config_refusal(requirement, facts)
    if refusal:
        return refusal
    directives = [each for each in profile.directives if each.requirement == requirement]
    if not directives:
        return not_applicable(requirement, "the contract names no directive for it")
    findings = [finding for each in directives for finding in _deviations(each, facts)]
    observations = {"directives": len(directives)}
    unknown = [each.name for each in directives if _host_is_unknown(each, facts)]
    if unknown and not findings:
        reason = f"INFO does not tell the host's memory, which {', '.join(unknown)} must fit into"
        return inconclusive(requirement, reason, observations)
    return judged(requirement, findings, observations)


def judge_persisted(facts: DeploymentFacts, contract: Contract, profile: Profile) -> Judgement:
    """Judge whether the configuration survives a restart (E06)."""
    requirement = "config.persisted"
    refusal = config_refusal(requirement, facts)
    if refusal:
        return refusal
    if facts.config_path is None:
        reply = facts.refusals.get("INFO", "the field is missing")
        reason = f"INFO does not tell whether there is a configuration file ({reply})"
        return inconclusive(requirement, reason, {"directives": 0})
    if not facts.config_path:
        return judged(requirement, [_NO_FILE], {"directives": 0})
    if facts.config_file is None:
        return not_applicable(
            requirement,
            f"the server has the configuration file {facts.config_path}; whether it holds the "
            "running values shows only with --config-file PATH or on a restarted server",
        )
    return _compared_with_file(requirement, facts, contract, profile)


def judges_of(contract: Contract) -> dict[str, ServerJudge]:
    """Return a judge for each requirement that a directive of the contract stands for."""
    requirements = dict.fromkeys(
        directive.requirement
        for profile in contract.profiles.values()
        for directive in profile.directives
    )
    return {each: partial(judge_directives, each) for each in requirements} | {
        "config.persisted": judge_persisted
    }


_NO_FILE = Finding(
    where="configuration file",
    found="none: the configuration is lost at restart",
    wanted="a configuration file that holds the running values",
    erratum="E06",
    remedy="start the server with a configuration file; "
    "`kryonix-cache contract redis-conf` writes one",
)


def _known_name(directive: Directive, facts: DeploymentFacts) -> str | None:
    return next((name for name in directive.names if name in facts.directives), None)


def _deviations(directive: Directive, facts: DeploymentFacts) -> Iterator[Finding]:
    name = _known_name(directive, facts)
    if name is None:
        yield Finding(
            where=f"directive {directive.name}",
            found="a server that does not know it",
            wanted=_wanted(directive),
            erratum=directive.erratum,
            remedy="use a server that has the directive under one of the names "
            + ", ".join(directive.names),
        )
        return
    found = facts.directives[name]
    if not _value_holds(directive, found):
        remedy = _remedy(directive, name, facts)
    elif _host_is_too_small(directive, found, facts):
        found = f"{found}, on a host with {size_words(facts.host_memory or 0)}"
        remedy = "move to a host with more memory, or choose the profile that fits this one"
    else:
        return
    yield Finding(
        where=f"directive {name}",
        found=in_words(directive, found),
        wanted=_wanted(directive),
        erratum=directive.erratum,
        remedy=remedy,
    )


def _value_holds(directive: Directive, found: str) -> bool:
    value = normal_form(directive.unit, found)
    if directive.comparison == "set-and-host-has-it":
        return isinstance(value, int) and value > 0
    return value == normal_form(directive.unit, directive.value)


def _needs_host(directive: Directive) -> bool:
    return directive.comparison != "equal"


def _host_is_unknown(directive: Directive, facts: DeploymentFacts) -> bool:
    return _needs_host(directive) and facts.host_memory is None


def _host_is_too_small(directive: Directive, found: str, facts: DeploymentFacts) -> bool:
    if not _needs_host(directive) or facts.host_memory is None:
        return False
    value = normal_form(directive.unit, found)
    return isinstance(value, int) and value > facts.host_memory


def _wanted(directive: Directive) -> str:
    if directive.comparison == "set-and-host-has-it":
        return "a limit above 0 and within the host's memory"
    wanted = in_words(directive, directive.value)
    return f"{wanted}, on a host that has it" if _needs_host(directive) else wanted


def _remedy(directive: Directive, name: str, facts: DeploymentFacts) -> str:
    value = f'"{directive.value}"' if " " in directive.value else directive.value
    line = f"`{name} {directive.value}`"
    if directive.restart_only:
        return f"put {line} into the configuration file and restart: CONFIG SET refuses it"
    if facts.config_path:
        return f"`CONFIG SET {name} {value}`, then `CONFIG REWRITE`"
    return f"`CONFIG SET {name} {value}`, and put {line} into a configuration file"


def _compared_with_file(
    requirement: str, facts: DeploymentFacts, _contract: Contract, profile: Profile
) -> Judgement:
    file = facts.config_file
    assert file is not None
    findings, compared, unknown = [], 0, []
    for directive in profile.directives:
        name = _known_name(directive, facts)
        if name is None:
            continue
        written = next((file.directives[n] for n in directive.names if n in file.directives), None)
        if written is None and (file.includes or directive.name not in BUILT_IN):
            unknown.append(name)
            continue
        after = BUILT_IN[directive.name] if written is None else written
        compared += 1
        if normal_form(directive.unit, after) != normal_form(
            directive.unit, facts.directives[name]
        ):
            findings.append(_lost(directive, name, facts.directives[name], after))
    if unknown and not findings:
        reason = (
            f"the file does not show {', '.join(unknown)}, which may stand in a file it includes"
        )
        return inconclusive(requirement, reason, {"directives": compared})
    return judged(requirement, findings, {"directives": compared})


def _lost(directive: Directive, name: str, now: str, after: str) -> Finding:
    return Finding(
        where=f"directive {name}",
        found=f"{in_words(directive, now)} now, {in_words(directive, after)} after a restart",
        wanted="the same value now and after a restart",
        erratum="E06",
        remedy="`CONFIG REWRITE`, or change the file",
    )
