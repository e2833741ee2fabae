# SPDX-License-Identifier: Apache-2.0
"""The options that several commands share, each said once: which server, by what, how gently."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

if TYPE_CHECKING:
    from collections.abc import Callable

Decorated = TypeVar("Decorated", bound="Callable[..., object] | click.Command")

_FILE = click.Path(path_type=Path)

TARGET_URL = click.option("--target", metavar="URL", help="The server; default KRYONIX_TARGET.")
TARGET_ANY = click.option(
    "--target",
    metavar="TARGET",
    help="URL, docker, local, embedded or auto; default KRYONIX_TARGET, else auto.",
)
TARGET_FILE = click.option(
    "--target-file",
    type=_FILE,
    help="TOML file with url, username, password, ca_file, cert_file, key_file.",
)
CONTRACT = click.option("--contract", type=_FILE, help="A contract file of your own.")
SELECT = click.option(
    "--select",
    metavar="ID,...",
    multiple=True,
    help="Judge these requirements or areas only.",
)
FIELDS = click.option(
    "--fields",
    type=click.Choice(["all", "sample", "none"]),
    default="sample",
    show_default=True,
    help="Whose values to read on a live target; reading touches access clocks on servers "
    "without NO-TOUCH.",
)
MAX_IMPACT = click.option(
    "--max-impact",
    default="high",
    show_default=True,
    metavar="SHARE",
    help="low, medium, high, or the share of time in which a scan may keep the server busy.",
)
CONFIG_FILE = click.option(
    "--config-file", type=_FILE, help="The server's configuration file, to compare with."
)
ALLOW_REPLICA = click.option(
    "--allow-replica", is_flag=True, help="Accept a target that is a replica."
)


def profile_option(default: str) -> Callable[[Decorated], Decorated]:
    """Return the option --profile with the default of a command."""
    return click.option(
        "--profile",
        default=default,
        show_default=True,
        help="ci, staging, production or hardened, or one of your own contract.",
    )
