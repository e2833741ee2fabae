# SPDX-License-Identifier: Apache-2.0
"""Queues of one tenant."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any, cast

from kryonix_cache.reference_impl.errors import ForeignValueError, ValueUnreadableError
from kryonix_cache.reference_impl.tenant.area import Area
from kryonix_cache.reference_impl.tenant.documents import read_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kryonix_cache.reference_impl.tenant.exchanges import Program


_SLICE_S = 1.0
_SHORTEST_S = 0.001


class QueuesArea(Area):
    """Queues by name, first in, first out.

    A job is handed out at most once: one whose taker dies, or is cancelled while it waits, may
    be lost.
    """

    def push(self, queue: str, job: Mapping[str, object]) -> Program[int]:
        """Append a job, a JSON object; return how many jobs wait now.

        The handle adds the tenant, and the queue's name as the module if the job names none.
        """
        stored = {"module": queue, **job, "tenant_id": self.tenant}
        text = json.dumps(stored).encode()
        return cast("int", (yield from self.ask(b"RPUSH", self.key(queue=queue), text)))

    def pop(self, queue: str, *, wait: float = 0) -> Program[dict[str, Any] | None]:
        """Take the oldest job; wait up to `wait` seconds for one. None if there is none.

        Raises ValueUnreadableError or ForeignValueError for a job that this handle cannot have
        pushed; it is taken from the queue all the same, and stands in no later caller's way.
        """
        key = self.key(queue=queue)
        end = time.monotonic() + wait
        reply = yield from self.ask(b"LPOP", key)
        while reply is None and (left := end - time.monotonic()) > 0:
            # In slices, so that a server that dies unnoticed is found out.
            seconds = max(_SHORTEST_S, min(left, _SLICE_S))
            found = yield from self.ask(b"BLPOP", key, b"%.3f" % seconds, wait=seconds)
            reply = None if found is None else cast("list[bytes]", found)[1]
        job = read_json(key, reply)
        if reply is None:
            return None
        if not isinstance(job, dict):
            raise ValueUnreadableError(key.decode())
        if job.get("tenant_id") != self.tenant:
            raise ForeignValueError(key.decode())
        return job

    def length(self, queue: str) -> Program[int]:
        """Return how many jobs wait."""
        return cast("int", (yield from self.ask(b"LLEN", self.key(queue=queue))))

    def list(self) -> Program[list[str]]:
        """Return the names of the tenant's queues in which jobs wait."""
        return [parts["queue"] for parts in (yield from self.own_keys())]
