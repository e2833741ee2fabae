# SPDX-License-Identifier: Apache-2.0
"""What --target, --target-file and the environment make of each other."""

from __future__ import annotations

from pathlib import Path

import pytest

from kryonix_cache.conformance.run import RunRequest, plan_run
from kryonix_cache.fixtures.errors import TargetFileError, TargetSpecError
from kryonix_cache.fixtures.targets.specification import TargetSpec
from kryonix_cache.reference_impl.errors import UrlInvalidError


def write(folder: Path, text: str, mode: int = 0o600) -> Path:
    path = folder / "target.toml"
    path.write_text(text)
    path.chmod(mode)
    return path


def test_without_a_word_the_target_is_auto() -> None:
    spec = TargetSpec.resolve(environ={})
    assert (spec.kind, spec.endpoint, spec.origin) == ("auto", None, "the default")


@pytest.mark.parametrize("kind", ["docker", "local", "embedded", "auto"])
def test_a_word_names_a_way_of_starting_a_server(kind: str) -> None:
    assert TargetSpec.resolve(kind, environ={"KRYONIX_TARGET": "redis://x"}).kind == kind


def test_the_environment_gives_target_and_credentials() -> None:
    environ = {
        "KRYONIX_TARGET": "rediss://cache:7000/1",
        "KRYONIX_TARGET_USERNAME": "ana",
        "KRYONIX_TARGET_PASSWORD": "pw",
    }
    spec = TargetSpec.resolve(environ=environ)
    assert spec.endpoint is not None
    assert (spec.kind, spec.origin) == ("url", "KRYONIX_TARGET")
    assert (spec.endpoint.username, spec.endpoint.password) == ("ana", "pw")


def test_the_command_line_wins_over_the_environment() -> None:
    spec = TargetSpec.resolve("redis://cache", environ={"KRYONIX_TARGET": "redis://other"})
    assert spec.endpoint is not None
    assert (spec.endpoint.host, spec.origin) == ("cache", "--target")


def test_a_target_file_gives_everything(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        'url = "rediss://cache:7000/2"\nusername = "ana"\npassword = "pw"\n'
        'ca_file = "ca.pem"\ncert_file = "/etc/cert.pem"\nkey_file = "key.pem"\n',
    )
    environ = {"KRYONIX_TARGET": "redis://other", "KRYONIX_TARGET_PASSWORD": "other"}
    endpoint = TargetSpec.resolve(target_file=path, environ=environ).endpoint
    assert endpoint is not None
    assert (endpoint.host, endpoint.username, endpoint.password) == ("cache", "ana", "pw")
    assert endpoint.ca_file == tmp_path / "ca.pem"
    assert endpoint.cert_file == Path("/etc/cert.pem")


def test_a_target_file_may_hold_the_password_only(tmp_path: Path) -> None:
    path = write(tmp_path, 'password = "pw"')
    endpoint = TargetSpec.resolve("redis://ana@cache", target_file=path, environ={}).endpoint
    assert endpoint is not None
    assert (endpoint.username, endpoint.password) == ("ana", "pw")


@pytest.mark.parametrize("text", ['password = "pw"', 'url = "redis://ana:pw@cache"'])
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o610])
def test_a_password_that_others_may_read_is_refused(tmp_path: Path, text: str, mode: int) -> None:
    path = write(tmp_path, text, mode)
    with pytest.raises(TargetFileError, match="chmod 600") as caught:
        TargetSpec.resolve(target_file=path, environ={"KRYONIX_TARGET": "redis://cache"})
    assert "pw" not in str(caught.value).replace(str(path), "")


def test_a_file_without_a_password_may_be_open(tmp_path: Path) -> None:
    path = write(tmp_path, 'url = "redis://ana@cache"', 0o644)
    assert TargetSpec.resolve(target_file=path, environ={}).endpoint


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("url = ", "not valid TOML"),
        ("password = hunter2", "not valid TOML"),
        ('urls = "redis://cache"', "unknown entry 'urls'"),
        ("url = 5", "text in quotes"),
        ('[url]\nx = "y"', "text in quotes"),
    ],
)
def test_a_malformed_target_file_is_refused(tmp_path: Path, text: str, reason: str) -> None:
    with pytest.raises(TargetFileError, match=reason) as caught:
        TargetSpec.resolve(target_file=write(tmp_path, text), environ={})
    assert "hunter2" not in str(caught.value)


def test_a_missing_target_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(TargetFileError, match=r"none\.toml.*No such file"):
        TargetSpec.resolve(target_file=tmp_path / "none.toml", environ={})


def test_two_targets_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path, 'url = "redis://cache"')
    with pytest.raises(TargetSpecError, match="both"):
        TargetSpec.resolve("redis://other", target_file=path, environ={})


def test_a_target_file_does_not_go_with_a_server_that_is_started(tmp_path: Path) -> None:
    path = write(tmp_path, 'password = "pw"')
    with pytest.raises(TargetSpecError, match="embedded"):
        TargetSpec.resolve("embedded", target_file=path, environ={})


@pytest.mark.parametrize("text", ["dockr", "cache:6379", "ana:hunter2@cache", "Docker"])
def test_what_is_no_target_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(TargetSpecError) as caught:
        TargetSpec.resolve(text, environ={})
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("text", ["", " "])
def test_an_empty_target_is_refused_wherever_it_stands(tmp_path: Path, text: str) -> None:
    """A missing variable of a build system must not let another server be judged."""
    path = write(tmp_path, f'url = "{text}"')
    with pytest.raises(TargetSpecError, match="--target names is empty"):
        TargetSpec.resolve(text, environ={"KRYONIX_TARGET": "redis://cache"})
    with pytest.raises(TargetSpecError, match=r"target\.toml names is empty"):
        TargetSpec.resolve(target_file=path, environ={"KRYONIX_TARGET": "redis://cache"})
    with pytest.raises(TargetSpecError, match="KRYONIX_TARGET names is empty"):
        TargetSpec.resolve(environ={"KRYONIX_TARGET": text})


def test_a_run_is_refused_an_empty_target_before_it_starts() -> None:
    with pytest.raises(TargetSpecError, match="--target names is empty"):
        plan_run(RunRequest(target=""))


def test_an_empty_variable_that_nobody_looks_at_does_no_harm(tmp_path: Path) -> None:
    path = write(tmp_path, 'url = "redis://cache"')
    empty = {"KRYONIX_TARGET": ""}
    assert TargetSpec.resolve(target_file=path, environ=empty).kind == "url"
    assert TargetSpec.resolve("embedded", environ=empty).kind == "embedded"


def test_a_malformed_url_is_refused() -> None:
    with pytest.raises(UrlInvalidError):
        TargetSpec.resolve("redis://:1", environ={})
