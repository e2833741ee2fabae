# SPDX-License-Identifier: Apache-2.0
"""`kryonix-cache acl` as an operator runs it, on every server at hand."""

from __future__ import annotations

import json
import re
import stat
import subprocess
import tomllib
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from kryonix_cache.conformance.cli.main import cli
from kryonix_cache.fixtures.targets.configuration import ServerPlan
from kryonix_cache.fixtures.targets.server import ServerProcess
from kryonix_cache.reference_impl.access import Login
from kryonix_cache.reference_impl.connection import Pools, connect
from kryonix_cache.reference_impl.contract import default_contract
from kryonix_cache.reference_impl.errors import InvalidTenantIdError
from tests.access.accounts import ask, logged_in, may_enter
from tests.conformance.runs import command, command_line, surroundings
from tests.conformance.servers import url_of
from tests.contract.contracts import SHOP, SHOP_FILE
from tests.packaging.tree import ROOT

if TYPE_CHECKING:
    from pathlib import Path

    from kryonix_cache.reference_impl.access import TenantUsers

LONG = "0123456789abcdef" * 3
CONTRACT = default_contract()


class Operator:
    """Runs the command against one server, with its administrator's account."""

    def __init__(self, server: ServerProcess, folder: Path, tenant: str) -> None:
        self.endpoint = server.endpoint
        self.tenant = tenant
        self.file = folder / "secret.toml"
        self._account = {
            "KRYONIX_TARGET": f"redis://{server.endpoint.host_and_port}",
            "KRYONIX_TARGET_USERNAME": server.endpoint.username or "",
            "KRYONIX_TARGET_PASSWORD": server.endpoint.password or "",
        }

    def run(self, name: str, *more: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run one of the commands for the tenant."""
        return command("acl", name, "--tenant", self.tenant, *more, **(self._account | variables))

    def apply(self, *more: str) -> subprocess.CompletedProcess[str]:
        """Apply with the secret file."""
        return self.run("apply", "--secret-file", str(self.file), *more)

    @property
    def login(self) -> Login:
        """What the secret file holds."""
        table = tomllib.loads(self.file.read_text(encoding="utf-8"))
        return Login(table["username"], table["password"])


@pytest.fixture
def operator(server: ServerProcess, tmp_path: Path, tenant: str) -> Operator:
    return Operator(server, tmp_path, tenant)


def refused(done: subprocess.CompletedProcess[str], sentence: str, code: int = 4) -> bool:
    assert sentence in " ".join(done.stderr.split()), done
    assert "Traceback" not in done.stderr
    assert done.stderr.count("\n") <= 4, done.stderr
    assert done.returncode == code, done
    return True


# --- apply ---


def test_a_user_is_made_and_its_password_is_in_the_file_alone(operator: Operator) -> None:
    done = operator.apply()
    assert done.returncode == 0, done
    assert f"tenant-{operator.tenant}: made, 0 connections closed" in done.stdout
    assert stat.S_IMODE(operator.file.stat().st_mode) == 0o600
    assert operator.login.password not in done.stdout + done.stderr
    assert may_enter(operator.endpoint, operator.login)
    assert [each.name for each in operator.file.parent.iterdir()] == [operator.file.name]


def test_the_file_can_be_given_as_a_target_file(operator: Operator) -> None:
    """A tenant that looks with it finds that it may not manage users."""
    operator.apply()
    done = command(
        *("acl", "plan", "--tenant", operator.tenant),
        *("--target", f"redis://{operator.endpoint.host_and_port}"),
        *("--target-file", str(operator.file)),
    )
    assert refused(done, "use an account that may manage users")


def test_applying_again_changes_nothing_and_says_so(operator: Operator, users: TenantUsers) -> None:
    operator.apply()
    before, text = users.describe(operator.login.username), operator.file.read_text()
    with logged_in(operator.endpoint, operator.login) as own:
        own[0].ping()
        done = operator.apply()
        assert "is as planned, nothing was changed" in done.stdout
        own[0].ping()
    assert done.returncode == 0
    assert users.describe(operator.login.username) == before
    assert operator.file.read_text() == text


def test_rules_that_were_changed_are_renewed_and_the_password_stays(
    operator: Operator, pools: Pools, users: TenantUsers
) -> None:
    operator.apply()
    ask(pools[0], "ACL", "SETUSER", operator.login.username, "+scan", "~other:*", "&other")
    done = operator.apply()
    assert "renewed" in done.stdout
    assert may_enter(operator.endpoint, operator.login)
    state = users.describe(operator.login.username)
    assert state is not None
    assert state.keeps(users.plan(operator.tenant))


def test_a_user_that_needed_no_password_gets_one(operator: Operator, pools: Pools) -> None:
    ask(pools[0], "ACL", "SETUSER", f"tenant-{operator.tenant}", "on", "nopass")
    assert "given another password" in operator.apply().stdout
    assert may_enter(operator.endpoint, operator.login)
    assert not may_enter(operator.endpoint, Login(operator.login.username, "anything"))


def test_a_rotation_overwrites_a_file_only_if_forced(operator: Operator) -> None:
    operator.apply()
    old = operator.login
    assert refused(operator.apply("--rotate"), "it is there already")
    assert may_enter(operator.endpoint, old)
    assert operator.login == old
    with logged_in(operator.endpoint, old) as own:
        own[0].ping()
        done = operator.apply("--rotate", "--force")
        assert "given another password, 1 connections closed" in done.stdout
    assert operator.login != old
    assert may_enter(operator.endpoint, operator.login)
    assert not may_enter(operator.endpoint, old)
    assert stat.S_IMODE(operator.file.stat().st_mode) == 0o600


def test_a_new_user_never_overwrites_a_file(operator: Operator, users: TenantUsers) -> None:
    operator.file.write_text("precious")
    assert refused(operator.apply(), "it is there already")
    assert operator.file.read_text() == "precious"
    assert users.describe(f"tenant-{operator.tenant}") is None


def test_a_file_that_cannot_be_written_keeps_the_server_as_it_was(
    operator: Operator, users: TenantUsers
) -> None:
    missing = operator.file.parent / "missing" / "secret.toml"
    done = operator.run("apply", "--secret-file", str(missing))
    assert refused(done, "No such file or directory")
    assert users.describe(f"tenant-{operator.tenant}") is None


def test_what_an_interrupted_command_left_is_finished(operator: Operator) -> None:
    """The password that the server has is in the pending file, and gets its name."""
    operator.apply()
    login = operator.login
    pending = operator.file.with_name(operator.file.name + ".pending")
    operator.file.rename(pending)
    done = operator.apply()
    assert "an interrupted command was finished" in done.stdout
    assert operator.login == login
    assert not pending.exists()
    assert may_enter(operator.endpoint, login)


@pytest.mark.parametrize(
    "left", ["", "half a li", 'username = "tenant-x"\npassword = "never sent"\n'], ids=len
)
def test_a_pending_password_that_never_got_to_the_server_is_removed(
    operator: Operator, left: str
) -> None:
    pending = operator.file.with_name(operator.file.name + ".pending")
    pending.write_text(left)
    pending.chmod(0o600)
    assert "made" in operator.apply().stdout
    assert not pending.exists()
    assert may_enter(operator.endpoint, operator.login)


def test_several_tenants_have_a_file_each(operator: Operator, users: TenantUsers) -> None:
    other = f"{operator.tenant}-other"
    template = operator.file.parent / "{tenant}.toml"
    done = operator.run("apply", "--tenant", other, "--secret-file", str(template))
    assert done.returncode == 0, done
    for name in (operator.tenant, other):
        table = tomllib.loads((operator.file.parent / f"{name}.toml").read_text())
        assert may_enter(operator.endpoint, Login(table["username"], table["password"]))
    users.revoke(other)


@pytest.mark.parametrize("second", ["taken", "invalid"])
def test_what_can_be_refused_for_one_tenant_is_refused_before_the_first_is_made(
    operator: Operator, users: TenantUsers, second: str
) -> None:
    other = f"{operator.tenant}-other" if second == "taken" else "a:b"
    (operator.file.parent / f"{other}.toml").write_text("precious")
    template = operator.file.parent / "{tenant}.toml"
    done = operator.run("apply", "--tenant", other, "--secret-file", str(template))
    assert refused(done, "is there already" if second == "taken" else "is not valid")
    assert users.describe(f"tenant-{operator.tenant}") is None
    assert not (operator.file.parent / f"{operator.tenant}.toml").exists()


def test_a_password_of_the_operators_own_comes_from_the_environment(operator: Operator) -> None:
    made = operator.run("apply", KRYONIX_TENANT_PASSWORD=LONG)
    assert "made" in made.stdout
    assert LONG not in made.stdout + made.stderr
    assert may_enter(operator.endpoint, Login(f"tenant-{operator.tenant}", LONG))
    again = operator.run("apply", KRYONIX_TENANT_PASSWORD=LONG)
    assert "nothing was changed" in again.stdout
    other = operator.run("apply", KRYONIX_TENANT_PASSWORD=LONG + "x")
    assert refused(other, "give --rotate to replace it")
    same = operator.run("apply", "--rotate", KRYONIX_TENANT_PASSWORD=LONG)
    assert refused(same, "has this password already")
    rotated = operator.run("apply", "--rotate", KRYONIX_TENANT_PASSWORD=LONG + "x")
    assert "given another password" in rotated.stdout
    assert may_enter(operator.endpoint, Login(f"tenant-{operator.tenant}", LONG + "x"))


def from_stdin(operator: Operator, given: bytes) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        command_line(["acl", "apply", "--tenant", operator.tenant, "--password-stdin",
                      "--target", url_of(operator.endpoint)]),
        input=given,
        capture_output=True,
        check=False,
        timeout=60,
        env=surroundings({}),
    )  # fmt: skip
    return subprocess.CompletedProcess(
        done.args, done.returncode, done.stdout.decode(), done.stderr.decode()
    )


def test_a_password_can_come_from_standard_input(operator: Operator) -> None:
    assert from_stdin(operator, f"{LONG}\n".encode()).returncode == 0
    assert may_enter(operator.endpoint, Login(f"tenant-{operator.tenant}", LONG))


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (b"", "has 0 characters, and 32 are the least"),
        (b"short\n", "has 5 characters"),
        (LONG.encode() + b"\nsecond line", "holds a line end"),
        (LONG.encode() + b"\x00", "that cannot be seen"),
        (b"x" * 40 + b"\xff\xfe\n", "is not UTF-8 text"),
    ],
)
def test_a_password_that_is_none_is_refused_and_not_shown(
    operator: Operator, users: TenantUsers, given: bytes, reason: str
) -> None:
    done = from_stdin(operator, given)
    assert refused(done, reason)
    assert LONG not in done.stderr
    assert users.describe(f"tenant-{operator.tenant}") is None


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("apply",), "Say where the password goes or comes from"),
        (("apply", "--secret-file", "x", "--password-stdin"), "exclude each other"),
        (("apply", "--tenant", "b", "--secret-file", "x"), "put {tenant} into its path"),
        (("plan", "--dialect", "redis-7", "--target", "redis://127.0.0.1:1"), "without a server"),
        (("plan", "--dialect", "redis-5"), "Invalid value for '--dialect'"),
        (("apply", "--secret-file", "x", "--target", "embedded"), "a server that stays"),
        (("plan", "--target", "redis://127.0.0.1:1"), "No server answers at"),
        (("verify", "--secret-file", "missing.toml"), "No such file or directory"),
        (("plan", "--contract", "missing.toml"), "missing.toml"),
    ],
)
def test_a_command_line_that_cannot_be_meant_is_refused(
    arguments: tuple[str, ...], sentence: str, tmp_path: Path
) -> None:
    name, *more = arguments
    done = subprocess.run(
        command_line(["acl", name, "--tenant", "acme", *more]),
        capture_output=True, text=True, check=False, timeout=60, cwd=tmp_path,
        env=surroundings({}),
    )  # fmt: skip
    assert refused(done, sentence)
    assert list(tmp_path.iterdir()) == []


def test_a_tenant_has_to_be_named() -> None:
    assert refused(command("acl", "plan", "--dialect", "redis-7"), "Missing option '--tenant'")


HOSTILE = ["", " ", "*", "a:b", "a?", "[a-z]", "../x", "default ", "A", "é", "\udcff", "x" * 500,
           "a\nb", "tenant-{tenant}", "; ACL SETUSER default on", "a\\"]  # fmt: skip


@pytest.mark.parametrize("bad", HOSTILE, ids=ascii)
@pytest.mark.parametrize("name", ["plan", "apply", "verify", "revoke"])
def test_a_hostile_id_is_refused_before_any_byte_is_sent(
    name: str, bad: str, tmp_path: Path
) -> None:
    """The target does not exist: whoever looked for it first would say so."""
    more = ["--secret-file", str(tmp_path / "{tenant}")] if name == "apply" else []
    target = ["--target", "redis://127.0.0.1:1"]
    with pytest.raises(InvalidTenantIdError, match="is not valid") as caught:
        cli.main(["acl", name, "--tenant", bad, *target, *more], standalone_mode=False)
    assert (caught.value.exit_code, str(caught.value).isascii()) == (4, True)
    assert list(tmp_path.iterdir()) == []


def test_a_hostile_id_ends_the_command_with_its_one_sentence() -> None:
    done = command("acl", "plan", "--tenant", "a*", "--target", "redis://127.0.0.1:1")
    assert refused(done, "ASTERISK at position 2")


# --- plan ---


@pytest.mark.parametrize("dialect", ["redis-6.2", "redis-7", "valkey-9.1"])
@pytest.mark.parametrize("form", ["text", "commands", "aclfile", "json"])
def test_a_plan_needs_no_server(dialect: str, form: str) -> None:
    done = command("acl", "plan", "--tenant", "acme", "--dialect", dialect, "--format", form)
    assert (done.returncode, done.stderr) == (0, "")
    assert "tenant:acme:api:*:*" in done.stdout
    if form == "json":
        (user,) = json.loads(done.stdout)["users"]
        assert (user["user"], user["status"]) == ("tenant-acme", "not compared")


def test_a_plan_says_how_the_server_differs(operator: Operator, pools: Pools) -> None:
    def status() -> str:
        done = operator.run("plan", "--format", "json")
        assert done.returncode == 0, done
        return str(json.loads(done.stdout)["users"][0]["status"])

    assert status() == "new"
    operator.apply()
    assert status() == "same"
    ask(pools[0], "ACL", "SETUSER", operator.login.username, "+scan")
    assert status() == "differs"
    shown = operator.run("plan").stdout
    assert "also scan" in shown
    digest = ask(pools[0], "ACL", "GETUSER", operator.login.username)
    assert isinstance(digest, list)
    passwords = digest[digest.index(b"passwords") + 1]
    assert isinstance(passwords, list)
    for each in passwords:
        assert isinstance(each, bytes)
        assert each.decode() not in shown


def test_the_commands_of_a_plan_make_the_same_user(
    operator: Operator, pools: Pools, users: TenantUsers
) -> None:
    """Sent by hand, word for word, with a digest in its place."""
    (user,) = json.loads(operator.run("plan", "--format", "json").stdout)["users"]
    line = operator.run("plan", "--format", "commands").stdout.strip()
    words = line.replace('"', "\x00").split("\x00")
    sent: list[str] = []
    for number, piece in enumerate(words):
        sent += [piece] if number % 2 else piece.split()
    digest = "ab" * 32
    reply = ask(pools[0], *(word.replace("<sha256-of-the-password>", digest) for word in sent))
    assert reply == b"OK"
    state = users.describe(user["user"])
    assert state is not None
    assert state.keeps(users.plan(operator.tenant))
    assert state.digests == (digest,)


def test_the_lines_of_a_plan_make_an_acl_file(program: Path, tmp_path: Path) -> None:
    file = tmp_path / "users.acl"
    with ServerProcess(program) as probe, Pools(probe.endpoint) as clients:
        selectors = b"selectors" in str(ask(clients[0], "ACL", "GETUSER", "default")).encode()
        databases = b"databases" in str(ask(clients[0], "ACL", "GETUSER", "default")).encode()
    dialect = "valkey-9.1" if databases else "redis-7" if selectors else "redis-6.2"
    done = command(
        *("acl", "plan", "--tenant", "acme", "--tenant", "acme2"),
        *("--dialect", dialect, "--format", "aclfile"),
    )
    file.write_text(done.stdout.replace("<sha256-of-the-password>", "ab" * 32))
    plan = ServerPlan(directives={"aclfile": str(file)}, open_access=True)
    with ServerProcess(program, plan) as server:
        shown = command("acl", "plan", "--tenant", "acme", "--target", url_of(server.endpoint),
                        "--format", "json")  # fmt: skip
        assert json.loads(shown.stdout)["users"][0]["status"] == "same", shown.stdout


# --- persistence ---


@pytest.fixture
def filed(program: Path, tmp_path: Path) -> ServerProcess:
    """Return a server, not started, that has an ACL file."""
    file = tmp_path / "users.acl"
    file.write_text(f"user admin on >{LONG} ~* &* +@all\nuser default off\n")
    return ServerProcess(program, ServerPlan(directives={"aclfile": str(file)}, open_access=True))


def test_a_server_with_an_acl_file_remembers_what_was_saved(
    filed: ServerProcess, tmp_path: Path
) -> None:
    """Without --save the command says that a restart undoes it; a removal has to be saved too."""
    file = tmp_path / "acme.toml"
    # Nobody may enter as the default user, so the server is waited for with its own account.
    open_file = tmp_path / "users.acl"
    open_file.write_text("user default on nopass ~* &* +@all\n")
    with filed as server:
        url = url_of(server.endpoint)

        def run(name: str, *more: str) -> str:
            done = command("acl", name, "--tenant", "acme", "--target", url, *more)
            assert done.returncode == 0, done
            return done.stdout

        def there() -> bool:
            shown = json.loads(run("plan", "--format", "json"))["users"][0]
            return str(shown["status"]) == "same"

        assert "give --save" in run("apply", "--secret-file", str(file))
        server.restart()
        assert not there()
        saved = run("apply", "--secret-file", str(file), "--rotate", "--force", "--save")
        assert "has written its ACL file" in saved
        server.restart()
        assert there()
        assert "give --save" in run("revoke")
        server.restart()
        assert there()
        run("revoke", "--save")
        server.restart()
        assert not there()


def test_a_server_without_an_acl_file_cannot_be_told_to_save_it(
    operator: Operator, users: TenantUsers
) -> None:
    assert refused(operator.apply("--save"), "has no ACL file")
    assert users.describe(f"tenant-{operator.tenant}") is None
    assert not operator.file.exists()
    assert "CONFIG REWRITE" in operator.apply().stdout


# --- verify ---


def test_a_user_is_proven_with_its_password(operator: Operator) -> None:
    operator.apply()
    done = operator.run("verify", "--secret-file", str(operator.file))
    assert done.returncode == 0, done
    assert f"tenant-{operator.tenant}: proven" in done.stdout
    assert operator.login.password not in done.stdout


def test_without_the_password_part_is_left_open(operator: Operator) -> None:
    operator.apply()
    done = operator.run("verify", "--json")
    assert done.returncode == 10, done
    (found,) = json.loads(done.stdout)["reviews"]
    assert found["verdict"] == "partly proven"
    assert any("--secret-file" in gap for gap in found["gaps"])
    assert found["tried"] == 0


def test_with_the_password_calls_are_tried_as_the_tenant(operator: Operator) -> None:
    operator.apply()
    done = operator.run("verify", "--json", KRYONIX_TENANT_PASSWORD=operator.login.password)
    (found,) = json.loads(done.stdout)["reviews"]
    assert found["verdict"] == "proven"
    assert found["tried"] > 500
    assert not found["gaps"]


def test_proving_leaves_no_trace_in_the_data_and_room_in_the_log(
    operator: Operator, pools: Pools
) -> None:
    """Refusals are evidence of attacks: those of a proof must not push them out of the log."""
    operator.apply()
    ask(pools[0], "ACL", "LOG", "RESET")
    before = ask(pools[0], "INFO", "keyspace")
    assert operator.run("verify", "--secret-file", str(operator.file)).returncode == 0
    assert ask(pools[0], "INFO", "keyspace") == before
    log = ask(pools[0], "ACL", "LOG", "1000")
    assert isinstance(log, list)
    assert 0 < len(log) < 128 * 0.75


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (("+scan",), "also scan"),
        (("~tenant:*", "+get", "+exists"), "also ~tenant:*"),
        (("-exists", "-hget", "-ping"), "ping"),
        (("off",), "off"),
        (("nopass",), "needs no password"),
    ],
)
def test_a_user_that_was_changed_is_found_deviating(
    operator: Operator, pools: Pools, words: tuple[str, ...], found: str
) -> None:
    operator.apply()
    ask(pools[0], "ACL", "SETUSER", operator.login.username, *words)
    done = operator.run("verify", "--secret-file", str(operator.file))
    assert done.returncode == 1, done
    assert "deviating" in done.stdout
    assert found in done.stdout
    assert "acl apply" in done.stdout


def test_a_user_that_may_open_no_transaction_is_not_tried_outside_of_one(
    operator: Operator, pools: Pools
) -> None:
    """There the calls would be run, on keys that are not the tenant's."""
    operator.apply()
    keys = [
        (family.databases[0], CONTRACT.key(family.name, tenant=f"{operator.tenant}2"))
        for family in CONTRACT.tenant_families
        if family.parts == ("tenant",) and family.type == "hash"
    ]
    for database, key in keys:
        pools[database].hset(key, "a", "b")
    ask(pools[0], "ACL", "SETUSER", operator.login.username, "~*", "+@all", "-multi")
    done = operator.run("verify", "--json", "--secret-file", str(operator.file))
    (found,) = json.loads(done.stdout)["reviews"]
    assert any("No answer was had" in gap for gap in found["gaps"])
    assert all(pools[database].hgetall(key) == {b"a": b"b"} for database, key in keys)
    assert len(keys) > 10


def test_wrong_rules_are_also_found_by_what_the_server_lets_through(
    operator: Operator, pools: Pools
) -> None:
    operator.apply()
    ask(pools[0], "ACL", "SETUSER", operator.login.username, "~*", "+@all")
    done = operator.run("verify", "--json", "--secret-file", str(operator.file))
    (review,) = json.loads(done.stdout)["reviews"]
    by_the_tenant = [
        each for each in review["deviations"] if "the tenant's own connection" in each["found"]
    ]
    assert by_the_tenant
    assert {each["found"].split()[0] for each in by_the_tenant} == {"allowed"}


def test_a_user_that_is_not_there_is_found_deviating(operator: Operator) -> None:
    done = operator.run("verify")
    assert done.returncode == 1, done
    assert "make it" in done.stdout


def test_the_password_of_somebody_else_proves_nothing(
    operator: Operator, users: TenantUsers
) -> None:
    operator.apply()
    done = operator.run("verify", KRYONIX_TENANT_PASSWORD=LONG)
    assert done.returncode == 1, done
    assert "--secret-file FILE --rotate --force`" in done.stdout
    assert "not the one that the server has" in done.stdout
    other = users.admit(f"{operator.tenant}-other")
    operator.file.write_text(f'username = "{other.username}"\npassword = "{other.password}"\n')
    done = operator.run("verify", "--secret-file", str(operator.file))
    assert done.returncode == 1, done
    assert "give its own" in done.stdout
    users.revoke(f"{operator.tenant}-other")


def test_a_default_user_without_a_password_spoils_every_proof(
    program: Path, tmp_path: Path
) -> None:
    """One RESET leads from a tenant's user to the default user, and no rule can forbid it."""
    file = tmp_path / "acme.toml"
    with ServerProcess(program, ServerPlan(open_access=True)) as server:
        common = ("--tenant", "acme", "--target", url_of(server.endpoint))
        made = command("acl", "apply", *common, "--secret-file", str(file))
        assert "one RESET away" in made.stdout
        done = command("acl", "verify", *common, "--secret-file", str(file))
        assert done.returncode == 1, done
        assert "the user default: found on, without a password; wanted off" in done.stdout
        with connect(server.endpoint) as client:
            ask(client, "ACL", "SETUSER", "default", "resetpass", f">{LONG}")
        url = url_of(replace(server.endpoint, username="default", password=LONG))
        common = ("--tenant", "acme", "--target", url)
        assert command("acl", "verify", *common, "--secret-file", str(file)).returncode == 0


@pytest.mark.parametrize(
    ("text", "mode", "reason"),
    [
        ('username = "a"\npassword = "b"\n', 0o644, "chmod 600"),
        ("not toml [", 0o600, "not valid TOML"),
        ('username = "a"\n', 0o600, "does not hold username and password"),
        ('username = 1\npassword = "b"\n', 0o600, "each a text"),
    ],
)
def test_a_secret_file_that_is_none_is_refused(
    operator: Operator, text: str, mode: int, reason: str
) -> None:
    operator.file.write_text(text)
    operator.file.chmod(mode)
    done = operator.run("verify", "--secret-file", str(operator.file))
    assert refused(done, reason)


# --- revoke ---


def test_a_user_is_removed_with_its_connections(operator: Operator, users: TenantUsers) -> None:
    operator.apply()
    login = operator.login
    with logged_in(operator.endpoint, login) as own:
        own[0].ping()
        own[1].ping()
        looked = operator.run("revoke", "--dry-run")
        assert "would be removed, 2 connections are open" in looked.stdout
        assert "Nothing was removed" in looked.stdout
        own[0].ping()
        done = operator.run("revoke")
    assert f"{login.username}: removed, 2 connections closed" in done.stdout
    assert users.describe(login.username) is None
    assert "is not there" in operator.run("revoke").stdout


def test_a_removal_leaves_keys_and_other_users_alone(
    operator: Operator, users: TenantUsers, pools: Pools
) -> None:
    operator.apply()
    other = users.admit(f"{operator.tenant}-other")
    key = CONTRACT.key("api-cache", tenant=operator.tenant, module="crm", endpoint="users")
    pools[1].set(key, "x", ex=60)
    assert operator.run("revoke").returncode == 0
    assert pools[1].exists(key) == 1
    assert may_enter(operator.endpoint, other)
    users.revoke(f"{operator.tenant}-other")


# --- accounts and contracts ---


@pytest.mark.parametrize("name", ["plan", "apply", "verify", "revoke"])
def test_an_account_that_may_not_manage_users_gets_one_sentence(
    operator: Operator, pools: Pools, users: TenantUsers, name: str
) -> None:
    ask(pools[0], "ACL", "SETUSER", "poor", "reset", "on", f">{LONG}", "~*", "&*", "+@all", "-acl")
    more = ["--secret-file", str(operator.file)] if name == "apply" else []
    done = operator.run(name, *more, KRYONIX_TARGET_USERNAME="poor", KRYONIX_TARGET_PASSWORD=LONG)
    assert refused(done, "The server refuses ACL GETUSER to this account")
    assert not operator.file.exists()
    assert users.describe(f"tenant-{operator.tenant}") is None


def test_a_refusal_in_the_last_step_leaves_no_password_behind(
    operator: Operator, pools: Pools
) -> None:
    rules = ("+@all", "-acl", "+acl|getuser", "+acl|cat")
    ask(pools[0], "ACL", "SETUSER", "poor", "reset", "on", f">{LONG}", "~*", "&*", *rules)
    done = operator.run(
        "apply", "--secret-file", str(operator.file),
        KRYONIX_TARGET_USERNAME="poor", KRYONIX_TARGET_PASSWORD=LONG,
    )  # fmt: skip
    assert refused(done, "refuses ACL SETUSER to this account")
    assert list(operator.file.parent.iterdir()) == []


def test_the_account_of_the_docs_is_enough(operator: Operator, pools: Pools) -> None:
    page = (ROOT / "docs" / "access.md").read_text(encoding="utf-8")
    (line,) = re.findall(r"^ACL SETUSER user-admin .*$", page, re.MULTILINE)
    assert ask(pools[0], *line.replace("PASSWORD", LONG).split()) == b"OK"
    account = {"KRYONIX_TARGET_USERNAME": "user-admin", "KRYONIX_TARGET_PASSWORD": LONG}
    for name, more in (("plan", ()), ("apply", ("--secret-file",)), ("verify", ("--secret-file",)),
                       ("revoke", ())):  # fmt: skip
        done = operator.run(name, *more, *([str(operator.file)] * len(more)), **account)
        assert done.returncode == 0, done


def test_a_contract_of_another_team_has_its_own_users_or_none() -> None:
    done = command("acl", "plan", "--tenant", "shop-1", "--dialect", "redis-7",
                   "--contract", str(SHOP_FILE))  # fmt: skip
    if SHOP.access is None:
        assert refused(done, "has no [access]")
    else:
        assert "shop-1" in done.stdout
