# SPDX-License-Identifier: Apache-2.0
"""
The command `kryonix-cache`: finds the module of a command when it is asked for.

A command's module is imported only when the command runs, so `--help` and quick commands do
not pay for the imports of the others. Every error of ours ends in one sentence on standard
error and the exit code of its class, never in a traceback.
"""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from typing import TYPE_CHECKING

import click

from kryonix_cache.conformance import DISTRIBUTION
from kryonix_cache.reference_impl.errors import KryonixError
from kryonix_cache.reports.errors import ReportError

if TYPE_CHECKING:
    from collections.abc import Mapping

INTERRUPTED = 2
INTERNAL_ERROR = 3

COMMANDS: Mapping[str, tuple[str, str]] = {
    "conformance": ("conformance", "Judge a server and an implementation against the contract."),
    "audit": ("audit", "Judge live data and configuration, reading only, in one pass."),
    "seed": ("data", "Write the sample, or synthetic tenants."),
    "unseed": ("data", "Remove what seeding wrote."),
    "acl": ("acl", "Give each tenant a user of its own on the server, and prove that it holds."),
    "optimise": ("optimise", "Analyse each tenant, and improve times to live within bounds."),
    "evaluate": ("evaluate", "Measure what preloading saves, on replayed demand."),
    "contract": ("contract", "Check, show and document the contract; write a redis.conf."),
    "requirements": ("registry", "List, show and document the requirements."),
    "verify": ("records", "Check that a run record is whole and that its verdict follows."),
    "report": ("records", "Write the reports of a run record again."),
    "diff": ("records", "Say what changed between two runs."),
    "runs": ("runs", "List runs, and clean up after killed ones."),
}


class LazyGroup(click.Group):
    """A group whose commands lie in modules that are imported on demand."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order of the table, which is the order of a user's work."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command's module; None for a name that is no command."""
        del ctx
        if cmd_name not in COMMANDS:
            return None
        module_name, _ = COMMANDS[cmd_name]
        module = importlib.import_module(f"{__package__}.{module_name}")
        command: click.Command = getattr(module, cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands without importing any of them."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name=DISTRIBUTION, prog_name="kryonix-cache")
def cli() -> None:
    """Conformance and load tests for multi-tenant Redis caches.

    Exit codes: 0 conformant, 1 non-conformant, 2 interrupted, 3 internal error, 4 usage,
    target, contract or waiver file wrong, 5 nothing ran, 10 partial, 11 inconclusive, 12 the
    target was lost or the suite failed.
    """


def main() -> None:
    """Run the command line and exit with its code."""
    # Threads of numpy's algebra wait by spinning: on tables as small as a tenant's they cost ten
    # times the processor time that they save. It is read when numpy is imported, which is later.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    try:
        code = cli.main(standalone_mode=False)
    except click.exceptions.Abort:
        code = _complain("Interrupted.", INTERRUPTED)
    except click.UsageError as error:
        error.show()
        code = KryonixError.exit_code
    except click.ClickException as error:
        code = _complain(error.format_message(), KryonixError.exit_code)
    except (KryonixError, ReportError) as error:
        code = _complain(str(error), error.exit_code)
    except BrokenPipeError:
        # The reader of a pipe went away: nothing to say, and nobody to say it to.
        sys.stderr.close()
        code = KryonixError.exit_code
    except Exception as error:  # noqa: BLE001 (Python's own exit code 1 would say non-conformant)
        traceback.print_exc()
        sentence = f"The suite has a fault of its own, {type(error).__name__}: {error}."
        code = _complain(sentence, INTERNAL_ERROR)
    sys.exit(code if isinstance(code, int) else 0)


def _complain(sentence: str, code: int) -> int:
    click.echo(f"Error: {sentence}", err=True)
    return code
