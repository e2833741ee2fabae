# SPDX-License-Identifier: Apache-2.0
"""The errors of the optimiser: one class for each situation."""

from __future__ import annotations

from typing import ClassVar

from kryonix_cache.reference_impl.errors import KryonixError, TargetLostError


class OptimiserBusyError(KryonixError):
    """Another run holds the lock."""

    def __init__(self, owner: str, since: str, seconds_left: int) -> None:
        self.owner = owner
        super().__init__(
            f"Another run of the optimiser, {owner}, has worked since {since}: wait for it; "
            f"if it died, its lock is gone in {seconds_left} s."
        )


class UnknownOptimisationError(KryonixError):
    """The run that is to be undone left no trail."""

    def __init__(self, run: str) -> None:
        super().__init__(
            f"No change of a run {run!r} is recorded on this server: "
            "the run's own output names it, and records are kept as long as the contract says."
        )


class NoOptimiserRulesError(KryonixError):
    """The contract says nothing about an optimiser."""

    def __init__(self, contract: str) -> None:
        super().__init__(
            f"The contract {contract!r} has no section [optimiser], so nothing says when to act: "
            "add the section, or use the contract that comes with the project."
        )


class MomentInvalidError(KryonixError):
    """A moment that shall be taken for the present has no offset from UTC (E27)."""

    def __init__(self, given: str) -> None:
        super().__init__(
            f"The moment {given} has no offset from UTC, so hosts would read it differently: "
            "give one, as 2025-01-27T10:00:00Z."
        )


class OptimisationLostError(TargetLostError):
    """The server went away during a run; what was changed until then is on its trail."""

    def __init__(self, run: str, tenant: str, reason: str) -> None:
        super().__init__(
            f"The server was lost while the run {run} was at the tenant {tenant!r} ({reason}); "
            "check that the server runs, then run again: what was changed is recorded, and can be "
            "undone."
        )


class LockLostError(KryonixError):
    """The lock of this run is gone or belongs to another run."""

    exit_code: ClassVar[int] = 12

    def __init__(self, owner: str) -> None:
        super().__init__(
            f"The run {owner} lost its lock and stopped, because it took longer than the lock "
            "lives or somebody removed it: run again; what was changed is recorded, and can be "
            "undone."
        )


class StrayLockError(KryonixError):
    """What stands where the optimiser's lock belongs is no lock."""

    def __init__(self, key: str, found: str) -> None:
        super().__init__(
            f"The key {key!a} {found}, so no run can lock it: find out who wrote it, and remove it."
        )


class LockRefusedError(KryonixError):
    """The server does not let this user, or anybody, take the lock."""

    def __init__(self, key: str, reply: str) -> None:
        super().__init__(
            f"The server refuses the lock {key!a} ({reply}), and nothing was begun without it: "
            "allow it by ACL, or give a server that takes writes."
        )


class WritesRefusedError(KryonixError):
    """The server takes no writes from anybody at the moment."""

    exit_code: ClassVar[int] = 12

    def __init__(self, run: str, tenant: str, reply: str) -> None:
        super().__init__(
            f"The server takes no writes ({reply}), so the run {run} stopped at the tenant "
            f"{tenant!r}: mend that on the server and run again; what was changed is recorded, "
            "and can be undone."
        )


class BookkeepingUnusableError(KryonixError):
    """What stands where the optimiser keeps its marks or its trail cannot be used for it."""

    def __init__(self, key: str, found: str) -> None:
        super().__init__(
            f"The key {key!a} {found}, so nothing of this tenant was changed beside it: "
            "find out who wrote it, and remove it."
        )
