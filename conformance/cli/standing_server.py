# SPDX-License-Identifier: Apache-2.0
"""The server of a command that changes what stays: reached before anything is done."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import click

from kryonix_cache.fixtures.targets.specification import TargetSpec
from kryonix_cache.reference_impl.reachability import reach

if TYPE_CHECKING:
    from pathlib import Path

    from kryonix_cache.reference_impl.endpoint import Endpoint


def standing_endpoint(
    work: str, target: str | None, target_file: Path | None, *, database: int
) -> Endpoint:
    """Return where the server is, once it was reached and has shown that database.

    Raises UsageError, naming the `work`, for a server that the suite would start and stop.
    """
    spec = TargetSpec.resolve(target, target_file=target_file)
    if spec.endpoint is None:
        raise click.UsageError(
            f"{work} needs a server that stays, and {spec.kind} (from {spec.origin}) is one that "
            "the suite starts and stops; give --target redis://host:6379."
        )
    reach(replace(spec.endpoint, database=database))
    return spec.endpoint
