# SPDX-License-Identifier: Apache-2.0
"""The errors of seeding: one class for each situation."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from kryonix_cache.reference_impl.errors import KryonixError

if TYPE_CHECKING:
    from collections.abc import Sequence

_SHOWN = 5


def _listed(names: Sequence[tuple[int, bytes]]) -> str:
    first = ", ".join(
        f"db {database} {name.decode(errors='replace')!a}" for database, name in names[:_SHOWN]
    )
    return f"{first} and {len(names) - _SHOWN} more" if len(names) > _SHOWN else first


class ForeignKeyError(KryonixError):
    """Keys that seeding would write are there already with another type or value."""

    def __init__(self, names: Sequence[tuple[int, bytes]], *, written: int) -> None:
        self.names = tuple(names)
        self.written = written
        before = f"after {written} keys were written" if written else "and nothing was written"
        super().__init__(
            f"The server holds keys that seeding would overwrite, {before}: {_listed(names)}; "
            "remove or rename them, or seed another server."
        )


class SeedingInterruptedError(KryonixError):
    """The server was lost or refused a command before the work was done."""

    exit_code: ClassVar[int] = 12

    def __init__(self, done: str, reason: str) -> None:
        super().__init__(
            f"{done}, because the server stopped the work ({reason}); mend that and run the same "
            "command again: it continues and touches nothing that is done."
        )


class ContendedKeysError(KryonixError):
    """Another client keeps changing the keys that are being written."""

    exit_code: ClassVar[int] = 12

    def __init__(self, database: int, attempts: int) -> None:
        super().__init__(
            f"Another client changed keys of database {database} during each of {attempts} "
            "attempts to write them; run the same command again when it has finished."
        )


class SyntheticDataError(KryonixError):
    """The contract asks for a value or a key that the generator cannot make."""
