# SPDX-License-Identifier: Apache-2.0
"""
The implementation's sockets, read back from the operating system (E02).

TCP_USER_TIMEOUT is no directive of any server but an option of each client's socket. What the
implementation says of itself is not asked: every socket that this process opens towards the
server while the system works is looked at.
"""

from __future__ import annotations

import os
import socket
import stat
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from kryonix_cache.conformance.outcomes import NotApplicable, NotOffered

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kryonix_cache.conformance.evidence import Evidence
    from kryonix_cache.conformance.session import RunSession

_DESCRIPTORS = Path("/proc/self/fd")


@pytest.mark.requirement("config.client-user-timeout")
def test_sockets_carry_the_user_timeout(run_session: RunSession, evidence: Evidence) -> None:
    """Each socket of the system has the contract's user timeout and keep-alive."""
    if not hasattr(socket, "TCP_USER_TIMEOUT") or not _DESCRIPTORS.exists():
        raise NotApplicable("this platform has no TCP_USER_TIMEOUT")
    rule = run_session.plan.contract.client
    before = set(_connected())
    server = run_session.system_target
    if server.endpoint.scheme == "unix":
        raise NotApplicable("a unix socket has no TCP options")
    evidence.ran_on = run_session.ran_on(server)
    with run_session.system_on(server, "config.client-user-timeout") as system:
        if not system.in_process:
            raise NotApplicable("the system's sockets belong to another process")
        if system.tenant_store is None:
            raise NotOffered("the system offers no tenant store")
        system.tenant_store.open(run_session.plan.tenants.id("sockets")).list()
        for descriptor in set(_connected()) - before:
            with socket.socket(fileno=os.dup(descriptor)) as opened:
                evidence.saw("sockets")
                _compare(opened, "TCP_USER_TIMEOUT", rule.tcp_user_timeout_ms, evidence)
                _compare(opened, "TCP_KEEPIDLE", rule.tcp_keepalive_s, evidence)
                if not opened.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE):
                    evidence.found("SO_KEEPALIVE of a socket", found="off", wanted="on")
    evidence.settle()


def _compare(opened: socket.socket, option: str, wanted: int, evidence: Evidence) -> None:
    found = opened.getsockopt(socket.IPPROTO_TCP, getattr(socket, option))
    if found != wanted:
        evidence.found(
            f"{option} of a socket",
            found=found,
            wanted=wanted,
            erratum="E02",
            remedy="set the option when the client connects",
        )


def _connected() -> Iterator[int]:
    """Yield the descriptors of this process's connected TCP sockets."""
    for entry in tuple(_DESCRIPTORS.iterdir()):
        descriptor = int(entry.name)
        with suppress(OSError):
            if not stat.S_ISSOCK(os.fstat(descriptor).st_mode):
                continue
            with socket.socket(fileno=os.dup(descriptor)) as candidate:
                if candidate.family in {socket.AF_INET, socket.AF_INET6}:
                    candidate.getpeername()
                    yield descriptor
