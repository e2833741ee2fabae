# SPDX-License-Identifier: Apache-2.0
"""What a user is on the server, in a form that can be held against a plan."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from kryonix_cache.reference_impl.access.dialect import DATABASES_FIELD, SELECTORS_FIELD
from kryonix_cache.reference_impl.access.rules import Rules
from kryonix_cache.reference_impl.connection import bulk

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    import redis

    from kryonix_cache.reference_impl.access.rules import UserPlan
    from kryonix_cache.reference_impl.connection import Reply

EVERYTHING = "@all"
ROTATION = ("--rotate", "--force")
"""Options that give a user another password, in place of the one in its file."""


@dataclass(frozen=True, slots=True)
class UserState:
    """A user as ACL GETUSER describes it.

    `open` says that it needs no password; `digests` are the SHA-256 of its passwords.
    """

    enabled: bool
    open: bool
    digests: tuple[str, ...]
    root: Rules
    selectors: frozenset[Rules]

    @property
    def unguarded(self) -> bool:
        """Say whether anybody may come in as this user, and do anything at all then."""
        rules = (self.root, *self.selectors)
        return self.enabled and self.open and any(each.commands for each in rules)

    def keeps(self, plan: UserPlan) -> bool:
        """Say whether the rules are those of the plan; state and passwords are not looked at."""
        return (self.root, self.selectors) == (plan.root, plan.selectors)


@dataclass(frozen=True, slots=True)
class Difference:
    """One way in which a user is not as it should be."""

    what: str
    found: str
    wanted: str
    remedy: str


def read_state(client: redis.Redis, getuser: Reply) -> UserState | None:
    """Read the reply of ACL GETUSER; None for a user that is not there.

    Servers before Valkey 9 describe commands by categories, which are asked for (ACL CAT).
    Raises redis.ResponseError where this account may not ask.
    """
    if not isinstance(getuser, list):
        return None
    fields = _fields(getuser)
    brackets = [
        _fields(each) for each in cast("list[Reply]", fields.get(SELECTORS_FIELD.decode(), []))
    ]
    categories = _categories(client, [fields, *brackets])
    flags = _texts(fields["flags"])
    return UserState(
        enabled="on" in flags,
        open="nopass" in flags,
        digests=tuple(_texts(fields["passwords"])),
        root=_rules(fields, categories),
        selectors=frozenset(_rules(each, categories) for each in brackets),
    )


def differences(plan: UserPlan, state: UserState | None) -> list[Difference]:
    """Return how the user on the server is not as planned."""
    renew = apply_command(plan.tenant)
    if state is None:
        return [Difference("user", "none", plan.user, f"make it: {renew}")]
    found = list(_of_the_account(plan, state))
    found += _of_rules("its rules", state.root, plan.root, renew)
    mine, theirs = _by_place(plan.selectors), _by_place(state.selectors)
    for place in sorted(mine.keys() | theirs.keys()):
        what = f"the selector of {place}"
        if place not in theirs:
            found.append(Difference(what, "none", _commands(mine[place]), f"renew: {renew}"))
        elif place not in mine:
            found.append(Difference(what, _commands(theirs[place]), "none", f"renew: {renew}"))
        else:
            found += _of_rules(what, theirs[place], mine[place], renew)
    if not found and not state.keeps(plan):
        found.append(
            Difference("its selectors", "split in another way", "as planned", f"renew: {renew}")
        )
    return found


def apply_command(tenant: str, *more: str) -> str:
    """Return the command that makes or renews a tenant's user, to be run by hand."""
    words = ["kryonix-cache acl apply --tenant", tenant, "--secret-file FILE", *more]
    return f"`{' '.join(words)}`"


def _of_the_account(plan: UserPlan, state: UserState) -> Iterator[Difference]:
    what = f"the user {plan.user}"
    rotate = f"give it one: {apply_command(plan.tenant, *ROTATION)}"
    if not state.enabled:
        yield Difference(
            what, "off", "on", f"let it in again: {apply_command(plan.tenant, '--admit')}"
        )
    if state.open:
        yield Difference(what, "needs no password", "one password", rotate)
    elif len(state.digests) != 1:
        count = f"{len(state.digests)} passwords"
        yield Difference(what, count, "one password", rotate)


