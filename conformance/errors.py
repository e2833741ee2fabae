# SPDX-License-Identifier: Apache-2.0
"""The errors of the conformance suite and of its command line: one class for each situation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kryonix_cache.reference_impl.errors import KryonixError

if TYPE_CHECKING:
    from pathlib import Path


class ConformanceError(KryonixError):
    """Base of the errors of the suite itself."""


class RegistryError(ConformanceError):
    """The registry of requirements or the checklist breaks one of its rules."""

    exit_code = 3


class AttackTableError(ConformanceError):
    """The table of attacks breaks one of its rules."""

    exit_code = 3


class UnknownRequirementError(ConformanceError):
    """A requirement id was given that the registry does not hold."""


class WaiverError(ConformanceError):
    """A waiver file cannot be used: unreadable, incomplete, expired, or for an unknown id."""


class UsageError(ConformanceError):
    """The command line asks for something that cannot be done; nothing was started."""


class ConfigFileError(ConformanceError):
    """The server's configuration file, given for comparison, cannot be read."""


class RunBrokenError(ConformanceError):
    """The process of the run ended before it had judged."""

    exit_code = 12

    def __init__(self, status: int) -> None:
        how = f"by signal {-status}" if status < 0 else f"with status {status}"
        super().__init__(
            f"The run was ended {how} and has no verdict: run again. "
            "`kryonix-cache runs clean` removes what it left on a live target."
        )


class LivingRunsUnknownError(ConformanceError):
    """Which runs are still connected cannot be seen, so their keys might be in use."""

    def __init__(self, reply: str) -> None:
        super().__init__(
            f"The server refuses CLIENT LIST to this user ({reply}), so nobody can tell which runs "
            "are still connected: allow +client|list, or give --force when none is."
        )


class RunIdInUseError(ConformanceError):
    """Keys of a run's tenants were there before the run began."""

    def __init__(self, run: str, keys: int) -> None:
        super().__init__(
            f"The run id {run} already has {keys} keys on the target: take another id, "
            "or remove them with `kryonix-cache runs clean`."
        )


class SecretFileError(ConformanceError):
    """The file for a tenant's password cannot be read or written."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"The secret file {path} cannot be used: {reason}.")


class SecretUnfitError(ConformanceError):
    """A password that an operator brought is none to be trusted; it is not shown."""

    def __init__(self, origin: str, reason: str) -> None:
        super().__init__(
            f"The password of {origin} cannot be used: it {reason}; let the command make one "
            "(--secret-file), or take one from a generator."
        )


class PasswordKeptError(ConformanceError):
    """A password that an operator brought does not fit what the user has; nothing was changed."""

    def __init__(self, user: str, reason: str) -> None:
        super().__init__(f"The user {user} {reason}; nothing was changed.")
