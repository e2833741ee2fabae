# SPDX-License-Identifier: Apache-2.0
"""A correct system that takes access away in an order of its own."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, cast

from kryonix_cache.fixtures.faults.plain import plain_system
from kryonix_cache.fixtures.faults.plain_access import PlainAccess
from kryonix_cache.reference_impl.connection import connect, lease

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kryonix_cache.fixtures.system import Surroundings, System


class _ClosesOneByOne(PlainAccess):
    def disconnect(self, tenant: str) -> None:
        user = self.user(tenant)
        with lease(self.client) as connection:
            lines = cast("bytes", connection.exchange([(b"CLIENT", b"LIST")])[0]).splitlines()
        listed = [
            dict(word.partition("=")[::2] for word in line.decode().split()) for line in lines
        ]
        numbers = [each["id"].encode() for each in listed if each["user"] == user]
        threading.Thread(target=self._close, args=(numbers,), daemon=True).start()

    def _close(self, numbers: Sequence[bytes]) -> None:
        client = connect(self.surroundings.endpoint)
        with lease(client) as connection:
            for number in numbers:
                connection.exchange([(b"CLIENT", b"KILL", b"ID", number)])
                time.sleep(0.2)
        client.close()


def closes_one_by_one(surroundings: Surroundings) -> System:
    """Close a user's connections one after the other, all of them within the contract's time."""
    return plain_system(surroundings, access=_ClosesOneByOne)
