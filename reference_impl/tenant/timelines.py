# SPDX-License-Identifier: Apache-2.0
"""Figures of one tenant over time."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, cast

from kryonix_cache.reference_impl.contract.model import SEPARATOR
from kryonix_cache.reference_impl.tenant.area import Area

if TYPE_CHECKING:
    from kryonix_cache.reference_impl.tenant.exchanges import Program


class Figure(NamedTuple):
    """A figure at a moment, in epoch seconds."""

    moment: int
    name: str
    value: float


class TimelinesArea(Area):
    """The tenant's timeline; the score of a member is its moment (E33)."""

    def add(self, *figures: Figure) -> Program[None]:
        """Add figures; one that is there already stays as it is."""
        members = [
            word
            for moment, name, value in figures
            for word in (b"%d" % moment, f"{moment}:{name}:{value:g}".encode())
        ]
        if members:
            yield from self.ask(b"ZADD", self.key(), *members)

    def between(self, since: int, until: int) -> Program[list[Figure]]:
        """Return the figures from `since` to `until`, both included, oldest first."""
        bounds = (b"%d" % since, b"%d" % until)
        reply = yield from self.ask(b"ZRANGE", self.key(), *bounds, b"BYSCORE")
        members = (member.decode() for member in cast("list[bytes]", reply))
        found = (member.split(SEPARATOR, 2) for member in members)
        return [Figure(int(moment), name, float(value)) for moment, name, value in found]

    def forget(self, until: int) -> Program[int]:
        """Remove figures up to `until`, included; return how many went."""
        command = (b"ZREMRANGEBYSCORE", self.key(), b"-inf", b"%d" % until)
        return cast("int", (yield from self.ask(*command)))
