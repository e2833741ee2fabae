# SPDX-License-Identifier: Apache-2.0
"""`kryonix-cache acl`: a user of its own on the server for each tenant."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click
import redis

from kryonix_cache.conformance.access_review import CLIENT_NAME, lost, review
from kryonix_cache.conformance.cli import user_pages
from kryonix_cache.conformance.cli.secret_files import (
    SECRET_VARIABLE,
    Place,
    SecretFile,
    brought,
    fit,
    names_one_file,
    path_for,
    read_login,
)
from kryonix_cache.conformance.cli.target_options import (
    ALLOW_REPLICA,
    CONTRACT,
    TARGET_FILE,
    TARGET_URL,
)
from kryonix_cache.conformance.cli.user_changes import REMEMBERING, Memory, consider, memory_of
from kryonix_cache.conformance.errors import SecretUnfitError, UsageError
from kryonix_cache.fixtures.declared_users import DeclaredUsers
from kryonix_cache.fixtures.targets.specification import TargetSpec
from kryonix_cache.reference_impl.access import DIALECTS, Login, TenantUsers, plan_user
from kryonix_cache.reference_impl.access.errors import AccessLostError
from kryonix_cache.reference_impl.access.rules import DEFAULT_USER, access_rule
from kryonix_cache.reference_impl.access.state import differences
from kryonix_cache.reference_impl.connection import Pools
from kryonix_cache.reference_impl.contract import Contract, load_contract
from kryonix_cache.reference_impl.errors import TargetRefusedError
from kryonix_cache.reference_impl.reachability import reach

if TYPE_CHECKING:
    from kryonix_cache.reference_impl.access.state import UserState

DEVIATES = 1
PARTLY = 10
"""Exit code of a verify that could not prove everything."""

# The server says so before it closes the connection, which is no reply to a command.
_TOO_MANY = "max number of clients"
_FILE = click.Path(path_type=Path, dir_okay=False)
Command = TypeVar("Command", bound=Callable[..., int])

TENANTS = click.option(
    "--tenant", "tenants", metavar="T", multiple=True, required=True, help="A tenant; may repeat."
)
SECRET_FILE = click.option(
    "--secret-file",
    type=_FILE,
    metavar="PATH",
    help="File of the tenant's password; {tenant} in it stands for each tenant.",
)
SAVE = click.option("--save", is_flag=True, help="Let the server write its ACL file as well.")


@dataclass(frozen=True, slots=True)
class Server:
    """A server whose users are managed."""

    users: TenantUsers
    clients: Pools
    memory: Memory
    place: Place

    def remember(self, *, save: bool) -> str:
        """Return what becomes of a change at a restart; with `save`, after ACL SAVE."""
        if not save:
            return REMEMBERING[self.memory]
        self.users.save()
        return "The server has written its ACL file."

    def warnings(self) -> Iterator[str]:
        """Yield what makes the rules worthless whatever they say."""
        state = self.users.describe(DEFAULT_USER)
        if state is not None and state.unguarded:
            yield (
                "The default user is on and needs no password: every tenant is one RESET away "
                "from its rights. Give all else an account, then ACL SETUSER default off."
            )


@click.group()
def acl() -> None:
    """Give each tenant a user of its own on the server, which the server itself holds back."""


@acl.command()
@TENANTS
@TARGET_URL
@TARGET_FILE
@click.option(
    "--dialect", type=click.Choice(list(DIALECTS)), help="Plan for such a server, without one."
)
@click.option(
    "--format",
    "form",
    type=click.Choice(user_pages.FORMS),
    default="text",
    show_default=True,
    help="For people, for redis-cli, for the server's ACL file, or for programs.",
)
@ALLOW_REPLICA
@CONTRACT
def plan(
    *,
    tenants: Sequence[str],
    target: str | None,
    target_file: Path | None,
    dialect: str | None,
    form: user_pages.Form,
    allow_replica: bool,
    contract: Path | None,
) -> int:
    """Show what the users would be, and how they differ from those on the server."""
    rules, names = _tenants(contract, tenants)
    if dialect is not None:
        if target is not None or target_file is not None:
            raise UsageError("--dialect plans without a server: leave out --target, or --dialect.")
        pages = [user_pages.Page(plan_user(rules, name, DIALECTS[dialect])) for name in names]
    else:
        with _server(rules, target, target_file, replica_allowed=allow_replica) as server:
            pages = [_compared(server.users, name) for name in names]
    click.echo(user_pages.render(pages, form))
    return 0


@acl.command()
@TENANTS
@TARGET_URL
@TARGET_FILE
@SECRET_FILE
@click.option("--password-stdin", is_flag=True, help="Take the password from standard input.")
@click.option("--rotate", is_flag=True, help="Give a user that is there another password.")
@click.option("--admit", is_flag=True, help="Let in again a user that was switched off.")
@click.option("--force", is_flag=True, help="Overwrite a secret file.")
@SAVE
@ALLOW_REPLICA
@CONTRACT
def apply(
    *,
    tenants: Sequence[str],
    target: str | None,
    target_file: Path | None,
    secret_file: Path | None,
    password_stdin: bool,
    rotate: bool,
    admit: bool,
    force: bool,
    save: bool,
    allow_replica: bool,
    contract: Path | None,
) -> int:
    """Make or renew the users of tenants.

    A new password goes into --secret-file and nowhere else; one of your own comes from standard
    input or from the variable KRYONIX_TENANT_PASSWORD. A user that is as planned is left as it
    is, and one that was switched off stays off. Whatever changes a user closes its connections.
    """
    rules, names = _tenants(contract, tenants)
    secrets = _secrets(names, secret_file, from_stdin=password_stdin)
    with _server(rules, target, target_file, replica_allowed=allow_replica) as server:
        _refuse_vain_save(server, save=save)
        changes = [
            consider(server.users, name, secret, rotate=rotate, admit=admit)
            for name, given in secrets.items()
            for secret in [_kept(given, server.place, force=force)]
        ]
        for change in changes:
            click.echo(change.carry_out(server.users))
        # Said once: most of what a server cannot express is the same for every tenant.
        for limit in dict.fromkeys(each for change in changes for each in change.plan.limits):
            click.echo(limit)
        click.echo(server.remember(save=save))
        for warning in server.warnings():
            click.echo(warning)
    return 0


@acl.command()
@TENANTS
@TARGET_URL
@TARGET_FILE
@SECRET_FILE
@click.option("--json", "as_json", is_flag=True, help="Print the result for programs.")
@ALLOW_REPLICA
@CONTRACT
def verify(
    *,
    tenants: Sequence[str],
    target: str | None,
    target_file: Path | None,
    secret_file: Path | None,
    as_json: bool,
    allow_replica: bool,
    contract: Path | None,
) -> int:
    """Prove on the server that the users are as planned and held back.

    Nothing is written and no value is read. With the tenant's password, from --secret-file or
    the variable KRYONIX_TENANT_PASSWORD, it is also tried as the tenant. Exit code 0: proven;
    1: something deviates; 10: part of it could not be proven.
    """
    rules, names = _tenants(contract, tenants)
    logins = _logins(rules, names, secret_file)
    with _server(rules, target, target_file, replica_allowed=allow_replica) as server:
        found = [review(rules, server.users, server.clients, each, logins[each]) for each in names]
    if as_json:
        reviews = [{"verdict": each.verdict, **asdict(each)} for each in found]
        click.echo(json.dumps({"reviews": reviews}, indent=2))
    else:
        for each in found:
            click.echo(user_pages.review_text(each))
    if any(each.deviations for each in found):
        return DEVIATES
    return PARTLY if any(each.gaps for each in found) else 0


@acl.command()
@TENANTS
@TARGET_URL
@TARGET_FILE
@click.option("--dry-run", is_flag=True, help="Say what would be removed, and remove nothing.")
@SAVE
@ALLOW_REPLICA
@CONTRACT
def revoke(
    *,
    tenants: Sequence[str],
    target: str | None,
    target_file: Path | None,
    dry_run: bool,
    save: bool,
    allow_replica: bool,
    contract: Path | None,
) -> int:
    """Remove the users of tenants and close their connections; keys are not touched."""
    rules, names = _tenants(contract, tenants)
    with _server(rules, target, target_file, replica_allowed=allow_replica) as server:
        _refuse_vain_save(server, save=save)
        there = {name: server.users.describe(server.users.user_of(name)) for name in names}
        for name in names:
            user = server.users.user_of(name)
            if there[name] is None:
                click.echo(f"{user}: is not there.")
            elif dry_run:
                click.echo(f"{user}: would be removed, {_connections(server, user)} are open.")
            else:
                click.echo(f"{user}: removed, {server.users.revoke(name)} connections closed.")
        click.echo("Nothing was removed (--dry-run)." if dry_run else server.remember(save=save))
    return 0


def _tenants(contract: Path | None, tenants: Sequence[str]) -> tuple[Contract, list[str]]:
    rules = load_contract(contract)
    access_rule(rules)
    return rules, [rules.tenant.parse(name) for name in dict.fromkeys(tenants)]


@contextmanager
def _server(
    contract: Contract, target: str | None, target_file: Path | None, *, replica_allowed: bool
) -> Iterator[Server]:
    spec = TargetSpec.resolve(target, target_file=target_file)
    if spec.endpoint is None:
        raise UsageError(
            f"Users are for a server that stays, and {spec.kind} (from {spec.origin}) is one that "
            "the suite starts and stops; give --target redis://host:6379."
        )
    policy = DeclaredUsers(contract)
    facts = reach(spec.endpoint, policy=policy, replica_allowed=replica_allowed)
    with Pools(spec.endpoint, policy=policy, name=CLIENT_NAME, sockets=contract.client) as clients:
        try:
            memory = memory_of(clients[0], facts.info)
            place = Place(
                replace(spec.endpoint, username=None).address, facts.info.get("run_id", "")
            )
            yield Server(TenantUsers(contract, clients), clients, memory, place)
        except redis.RedisError as error:
            if _TOO_MANY in str(error):
                raise TargetRefusedError(spec.endpoint.address, lost(error)) from error
            raise AccessLostError(spec.endpoint.address, lost(error)) from error


def _refuse_vain_save(server: Server, *, save: bool) -> None:
    if save and server.memory in {"config-file", "none"}:
        raise UsageError(
            "The server has no ACL file that --save could write: leave it out, or start the "
            "server with the directive aclfile. Nothing was changed."
        )


def _secrets(
    names: Sequence[str], secret_file: Path | None, *, from_stdin: bool
) -> Mapping[str, Path | str]:
    """Return the file of each tenant's password, or the one password that was brought."""
    if secret_file is not None:
        if from_stdin:
            raise UsageError("--secret-file and --password-stdin exclude each other.")
        _refuse_a_second_password()
        return _paths(names, secret_file)
    password = _from_stdin() if from_stdin else brought(os.environ)
    if password is None:
        raise UsageError(
            "Say where the password goes or comes from: --secret-file PATH, --password-stdin, or "
            f"the variable {SECRET_VARIABLE}."
        )
    if len(names) > 1:
        raise UsageError(
            "Several tenants must not share one password: give --secret-file with {tenant} in it."
        )
    return {names[0]: password}


