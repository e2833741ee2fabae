# SPDX-License-Identifier: Apache-2.0
"""No spelling and no way of sending gets a forbidden command to the server."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kryonix_cache.reference_impl.connection import FORBIDDEN, bulk, connect
from kryonix_cache.reference_impl.errors import ForbiddenCommandError, UncheckedBytesError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from kryonix_cache.fixtures.targets.server import ServerProcess

NAMES = sorted(name.decode() for name in FORBIDDEN)


@pytest.fixture
def client(server: ServerProcess) -> Iterator[redis.Redis]:
    client = connect(server.endpoint)
    client.set("witness", "alive")
    yield client
    stats = client.info("commandstats")
    assert not [name for name in stats if name.removeprefix("cmdstat_").upper() in NAMES]
    assert client.get("witness") == b"alive"
    client.close()


@st.composite
def spellings(draw: st.DrawFn) -> str | bytes | bytearray:
    """Any casing, as str or bytes, with the blanks that redis-py cuts off."""
    name = draw(st.sampled_from(NAMES))
    cased = "".join(draw(st.sampled_from((letter.lower(), letter.upper()))) for letter in name)
    text = (
        draw(st.sampled_from(("", " ", "\t "))) + cased + draw(st.sampled_from(("", " ", " ASYNC")))
    )
    form = draw(st.sampled_from((str, str.encode, lambda t: bytearray(t.encode()))))
    spelled: str | bytes | bytearray = form(text)
    return spelled


def ways(client: redis.Redis, command: str | bytes | bytearray) -> Iterator[Callable[[], object]]:
    """Each way in which redis-py sends a command."""
    yield lambda: client.execute_command(command, "*")
    yield lambda: client.pipeline(transaction=True).execute_command(command).execute()
    yield lambda: client.pipeline(transaction=False).set("a", 1).execute_command(command).execute()
    watching = client.pipeline()
    watching.watch("witness")
    yield lambda: watching.immediate_execute_command(command)
    yield lambda: client.pubsub().execute_command(command)
    with bulk(client) as connection:
        yield lambda: connection.send_command(command)
        yield lambda: connection.pack_command(command)
        yield lambda: connection.pack_commands([("PING",), (command,)])
        yield lambda: connection.send_batch([(b"PING",), (bytes(_encoded(command)).strip(),)])
    watching.reset()


def _encoded(command: str | bytes | bytearray) -> bytes:
    return command.encode() if isinstance(command, str) else bytes(command)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(command=spellings())
def test_no_spelling_of_a_forbidden_command_is_sent(
    client: redis.Redis, command: str | bytes | bytearray
) -> None:
    for send in ways(client, command):
        if isinstance(command, bytearray):
            # redis-py itself rejects a bytearray here and there, which is as good.
            with pytest.raises((ForbiddenCommandError, redis.DataError, TypeError, AttributeError)):
                send()
        else:
            with pytest.raises(ForbiddenCommandError):
                send()


@pytest.mark.parametrize("name", NAMES)
def test_the_clients_own_methods_are_refused(client: redis.Redis, name: str) -> None:
    call = {
        "FLUSHALL": client.flushall,
        "FLUSHDB": client.flushdb,
        "KEYS": client.keys,
        "SWAPDB": lambda: client.swapdb(0, 1),
    }[name]
    with pytest.raises(ForbiddenCommandError, match=name):
        call()


BODIES = [
    "return redis.call('{}')",
    'return redis.pcall("{}", "*")',
    "return redis.call([[{}]])",
    "return redis.call([==[{}]==])",
    "local f = redis.call; return f( ' {} ' )",
    "return redis.call('{0[0]}'..'{0[1]}{0[2]}'..\"{0[3]}\"..[[{rest}]])",
    "return redis.call(('{0[0]}') .. ('{0[1]}{0[2]}{0[3]}{rest}'))",
    "return redis.call('\\{code}{tail}')",
    "return redis.call('\\x{hexa}{tail}')",
]


@pytest.mark.parametrize("carrier", ["EVAL", "SCRIPT LOAD", "FUNCTION LOAD", "eval_ro"])
@pytest.mark.parametrize(("name", "body"), list(itertools.product(NAMES, BODIES)))
def test_a_script_that_names_a_forbidden_command_is_refused(
    client: redis.Redis, carrier: str, name: str, body: str
) -> None:
    for cased in (name, name.lower(), name.title()):
        script = body.format(
            cased, rest=cased[4:], tail=cased[1:], code=ord(cased[0]), hexa=f"{ord(cased[0]):02x}"
        )
        with pytest.raises(ForbiddenCommandError):
            client.execute_command(*carrier.split(), script, 0)


@pytest.mark.parametrize("carrier", ["EVAL", "EVALSHA", "FCALL"])
@pytest.mark.parametrize("name", NAMES)
def test_a_script_does_not_get_a_forbidden_name_as_argument(
    client: redis.Redis, carrier: str, name: str
) -> None:
    with pytest.raises(ForbiddenCommandError):
        client.execute_command(carrier, "return redis.call(ARGV[1])", 0, name.lower())


def test_a_script_that_reads_its_keys_is_sent(client: redis.Redis) -> None:
    assert client.eval("return redis.call('GET', KEYS[1])", 1, "witness") == b"alive"
    assert client.eval("local keys = {KEYS[1]}; return #keys", 1, "witness") == 1


def test_questions_about_forbidden_commands_are_sent(client: redis.Redis) -> None:
    assert client.execute_command("COMMAND", "INFO", "KEYS")
    assert client.execute_command("ACL", "CAT", "keyspace")


def test_bytes_that_no_check_has_seen_are_not_sent(client: redis.Redis) -> None:
    with bulk(client) as connection:
        for raw in (b"*1\r\n$8\r\nFLUSHALL\r\n", [b"*1\r\n$4\r\nPING\r\n"], "PING\r\n"):
            with pytest.raises(UncheckedBytesError):
                connection.send_packed_command(raw)
        # A slice or a copy of checked bytes is not checked any more.
        with pytest.raises(UncheckedBytesError):
            connection.send_packed_command(list(connection.pack_command("PING")))
