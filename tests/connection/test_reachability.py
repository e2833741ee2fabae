# SPDX-License-Identifier: Apache-2.0
"""The first contact: each way in which a server cannot be used has its own sentence."""

from __future__ import annotations

import http.server
import socket
import subprocess
import threading
import time
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from kryonix_cache.fixtures.targets.configuration import ServerPlan
from kryonix_cache.fixtures.targets.server import ServerProcess, free_port
from kryonix_cache.reference_impl.connection import Endpoint, connect
from kryonix_cache.reference_impl.errors import (
    ClusterError,
    DatabaseUnavailableError,
    KryonixError,
    LoadingError,
    NotARedisServerError,
    ReplicaError,
    TargetRefusedError,
    TargetUnreachableError,
    TlsFailureError,
    WrongPasswordError,
)
from kryonix_cache.reference_impl.reachability import reach
from tests.connection.certificates import make_certificate

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from kryonix_cache.fixtures.targets.configuration import TlsFiles
    from kryonix_cache.reference_impl.reachability import ServerFacts

PATIENCE = 20.0


def test_a_server_says_what_it_is(server: ServerProcess) -> None:
    facts = reach(server.endpoint)
    assert facts.product in {"redis", "valkey"}
    assert facts.version[0].isdigit()
    assert (facts.role, facts.cluster) == ("master", False)
    assert facts.info["tcp_port"] == str(server.port)


def test_a_valkey_is_not_taken_for_a_redis(valkey_binary: Path, redis_binary: Path) -> None:
    with ServerProcess(valkey_binary) as valkey, ServerProcess(redis_binary) as other:
        assert reach(valkey.endpoint).product == "valkey"
        assert reach(other.endpoint).product == "redis"


def test_nothing_listens() -> None:
    endpoint = Endpoint.parse(f"redis://ana:hunter2@127.0.0.1:{free_port()}")
    with pytest.raises(TargetUnreachableError, match="Connection refused") as caught:
        reach(endpoint)
    assert endpoint.address in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_the_host_does_not_exist() -> None:
    with pytest.raises(TargetUnreachableError, match=r"no-such-host\.invalid:6379"):
        reach(Endpoint.parse("redis://no-such-host.invalid"))


def test_the_socket_file_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(TargetUnreachableError, match="No such file"):
        reach(Endpoint.parse(f"unix://{tmp_path}/none.sock"))


def test_something_listens_and_never_answers() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        with pytest.raises(TargetUnreachableError, match=r"no answer within 0\.2 s"):
            reach(Endpoint("redis", "127.0.0.1", silent.getsockname()[1]), timeout=0.2)


@contextmanager
def answering(reply: bytes) -> Iterator[Endpoint]:
    """Answer each connection with these bytes, whatever it asks."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(1 << 16)
                    connection.sendall(reply)

        threading.Thread(target=serve, daemon=True).start()
        yield Endpoint("redis", "127.0.0.1", listener.getsockname()[1])
        listener.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize(
    "reply",
    [
        b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"220 mail ESMTP\r\n",
        b"ERROR\r\n",
        b"$4\r\nwhat\r\n" * 3,
    ],
)
def test_another_kind_of_server_answers(reply: bytes) -> None:
    with answering(reply) as endpoint, pytest.raises(NotARedisServerError):
        reach(endpoint, timeout=1)


def test_a_real_http_server_answers() -> None:
    with http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), http.server.BaseHTTPRequestHandler
    ) as web:
        threading.Thread(target=web.serve_forever, daemon=True).start()
        with pytest.raises(NotARedisServerError):
            reach(Endpoint("redis", "127.0.0.1", web.server_address[1]), timeout=2)
        web.shutdown()


def test_the_password_is_wrong(server: ServerProcess) -> None:
    endpoint = replace(server.endpoint, password="hunter2")
    with pytest.raises(WrongPasswordError, match="does not accept") as caught:
        reach(endpoint)
    assert "hunter2" not in str(caught.value)


def test_the_password_is_missing(server: ServerProcess) -> None:
    with pytest.raises(WrongPasswordError, match="none was given"):
        reach(replace(server.endpoint, username=None, password=None))


def test_the_user_of_the_url_is_the_user_of_the_connection(server: ServerProcess) -> None:
    admin = connect(server.endpoint)
    admin.execute_command("ACL", "SETUSER", "ana", "reset", "on", ">p@ss:/1", "+@all", "~*")
    url = f"redis://ana:p%40ss%3A%2F1@{server.endpoint.host_and_port}/2"
    client = connect(Endpoint.parse(url), 2)
    assert client.acl_whoami() in {"ana", b"ana"}
    client.close()
    admin.close()


def test_a_user_who_may_ask_nothing_leaves_the_facts_unknown(server: ServerProcess) -> None:
    admin = connect(server.endpoint)
    admin.execute_command("ACL", "SETUSER", "mute", "reset", "on", ">pw", "~*", "+get")
    facts = reach(replace(server.endpoint, username="mute", password="pw"))
    assert (facts.product, facts.version, facts.role, facts.cluster) == (
        "unknown",
        "unknown",
        None,
        None,
    )
    admin.close()


def test_a_read_only_user_is_enough(server: ServerProcess) -> None:
    admin = connect(server.endpoint)
    admin.execute_command("ACL", "SETUSER", "reader", "reset", "on", ">pw", "~*", "+@read", "+info")
    facts = reach(replace(server.endpoint, username="reader", password="pw"))
    assert facts.role == "master"
    admin.close()


def test_the_database_is_not_there(binary: Path) -> None:
    with ServerProcess(binary, ServerPlan({"databases": "4"})) as small:
        with pytest.raises(DatabaseUnavailableError, match="Database 4 "):
            reach(replace(small.endpoint, database=4))
        assert reach(replace(small.endpoint, database=3)).role == "master"


def test_the_server_has_no_place_for_another_client(redis_binary: Path) -> None:
    with ServerProcess(redis_binary, ServerPlan({"maxclients": "2"})) as full:
        holders = [connect(full.endpoint, max_connections=1) for _ in range(2)]
        for holder in holders:
            holder.ping()
        with pytest.raises(TargetRefusedError, match="max number of clients"):
            reach(full.endpoint)
        for holder in holders:
            holder.close()


def test_a_replica_is_refused_unless_allowed(binary: Path) -> None:
    with ServerProcess(binary, ServerPlan(open_access=True)) as primary:
        plan = ServerPlan({"replicaof": f"127.0.0.1 {primary.port}"}, open_access=True)
        with ServerProcess(binary, plan) as replica:
            with pytest.raises(ReplicaError, match=rf"127\.0\.0\.1:{primary.port}"):
                reach(replica.endpoint)
            assert reach(replica.endpoint, replica_allowed=True).role == "slave"


def test_a_cluster_is_refused(binary: Path) -> None:
    with (
        ServerProcess(binary, ServerPlan({"cluster-enabled": "yes"})) as cluster,
        pytest.raises(ClusterError),
    ):
        reach(cluster.endpoint)


def test_a_sentinel_is_refused(redis_binary: Path, tmp_path: Path) -> None:
    port = free_port()
    file = tmp_path / "sentinel.conf"
    file.write_text(f"port {port}\nbind 127.0.0.1\nsentinel monitor main 127.0.0.1 1 1\n")
    sentinel = subprocess.Popen(
        [redis_binary, file, "--sentinel"], stdout=subprocess.DEVNULL, cwd=tmp_path
    )
    try:
        with pytest.raises(NotARedisServerError, match="Sentinel"):
            eventually(Endpoint("redis", "127.0.0.1", port))
    finally:
        sentinel.kill()
        sentinel.wait()


def eventually(endpoint: Endpoint) -> ServerFacts:
    """Make contact, and be patient while the server is still starting."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return reach(endpoint)
        except TargetUnreachableError:
            if time.monotonic() > deadline:
                raise


