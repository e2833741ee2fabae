# SPDX-License-Identifier: Apache-2.0
"""The configuration file of a server that keeps a profile of the contract."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kryonix_cache.reference_impl.contract.errata import load_errata

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from kryonix_cache.reference_impl.contract.contract import Contract
    from kryonix_cache.reference_impl.contract.model import Directive, Profile

# Not part of the contract's directives, because their right value depends on the network and
# the users; these values are the safe ones. The last two exist since Redis 7.0.
_HARDENING = (
    ("security.protected-mode", "protected-mode", "yes"),
    ("security.admin-commands", "enable-debug-command", "no"),
    ("security.admin-commands", "enable-protected-configs", "no"),
)
_SINCE_7 = frozenset({"enable-debug-command", "enable-protected-configs"})
_PREAMBLE = """\
Generated from the contract {name} {version}, profile {profile}. Add the directives of the host
(port, bind, dir, logfile), or include this file from one that has them.

A server that holds data and is restarted with appendonly yes before it has an append-only file
starts empty. On a running server send CONFIG SET appendonly yes first, and wait until INFO
persistence says aof_rewrite_in_progress:0.
"""
_NOTES = """\
What this file cannot hold, because it is secret or the host's own:

security.authentication (E26): give each user a password, best as its SHA-256 in an ACL file
(aclfile; user NAME on #DIGEST), or set requirepass.

security.default-user (E26): once other users exist, switch the default user off
(ACL SETUSER default off).

security.tls: set tls-port, tls-cert-file, tls-key-file and tls-ca-cert-file; port 0 closes the
port without TLS.
"""


def directives(contract: Contract, profile: Profile | str) -> Mapping[str, str]:
    """
    Return the value that each directive has in `profile`, by its modern name.

    Raises ContractError for the name of an unknown profile.
    """
    return {each.name: each.value for each in _profile(contract, profile).directives}


def redis_conf(
    contract: Contract, profile: Profile | str, known: Callable[[str], bool] | None = None
) -> str:
    """
    Return the text of a configuration file that mends what `profile` finds in a server.

    `known` says whether the server knows a directive; without it the modern names are taken.
    Of each directive's names the first known one is written; one that the server knows by no
    name is left out with a comment. Raises ContractError for the name of an unknown profile.
    """
    chosen = _profile(contract, profile)
    knows = known or (lambda _: True)
    names = {"name": contract.name, "version": contract.version, "profile": chosen.name}
    blocks = [_comment(_PREAMBLE.format(**names))]
    blocks += [_block(each, knows) for each in chosen.directives]
    blocks += [
        f"{_comment(requirement)}\n{name} {value}"
        for requirement, name, value in _HARDENING
        if knows(name)
    ]
    return "\n\n".join([*blocks, _comment(_NOTES)]) + "\n"


def known_before_7(contract: Contract) -> Callable[[str], bool]:
    """Return a `known` for servers before Redis 7.0, which know renamed directives as aliases."""
    renamed = {
        directive.name
        for profile in contract.profiles.values()
        for directive in profile.directives
        if directive.aliases
    }
    unknown = _SINCE_7 | renamed
    return lambda name: name not in unknown


def _profile(contract: Contract, profile: Profile | str) -> Profile:
    return contract.profile(profile) if isinstance(profile, str) else profile


def _block(directive: Directive, knows: Callable[[str], bool]) -> str:
    name = next((each for each in directive.names if knows(each)), None)
    if name is None:
        return _comment(f"{directive.requirement}: this server has no {directive.name}")
    return "\n".join([_comment("\n".join(_reasons(directive))), *_lines(name, directive)])


def _reasons(directive: Directive) -> Iterator[str]:
    erratum = load_errata().get(directive.erratum or "")
    yield directive.requirement + (f" ({erratum.id}: {erratum.title})" if erratum else "")
    if directive.restart_only:
        yield "takes effect at the start of the server only"
    if directive.comparison != "equal":
        yield "the host must have more memory than this"


def _lines(name: str, directive: Directive) -> Iterator[str]:
    if directive.unit != "snapshots":
        yield f"{name} {directive.value}"
        return
    # One pair a line: several pairs in one are understood since Redis 7.0 only.
    numbers = directive.value.split()
    pairs = list(zip(numbers[::2], numbers[1::2], strict=True))
    yield from (f"{name} {seconds} {changes}" for seconds, changes in pairs)
    if not pairs:
        yield f'{name} ""'


def _comment(text: str) -> str:
    return "\n".join(f"# {line}".rstrip() for line in text.splitlines())
