# SPDX-License-Identifier: Apache-2.0
"""The cache of the example service: the keys of one tenant, written without the suite's help."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kryonix_cache.reference_impl.connection import Pools

SESSIONS_DATABASE = 0
ANSWERS_DATABASE = 1
SESSION_SECONDS = 1800
TENANT = re.compile(r"[a-z0-9](?:[a-z0-9_-]{0,61}[a-z0-9])?")
Memory = dict[tuple[str, str], object]
PART = re.compile(r"[A-Za-z0-9_.-]+")
LONGEST_MODULE = 64
LONGEST = 128


class RefusedNameError(ValueError):
    """A tenant, module, endpoint or session has a name that no key may hold."""


class TenantCache:
    """Cached answers and mobile sessions of one tenant.

    A `memory` of answers by module and endpoint is the planted bug: all tenants share it, so
    that one reads what another wrote.
    """

    def __init__(self, pools: Pools, tenant: str, memory: Memory | None = None) -> None:
        if not TENANT.fullmatch(tenant):
            raise RefusedNameError("this is no id of a tenant")
        self._tenant = tenant
        self._of_answers = pools[ANSWERS_DATABASE]
        self._of_sessions = pools[SESSIONS_DATABASE]
        self._memory = memory

    def put(self, module: str, endpoint: str, data: object, ttl: int) -> None:
        """Keep an answer for `ttl` seconds."""
        answer = {
            "tenant_id": self._tenant,
            "module": module,
            "cached_at": now(),
            "data": data,
        }
        self._of_answers.set(self._answer_key(module, endpoint), json.dumps(answer), ex=ttl)
        if self._memory is not None:
            self._memory[module, endpoint] = data

    def get(self, module: str, endpoint: str) -> object | None:
        """Return an answer's data, or None if there is none."""
        text = self._of_answers.get(self._answer_key(module, endpoint))
        if text is None and self._memory is not None:
            return self._memory.get((module, endpoint))
        return None if text is None else json.loads(cast("bytes", text))["data"]

    def answers(self) -> list[list[str]]:
        """Return [module, endpoint] of each answer."""
        prefix = f"tenant:{self._tenant}:api:"
        keys = {bytes(key) for key in self._of_answers.scan_iter(match=f"{prefix}*", count=1000)}
        return sorted(key.decode().removeprefix(prefix).split(":") for key in keys)

    def delete(self, module: str, endpoint: str) -> bool:
        """Drop an answer; say whether it was there."""
        return bool(self._of_answers.delete(self._answer_key(module, endpoint)))

    def start_session(self, session: str, fields: Mapping[str, str]) -> None:
        """Write a session with its lifetime, in one transaction."""
        key = self._session_key(session)
        written = {
            "created_at": now(),
            "last_activity": now(),
            **fields,
            "tenant_id": self._tenant,
        }
        pipeline = self._of_sessions.pipeline(transaction=True)
        pipeline.delete(key)
        for name, value in written.items():
            pipeline.hset(key, name, value)
        pipeline.expire(key, SESSION_SECONDS)
        pipeline.execute()

    def read_session(self, session: str) -> dict[str, str]:
        """Return the fields of a session; empty if there is none."""
        reply = self._of_sessions.hgetall(self._session_key(session))
        fields = cast("dict[bytes, bytes]", reply)
        return {name.decode(): value.decode() for name, value in fields.items()}

    def sessions(self) -> list[str]:
        """Return the ids of the sessions."""
        prefix = f"tenant:{self._tenant}:mobile:session:"
        keys = {bytes(key) for key in self._of_sessions.scan_iter(match=f"{prefix}*", count=1000)}
        return sorted(key.decode().removeprefix(prefix) for key in keys)

    def end_session(self, session: str) -> bool:
        """Drop a session; say whether it was there."""
        return bool(self._of_sessions.delete(self._session_key(session)))

    def _answer_key(self, module: str, endpoint: str) -> str:
        return f"tenant:{self._tenant}:api:{checked(module, LONGEST_MODULE)}:{checked(endpoint)}"

    def _session_key(self, session: str) -> str:
        return f"tenant:{self._tenant}:mobile:session:{checked(session)}"


def checked(name: str, longest: int = LONGEST) -> str:
    """Return the name if a key may hold it."""
    if not PART.fullmatch(name) or len(name) > longest:
        raise RefusedNameError("a name holds a character that no key may hold, or is too long")
    return name


def now() -> str:
    """Return the present time as the values hold it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")