def test_a_server_that_still_reads_its_data_is_refused(redis_binary: Path) -> None:
    slow = {"key-load-delay": "20000", "loading-process-events-interval-bytes": "1024", "save": ""}
    with ServerProcess(redis_binary, ServerPlan(slow)) as server:
        client = connect(server.endpoint)
        client.mset({f"key:{number}": "x" * 100 for number in range(200)})
        client.save()
        client.close()
        restarting = threading.Thread(target=server.restart)
        restarting.start()
        try:
            with pytest.raises(LoadingError):
                until_error(server.endpoint, LoadingError)
        finally:
            restarting.join()


def until_error(endpoint: Endpoint, wanted: type[KryonixError]) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        try:
            reach(endpoint)
        except wanted:
            raise
        except KryonixError:
            continue


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> TlsFiles:
    return make_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def tls_server(redis_binary: Path, certificate: TlsFiles) -> Iterator[ServerProcess]:
    with ServerProcess(redis_binary, ServerPlan(tls=certificate)) as server:
        yield server


def test_tls_with_a_verified_certificate_works(tls_server: ServerProcess) -> None:
    client = connect(tls_server.endpoint, 5)
    client.set("a", "encrypted")
    assert client.get("a") == b"encrypted"
    client.close()
    assert reach(tls_server.endpoint).role == "master"


def test_tls_works_where_the_set_up_sends_nothing(
    redis_binary: Path, certificate: TlsFiles
) -> None:
    """No account, no name, database 0: session tickets are not taken for a stale reply."""
    with ServerProcess(redis_binary, ServerPlan(tls=certificate, open_access=True)) as server:
        client = connect(server.endpoint)
        assert client.ping()
        client.close()


def test_a_certificate_of_an_unknown_authority_is_not_trusted(tls_server: ServerProcess) -> None:
    with pytest.raises(TlsFailureError, match="not trusted"):
        reach(replace(tls_server.endpoint, ca_file=None))


def test_a_certificate_of_another_host_is_not_trusted(tls_server: ServerProcess) -> None:
    with pytest.raises(TlsFailureError, match="not trusted: Hostname mismatch"):
        reach(replace(tls_server.endpoint, host="localhost"))


def test_a_missing_ca_file_is_named(tls_server: ServerProcess, tmp_path: Path) -> None:
    missing = tmp_path / "none.pem"
    with pytest.raises(TlsFailureError, match=rf"{missing}: No such file"):
        reach(replace(tls_server.endpoint, ca_file=missing))


def test_tls_to_a_server_without_it(server: ServerProcess) -> None:
    with pytest.raises(TlsFailureError, match="without TLS"):
        reach(replace(server.endpoint, scheme="rediss"), timeout=0.5)


def test_no_tls_to_a_server_that_wants_it(tls_server: ServerProcess) -> None:
    with pytest.raises(KryonixError) as caught:
        reach(replace(tls_server.endpoint, scheme="redis", ca_file=None), timeout=2)
    assert isinstance(caught.value, TargetUnreachableError | NotARedisServerError)
