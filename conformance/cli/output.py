# SPDX-License-Identifier: Apache-2.0
"""Where a command's text goes: standard output, or a file that is written whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import NamedTemporaryFile

import click

OUT = click.option(
    "--out", type=click.Path(path_type=Path, dir_okay=False), help="File to write to."
)
FORCE = click.option("--force", is_flag=True, help="Overwrite the file of --out.")


def emit(text: str, out: Path | None, *, force: bool) -> None:
    """
    Print `text`, or write it to `out` in one step.

    An existing file is refused without `force`; a failed write leaves it as it was.
    """
    if out is None:
        click.echo(text, nl=False)
        return
    try:
        _write(text, out, force=force)
    except FileExistsError:
        raise click.ClickException(
            f"{out} is there already: give --force to overwrite it."
        ) from None
    except OSError as error:
        raise click.ClickException(
            f"{out} cannot be written ({error.strerror}): give --out a file in a writable folder."
        ) from None
    click.echo(f"Wrote {out}.", err=True)


def _write(text: str, out: Path, *, force: bool) -> None:
    with NamedTemporaryFile(
        "w", encoding="utf-8", dir=out.parent, prefix=f".{out.name}.", delete=False
    ) as file:
        part = Path(file.name)
        try:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
            part.chmod(0o666 & ~_umask())
            if force:
                part.replace(out)
            else:
                # Unlike a check followed by a rename, a link never overwrites.
                os.link(part, out)
        finally:
            part.unlink(missing_ok=True)


def _umask() -> int:
    # The mask can only be read by setting it.
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