def _of_rules(what: str, found: Rules, wanted: Rules, renew: str) -> Iterator[Difference]:
    for name, mine, theirs in (
        ("commands", wanted.commands, found.commands),
        ("keys", wanted.keys, found.keys),
        ("channels", wanted.channels, found.channels),
        ("databases", _numbers(wanted), _numbers(found)),
    ):
        if mine != theirs:
            more, fewer = sorted(theirs - mine), sorted(mine - theirs)
            yield Difference(
                f"{what}: {name}",
                _listed(
                    f"also {' '.join(more)}" * bool(more), f"not {' '.join(fewer)}" * bool(fewer)
                ),
                "neither more nor less than planned",
                f"renew: {renew}",
            )


def _numbers(rules: Rules) -> frozenset[str]:
    if rules.databases is None:
        return frozenset({"all"})
    return frozenset(str(number) for number in rules.databases)


def _listed(*texts: str) -> str:
    return ", ".join(text for text in texts if text)


def _by_place(selectors: Iterable[Rules]) -> dict[str, Rules]:
    """Name each selector by its keys and databases, in which no two selectors should agree."""
    found: dict[str, Rules] = {}
    for each in selectors:
        where = "" if each.databases is None else f" in database {' '.join(sorted(_numbers(each)))}"
        place = f"{' '.join(sorted(each.keys)) or 'no key'}{where}"
        known = found.get(place, Rules(frozenset()))
        found[place] = Rules(
            known.commands | each.commands,
            each.keys,
            known.channels | each.channels,
            each.databases,
        )
    return found


def _commands(rules: Rules) -> str:
    return " ".join(sorted(rules.commands)) or "no command"


def _rules(fields: Mapping[str, Reply], categories: Mapping[str, frozenset[str]]) -> Rules:
    keys, channels = _texts(fields["keys"]), _texts(fields["channels"])
    if isinstance(fields["keys"], list):
        # Redis 6.2 gives patterns without the mark that says what they are.
        keys = [f"~{each}" for each in keys]
    databases = fields.get(DATABASES_FIELD.decode())
    return Rules(
        commands=_expanded(_texts(fields["commands"]), categories),
        keys=frozenset(keys),
        channels=frozenset(channel.removeprefix("&") for channel in channels),
        databases=None if databases is None else _databases(_texts(databases)),
    )


def _databases(words: Iterable[str]) -> frozenset[int] | None:
    found: frozenset[int] = frozenset()
    for word in words:
        if word == "alldbs":
            return None
        found |= {int(number) for number in word.removeprefix("db=").split(",")}
    return found


def _expanded(words: Iterable[str], categories: Mapping[str, frozenset[str]]) -> frozenset[str]:
    """Play the words in their order, and return the commands that are allowed then.

    Where something was taken out of a wider word, the wider word stays: no plan has such words,
    for it names each subcommand.
    """
    granted: set[str] = set()
    for word in words:
        sign, name = word[0], word[1:]
        if name == EVERYTHING:
            granted = {EVERYTHING} if sign == "+" else set()
            continue
        named = categories[name[1:]] if name.startswith("@") else {name}
        if sign == "+":
            granted |= named
        else:
            granted -= {each for each in granted if named & {each, each.partition("|")[0]}}
    return frozenset(granted)


def _categories(
    client: redis.Redis, parts: Iterable[Mapping[str, Reply]]
) -> dict[str, frozenset[str]]:
    names = sorted(
        {
            word[2:]
            for part in parts
            for word in _texts(part["commands"])
            if word[1] == "@" and word[1:] != EVERYTHING
        }
    )
    if not names:
        return {}
    with bulk(client) as connection:
        replies = connection.exchange([(b"ACL", b"CAT", name.encode()) for name in names])
    for reply in replies:
        if isinstance(reply, Exception):
            raise reply
    return {name: frozenset(_texts(reply)) for name, reply in zip(names, replies, strict=True)}


def _fields(reply: Reply) -> dict[str, Reply]:
    flat = iter(cast("list[Reply]", reply))
    return {cast("bytes", name).decode(): value for name, value in zip(flat, flat, strict=True)}


def _texts(reply: Reply) -> list[str]:
    """Return the words of a list, or of a text that newer servers give in its place."""
    if isinstance(reply, bytes):
        return reply.decode(errors="backslashreplace").split()
    return [
        cast("bytes", each).decode(errors="backslashreplace") for each in cast("list[Reply]", reply)
    ]
