# SPDX-License-Identifier: Apache-2.0
"""The target in a container, for real, where an engine answers.

Docker is the one tool whose absence does not fail the build; `.ci/docker` starts an engine and
makes the image where that is possible.
"""

from __future__ import annotations

import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from kryonix_cache.fixtures.errors import DockerUnavailableError, ServerStartError
from kryonix_cache.fixtures.targets import starters
from kryonix_cache.fixtures.targets.bench import Bench
from kryonix_cache.fixtures.targets.configuration import ServerPlan
from kryonix_cache.fixtures.targets.docker import DockerEngine, DockerServer
from kryonix_cache.fixtures.targets.specification import TargetSpec
from kryonix_cache.fixtures.targets.target import open_target
from kryonix_cache.reference_impl.connection import connect

if TYPE_CHECKING:
    import redis

IMAGE = "kryonix-test/redis:7.0"
PATIENCE = 30.0


@pytest.fixture(scope="module")
def image() -> str:
    """Give the image that is made without a registry; skip with the reason."""
    try:
        with closing(DockerEngine()) as engine:
            if engine.has(IMAGE):
                return IMAGE
    except DockerUnavailableError as error:
        pytest.skip(error.reason)
    script = Path(__file__).with_name("docker-image.sh")
    made = subprocess.run([script, IMAGE], capture_output=True, text=True, check=False)
    if made.returncode:
        pytest.skip(f"the test image could not be made: {made.stderr.strip()}")
    return IMAGE


def containers() -> set[str]:
    listed = subprocess.run(
        ["docker", "ps", "--all", "--quiet", "--no-trunc"],
        capture_output=True,
        text=True,
        check=True,
    )
    return set(listed.stdout.split())


def test_a_server_in_a_container_is_a_target(image: str) -> None:
    before = containers()
    plan = ServerPlan({"save": "300 10 60 1000", "databases": "16"})
    spec = TargetSpec.resolve("docker", environ={})
    with open_target(spec, plan=plan, redis_image=image) as target:
        assert (target.kind, target.live, target.product) == ("docker", False, "redis")
        assert {"restart", "config-file", "acl"} <= target.capabilities
        client = target.connect(15, decode=True)
        assert client.config_get("save") == {"save": "300 10 60 1000"}
        assert client.config_rewrite()
        client.close()
        assert len(containers() - before) == 1
    assert containers() == before


def test_a_container_is_published_on_this_machine_only(image: str) -> None:
    before = containers()
    with DockerServer(image) as server:
        (new,) = containers() - before
        listed = subprocess.run(
            ["docker", "port", new], capture_output=True, text=True, check=True
        ).stdout.split()
        assert listed[-1] == f"127.0.0.1:{server.endpoint.port}"


def test_a_container_keeps_its_data_over_a_restart(image: str) -> None:
    with DockerServer(image, ServerPlan({"save": "3600 1"})) as server:
        endpoint = server.endpoint
        with client_of(server) as client:
            client.set("a", 1)
            server.restart()
            assert server.endpoint == endpoint
            assert client.get("a") == b"1"
            server.kill()
            assert not server.running


def client_of(server: DockerServer) -> closing[redis.Redis]:
    return closing(connect(server.endpoint))


def test_an_open_container_asks_for_nothing(image: str) -> None:
    with DockerServer(image, ServerPlan(open_access=True)) as server:
        assert server.endpoint.password is None
        with client_of(server) as client:
            assert client.ping()


def test_optional_directives_are_left_out_where_unknown(image: str) -> None:
    plan = ServerPlan(optional={"hash-max-listpack-entries": "1024", "no-such-directive": "1"})
    with DockerServer(image, plan) as server, client_of(server) as client:
        found = client.config_get("hash-max-listpack-entries")
        assert {str(value) for value in found.values()} & {"1024", "b'1024'"}


def test_a_container_that_does_not_start_shows_its_log_and_is_removed(image: str) -> None:
    before = containers()
    with pytest.raises(ServerStartError, match="no-such-directive"):
        DockerServer(image, ServerPlan({"no-such-directive": "1"})).start()
    assert containers() == before


def test_an_image_that_cannot_be_had_is_named(image: str) -> None:
    assert image
    with pytest.raises(DockerUnavailableError, match=r"no-such-registry\.invalid/redis:1"):
        DockerServer("no-such-registry.invalid/redis:1").start()


def test_a_container_does_not_outlive_sigkill_of_its_parent(image: str) -> None:
    before = containers()
    program = (
        "import sys, time\n"
        "from kryonix_cache.fixtures.targets.docker import DockerServer\n"
        "server = DockerServer(sys.argv[1]).start()\n"
        "print('started', flush=True)\n"
        "time.sleep(60)\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", program, image], stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout
    assert parent.stdout.readline() == "started\n"
    assert containers() > before
    parent.kill()
    parent.wait()
    parent.stdout.close()
    deadline = time.monotonic() + PATIENCE
    while containers() != before and time.monotonic() < deadline:
        time.sleep(0.1)
    assert containers() == before


def test_auto_takes_docker_where_it_has_the_image(image: str) -> None:
    with open_target(TargetSpec.resolve(environ={}), redis_image=image) as target:
        assert target.kind == "docker"
        assert f"docker it is, image {image}" in target.choice


def test_the_bench_of_a_container_is_of_its_image(image: str) -> None:
    spec = TargetSpec.resolve("docker", environ={})
    with open_target(spec, redis_image=image) as target, Bench(target) as bench:
        assert bench.server("one").kind == "docker"
        assert f"image {image}" in bench.describe()


def test_an_engine_that_does_not_answer_is_a_reason(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    began = time.monotonic()
    with pytest.raises(DockerUnavailableError, match="docker does not answer"):
        starters.docker(IMAGE)
    assert starters.docker_at_hand(IMAGE) is None
    assert time.monotonic() - began < 5
