# SPDX-License-Identifier: Apache-2.0
"""The errors of demand: one class for each situation."""

from __future__ import annotations

from kryonix_cache.reference_impl.errors import KryonixError


class DemandInvalidError(KryonixError):
    """A file of demand, or an access log, cannot be read as one."""


class UnreadableHistoryError(ValueError):
    """A stored history is not what is written there; the message says in what."""


class BrokenLineError(ValueError):
    """A line of an access log tells of no read; the message shows nothing of the line."""


class DemandNotKeptError(KryonixError):
    """The contract says nothing of what is kept of reads, so none can be counted or learnt."""

    def __init__(self, contract: str) -> None:
        super().__init__(
            f"The contract {contract!r} has no section [optimiser], which says how much of past "
            "reads is kept: add one, or work without a recorder."
        )