def _kept(secret: Path | str, place: Place, *, force: bool) -> SecretFile | str:
    return secret if isinstance(secret, str) else SecretFile(secret, force=force, place=place)


def _refuse_a_second_password() -> None:
    if SECRET_VARIABLE in os.environ:
        raise UsageError(
            f"--secret-file and the variable {SECRET_VARIABLE} exclude each other: leave out one."
        )


def _from_stdin() -> str:
    origin = "standard input"
    try:
        given = sys.stdin.buffer.read().decode()
    except UnicodeDecodeError:
        raise SecretUnfitError(origin, "is not UTF-8 text") from None
    return fit(given.removesuffix("\n").removesuffix("\r"), origin)


def _paths(names: Sequence[str], template: Path) -> dict[str, Path]:
    if len(names) > 1 and names_one_file(template):
        raise UsageError("Several tenants need a secret file each: put {tenant} into its path.")
    if unfit := [name for name in names if Path(name).name != name]:
        raise UsageError(f"The tenant {unfit[0]!a} cannot stand in the name of a file.")
    return {name: path_for(template, name) for name in names}


def _logins(
    contract: Contract, names: Sequence[str], secret_file: Path | None
) -> Mapping[str, Login | None]:
    if secret_file is not None:
        _refuse_a_second_password()
        return {name: read_login(path) for name, path in _paths(names, secret_file).items()}
    password = brought(os.environ)
    if password is not None and len(names) > 1:
        raise UsageError(
            f"{SECRET_VARIABLE} is the password of one tenant: give --secret-file with {{tenant}} "
            "in it."
        )
    rule = access_rule(contract)
    return {
        name: None
        if password is None
        else Login(rule.user_of(contract.tenant.parse(name)), password)
        for name in names
    }


def _compared(users: TenantUsers, tenant: str) -> user_pages.Page:
    planned = users.plan(tenant)
    state: UserState | None = users.describe(planned.user)
    return user_pages.Page(planned, compared=True, differences=differences(planned, state))


def _connections(server: Server, user: str) -> str:
    try:
        connections = server.clients[0].client_list()
    except redis.ResponseError:
        return "an unknown number of connections"
    return f"{sum(each.get('user') == user for each in connections)} connections"
