# SPDX-License-Identifier: Apache-2.0
"""The stage of the isolation tests: the system's handles, and a raw view of the same server."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, cast

from hypothesis import settings

from kryonix_cache.conformance.datasets import Place, digests
from kryonix_cache.conformance.model.programs import (
    ITEMS,
    SESSIONS,
    SETTINGS,
    TENANT_NAMES,
    Step,
    Tenants,
    written,
)
from kryonix_cache.reference_impl.tenant import families

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kryonix_cache.conformance.evidence import Evidence
    from kryonix_cache.conformance.run import RunTenants
    from kryonix_cache.fixtures.capabilities import TenantStore
    from kryonix_cache.reference_impl.connection import Clients
    from kryonix_cache.reference_impl.contract import Contract

LISTS_ON_LIVE = 2
"""How many programs with lists are played on a live server, where millions of keys may lie."""


class IsolationStage:
    """Plays programs on the system under test and looks at the server behind its back.

    `raw` are the suite's own clients, under the guard but unknown to the system. Where the
    server is `disposable` the raw view covers every key of every database; on a live one,
    where the guard lets nothing but this run's keys be written, it covers the run's keys.
    """

    def __init__(
        self,
        store: TenantStore,
        raw: Clients,
        run: RunTenants,
        evidence: Evidence,
        *,
        disposable: bool,
    ) -> None:
        self.contract: Contract = run.contract
        self._raw = raw
        self._run = run
        self._evidence = evidence
        self._disposable = disposable
        self.tenants = Tenants.open(store, self.tenant_id)

    @property
    def listing_settings(self) -> settings:
        """How often programs are played that list: each list may pass over a whole database."""
        return SETTINGS if self._disposable else settings(SETTINGS, max_examples=LISTS_ON_LIVE)

    def tenant_id(self, name: str) -> str:
        """Return the id of one of the run's tenants."""
        return self._run.id(name)

    def play(self, program: Sequence[Step]) -> Tenants:
        """Start from an empty stage and run the program on system and model."""
        self._evidence.start_over()
        self.clear()
        self.tenants.forget()
        self.tenants.run(program)
        return self.tenants

    def clear(self) -> None:
        """Remove what earlier programs wrote, past the system under test."""
        for database, keys in self._known_keys().items():
            self._raw[database].delete(*keys)

    def clear_all(self) -> None:
        """Remove every key of the run that the raw view covers, unexpected ones too."""
        for database, key in self.state():
            if self._run.owns(database, key):
                self._raw[database].delete(key)

    def cached_answer(self, name: str, module: str, endpoint: str) -> bytes | None:
        """Return the raw value of a cached answer's key."""
        key = self._answer_key(name, module, endpoint)
        return cast("bytes | None", self._raw[self._home(families.ANSWERS)].get(key))

    def session_user(self, name: str, session: str) -> bytes | None:
        """Return the raw user id of a session's key."""
        reply = self._raw[self._home(families.SESSIONS)].hget(
            self._session_key(name, session), "user_id"
        )
        return reply.encode() if isinstance(reply, str) else reply

    def state(self) -> dict[Place, str]:
        """Return a digest of the value of each key that the raw view covers."""
        if self._disposable:
            return digests(self._raw, self.contract)
        state: dict[Place, str] = {}
        for database, keys in self._known_keys().items():
            for key in keys:
                payload = self._raw[database].dump(key)
                if payload is not None:
                    state[database, key] = hashlib.sha256(payload).hexdigest()
        return state

    def owns(self, place: Place) -> bool:
        """Say whether the key at `place` belongs to a tenant of this run."""
        return self._run.owns(*place)

    def compare(self, what: str, found: object, wanted: object, program: Sequence[Step]) -> None:
        """Add a finding where the two differ, with the program that shows it."""
        if found != wanted:
            self._evidence.found(f"{what}, after: {written(program)}", found=found, wanted=wanted)

    def _known_keys(self) -> dict[int, list[bytes]]:
        return {
            self._home(families.ANSWERS): [
                self._answer_key(n, *item) for n in TENANT_NAMES for item in ITEMS
            ],
            self._home(families.SESSIONS): [
                self._session_key(n, s) for n in TENANT_NAMES for s in SESSIONS
            ],
        }

    def _home(self, family: str) -> int:
        return self.contract.family(family).databases[0]

    def _answer_key(self, name: str, module: str, endpoint: str) -> bytes:
        tenant = self.tenant_id(name)
        return self.contract.key(families.ANSWERS, tenant=tenant, module=module, endpoint=endpoint)

    def _session_key(self, name: str, session: str) -> bytes:
        return self.contract.key(families.SESSIONS, tenant=self.tenant_id(name), session=session)
