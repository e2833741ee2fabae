# SPDX-License-Identifier: Apache-2.0
"""Plans and reviews of tenants' users as text, as commands, as an ACL file and for programs."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from textwrap import shorten
from typing import TYPE_CHECKING, Literal, get_args

from kryonix_cache.reference_impl.access.users import setuser_words

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from kryonix_cache.conformance.access_review import Review
    from kryonix_cache.reference_impl.access import Rules, UserPlan
    from kryonix_cache.reference_impl.access.state import Difference

Form = Literal["text", "commands", "aclfile", "json"]
FORMS: tuple[Form, ...] = get_args(Form)

DIGEST = "<sha256-of-the-password>"
"""Stands where the digest of a password belongs: a plan knows none."""

_WIDTH = 160


@dataclass(frozen=True, slots=True)
class Page:
    """A plan, and how the server differs from it where it was `compared`."""

    plan: UserPlan
    compared: bool = False
    differences: Sequence[Difference] = field(default=())

    @property
    def status(self) -> str:
        """'new', 'same' or 'differs' on the server; 'not compared' without one."""
        if not self.compared:
            return "not compared"
        if not self.differences:
            return "same"
        return "new" if self.differences[0].found == "none" else "differs"


def render(pages: Sequence[Page], form: Form) -> str:
    """Return the plans in one of the forms; none of them holds a secret."""
    if form == "json":
        return json.dumps({"users": [_as_data(page) for page in pages]}, indent=2)
    one = {"text": _text, "commands": _command, "aclfile": _line}[form]
    return "\n".join(one(page) for page in pages)


def review_text(review: Review) -> str:
    """Return what was found out about a user, for people."""
    lines = [f"{review.user}: {review.verdict}"]
    lines += [f"  {each}" for each in _deviations(review.deviations)]
    lines += [f"  not proven: {gap}" for gap in review.gaps]
    lines += [f"  cannot be expressed here: {limit}" for limit in review.limits]
    lines.append(f"  calls asked: {review.asked}, tried as the tenant: {review.tried}")
    return "\n".join(lines)


def _deviations(found: Sequence[Difference]) -> Iterator[str]:
    for each in found:
        yield f"{_short(each.what)}: found {_short(each.found)}; wanted {_short(each.wanted)}"
        yield f"    {each.remedy}"


def _text(page: Page) -> str:
    plan = page.plan
    lines = [f"{plan.user}: {page.status}", *_rules("  everywhere", plan.root)]
    for each in sorted(plan.selectors, key=lambda rules: rules.words()):
        lines += _rules("  and", each)
    lines += [f"  cannot be expressed here: {limit}" for limit in plan.limits]
    if page.status == "differs":
        lines += [f"  on the server: {each}" for each in _deviations(page.differences)]
    return "\n".join(lines)


def _rules(title: str, rules: Rules) -> Iterator[str]:
    if rules.databases is not None:
        numbers = ", ".join(str(number) for number in sorted(rules.databases))
        title += f" in database {numbers}" if len(rules.databases) == 1 else f" in {numbers}"
    yield f"{title}: {' '.join(sorted(rules.commands))}"
    if rules.keys:
        yield f"    keys {' '.join(sorted(rules.keys))}"
    if rules.channels:
        yield f"    channels {' '.join(sorted(rules.channels))}"


def _command(page: Page) -> str:
    words = setuser_words(page.plan, [DIGEST])
    return " ".join(["ACL", "SETUSER", page.plan.user, *map(_quoted, words)])


def _quoted(word: str) -> str:
    if " " not in word:
        return word
    # Between quotes redis-cli takes a backslash for the start of an escape.
    escaped = word.replace("\\", "\\\\")
    return f'"{escaped}"'


def _line(page: Page) -> str:
    return " ".join(["user", page.plan.user, "on", f"#{DIGEST}", *page.plan.words()])


def _as_data(page: Page) -> dict[str, object]:
    plan = page.plan
    return {
        "tenant": plan.tenant,
        "user": plan.user,
        "status": page.status,
        "rules": plan.words(),
        "families": sorted(plan.families),
        "limits": list(plan.limits),
        "differences": [asdict(each) for each in page.differences],
    }


def _short(text: str) -> str:
    return shorten(text, _WIDTH, placeholder=" ...")
