# SPDX-License-Identifier: Apache-2.0
"""The table of attacks, read once and checked: a broken table is refused, never half played."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Literal, cast, get_args

from kryonix_cache.conformance.errors import AttackTableError
from kryonix_cache.reference_impl.contract.model import KeyType

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Judge = Literal["refused", "silent", "harmless", "quiet", "no-more"]

PLACEHOLDERS = frozenset(
    {
        "admin", "database", "library", "own", "own_channel", "own_id",
        "own_password", "own_spare", "own_upper", "own_user", "other", "other_channel",
        "other_channels", "other_id", "other_user", "planted_end",
        "planted_glob", "sha", "system",
    }
)  # fmt: skip

_PLACEHOLDER = re.compile(r"\{([a-z_]+)\}")
_FIELDS: Mapping[str, type] = {
    "id": str,
    "requirement": str,
    "judge": str,
    "reason": str,
    "words": list,
    "steps": list,
    "before": list,
    "then": list,
    "gives": str,
    "type": str,
    "protocol": int,
    "times": int,
    "asked": bool,
}
_NEEDED = ("id", "requirement", "judge", "reason")


@dataclass(frozen=True, slots=True)
class Attack:
    """One thing that a tenant's user tries; the fields are those of the table."""

    id: str
    requirement: str
    judge: Judge
    reason: str
    steps: tuple[tuple[str, ...], ...]
    before: tuple[tuple[str, ...], ...] = ()
    then: tuple[str, ...] = ()
    gives: str = ""
    type: KeyType = "string"
    protocol: int = 2
    times: int = 1
    asked: bool = False

    def __str__(self) -> str:
        return "; ".join(" ".join(words) for words in self.steps)


@dataclass(frozen=True, slots=True)
class AttackTable:
    """All attacks, and from which share of untried commands on a sweep says nothing.

    `exempt` are the commands that no user can be refused on some server, with the reason.
    """

    attacks: tuple[Attack, ...]
    untried_percent: float
    exempt: Mapping[str, str]

    def of(self, requirement: str) -> tuple[Attack, ...]:
        """Return the attacks of one requirement."""
        return tuple(each for each in self.attacks if each.requirement == requirement)


@cache
def attack_table() -> AttackTable:
    """Return the table that the suite ships; raise AttackTableError where it breaks a rule."""
    return parse_table(files(__package__).joinpath("attacks.toml").read_text(encoding="utf-8"))


def parse_table(text: str) -> AttackTable:
    """Read a table; raise AttackTableError for the first rule that it breaks."""
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise AttackTableError(f"The table of attacks is no TOML: {error}.") from error
    limit = raw.get("limits", {}).get("untried_percent")
    if isinstance(limit, bool) or not isinstance(limit, int | float):
        raise AttackTableError("The table of attacks names no limits.untried_percent.")
    attacks = tuple(_attack(each) for each in raw.get("attack", ()))
    seen: set[str] = set()
    for each in attacks:
        if each.id in seen:
            raise AttackTableError(f"Two attacks are called {each.id!r}.")
        seen.add(each.id)
    if not attacks:
        raise AttackTableError("The table of attacks holds none.")
    return AttackTable(attacks, limit, dict(_exempt(raw.get("exempt", ()))))


def _exempt(raw: object) -> Iterator[tuple[str, str]]:
    for each in cast("list[object]", raw):
        fields = each if isinstance(each, dict) else {}
        command, reason = fields.get("command"), fields.get("reason")
        if not (isinstance(command, str) and command and isinstance(reason, str) and reason):
            raise AttackTableError("An exempt command of the table of attacks has no reason.")
        yield command, reason


def _attack(raw: Mapping[str, object]) -> Attack:
    name = raw.get("id", "?")
    for needed in _NEEDED:
        if not raw.get(needed):
            raise AttackTableError(f"The attack {name!r} has no {needed}.")
    for field, value in raw.items():
        if field not in _FIELDS or not isinstance(value, _FIELDS[field]):
            raise AttackTableError(
                f"The attack {name!r} has a field {field!r} that it cannot have."
            )
    if ("words" in raw) == ("steps" in raw):
        raise AttackTableError(f"The attack {name!r} has words or steps, one of them.")
    if raw["judge"] not in get_args(Judge):
        raise AttackTableError(f"The attack {name!r} has the judge {raw['judge']!r}.")
    if raw.get("type", "string") not in get_args(KeyType):
        raise AttackTableError(f"The attack {name!r} has the type {raw['type']!r}.")
    if ("then" in raw) != ("gives" in raw):
        raise AttackTableError(
            f"The attack {name!r} has then without gives, or gives without then."
        )
    steps = _commands(name, raw["steps"] if "steps" in raw else [raw["words"]])
    before = _commands(name, raw.get("before", []))
    then = _commands(name, [raw["then"]])[0] if "then" in raw else ()
    return Attack(
        id=cast("str", name),
        requirement=cast("str", raw["requirement"]),
        judge=cast("Judge", raw["judge"]),
        reason=cast("str", raw["reason"]),
        steps=steps,
        before=before,
        then=then,
        gives=cast("str", raw.get("gives", "")),
        type=cast("KeyType", raw.get("type", "string")),
        protocol=cast("int", raw.get("protocol", 2)),
        times=cast("int", raw.get("times", 1)),
        asked=cast("bool", raw.get("asked", False)),
    )


def _commands(name: object, raw: object) -> tuple[tuple[str, ...], ...]:
    commands = cast("list[object]", raw)
    for words in commands:
        if not isinstance(words, list) or not words:
            raise AttackTableError(f"The attack {name!r} has a command without words.")
        for word in words:
            if not isinstance(word, str):
                raise AttackTableError(
                    f"The attack {name!r} has the word {word!r}, which is no text."
                )
            unknown = set(_PLACEHOLDER.findall(word)) - PLACEHOLDERS
            if unknown:
                raise AttackTableError(
                    f"The attack {name!r} has the placeholder {', '.join(sorted(unknown))}, "
                    "which stands for nothing."
                )
    return tuple(tuple(words) for words in cast("list[list[str]]", raw))


def filled(words: tuple[str, ...], values: Mapping[str, bytes]) -> list[bytes]:
    """Return the words as they are sent, with each placeholder's value in its place."""
    return [
        b"".join(
            values[piece] if index % 2 else piece.encode()
            for index, piece in enumerate(_PLACEHOLDER.split(word))
        )
        for word in words
    ]
