# SPDX-License-Identifier: Apache-2.0
"""Broadcasts of several tenants to real subscribers, and what each of these must receive."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from kryonix_cache.conformance.evidence import answer_of
from kryonix_cache.conformance.model.programs import TENANT_NAMES
from kryonix_cache.conformance.outcomes import Inconclusive

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from contextlib import ExitStack

    import redis
    from redis.client import PubSub

    from kryonix_cache.conformance.evidence import Evidence
    from kryonix_cache.fixtures.capabilities import Subscription, TenantBroadcasts
    from kryonix_cache.reference_impl.contract import Contract

_MARKER = "the last of"
_EAR = b"the suite's own last word"
_PATIENCE_SECONDS = 2.0
_AFTER_A_LOSS_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Post:
    """A text that a tenant sends to one of its channels."""

    tenant: str
    channel: str
    number: int

    @property
    def text(self) -> str:
        """Who sent it, and a number."""
        return f"{self.tenant} {self.number}"

    def __str__(self) -> str:
        return f"{self.tenant}.publish({self.channel!r}, {self.text!r})"

    def __repr__(self) -> str:
        return str(self)


class Ear:
    """Hears each channel of a server that nobody else uses."""

    def __init__(self, client: redis.Redis, listener: PubSub) -> None:
        self._client = client
        self._listener = listener

    @classmethod
    @contextmanager
    def open(cls, client: redis.Redis) -> Iterator[Self]:
        """Listen from now on."""
        listener = client.pubsub()
        try:
            listener.psubscribe("*")
            listener.parse_response(block=True)
            yield cls(client, listener)
        finally:
            listener.close()

    def heard(self) -> list[tuple[bytes, bytes]]:
        """Return channel and text of all that was sent until now."""
        self._client.publish(_EAR, _MARKER)
        found: list[tuple[bytes, bytes]] = []
        while not found or found[-1][0] != _EAR:
            message = self._listener.get_message(timeout=_PATIENCE_SECONDS)
            if message is None:
                raise Inconclusive("the server did not send what was published on it")
            found.append((message["channel"], message["data"]))
        return found[:-1]


@dataclass(frozen=True, slots=True)
class Listener:
    """An open subscription of one tenant."""

    tenant: str
    channels: tuple[str, ...]
    subscription: Subscription


class Studio:
    """Sends and listens for all tenants; `alone` says that nobody else listens on the server."""

    def __init__(
        self,
        broadcasts: TenantBroadcasts,
        tenant_id: Callable[[str], str],
        contract: Contract,
        evidence: Evidence,
        *,
        alone: bool,
    ) -> None:
        self._handles = {
            name: answer_of(f"opening {name}", broadcasts.open, tenant_id(name))
            for name in TENANT_NAMES
        }
        self._tenant_id = tenant_id
        self._contract = contract
        self._evidence = evidence
        self._alone = alone
        self._patience = _PATIENCE_SECONDS

    def listen(self, listening: Mapping[str, tuple[str, ...]], stack: ExitStack) -> list[Listener]:
        """Subscribe each tenant to its channels until the stack is left."""
        return [
            Listener(
                name,
                channels,
                answer_of(
                    f"{name}.subscribe",
                    stack.enter_context,
                    answer_of(f"{name}.subscribe", self._handles[name].subscribe, *channels),
                ),
            )
            for name, channels in listening.items()
        ]

    def send(self, posts: Sequence[Post]) -> list[tuple[Post, int]]:
        """Send in order; return each post with the number of those who heard it."""
        return [
            (
                post,
                answer_of(str(post), self._handles[post.tenant].publish, post.channel, post.text),
            )
            for post in posts
        ]

    def count(
        self, sent: Sequence[tuple[Post, int]], listening: Mapping[str, tuple[str, ...]]
    ) -> None:
        """Judge how many heard each post, where nobody but the tenants listens."""
        for post, heard in sent:
            others = (name for name in listening if name != post.tenant)
            self._evidence.saw(
                "foreign_attempts", any(post.channel in listening[name] for name in others)
            )
            wanted = int(post.channel in listening[post.tenant])
            if self._alone and heard != wanted:
                self._evidence.found(f"who heard {post}", found=heard, wanted=wanted)

    def judge_channels(self, heard: Sequence[tuple[bytes, bytes]], posts: Sequence[Post]) -> None:
        """Judge each channel on which anything was sent: it must be the sender's own."""
        senders = {post.text: post.tenant for post in posts}
        senders |= {f"{_MARKER} {name}": name for name in TENANT_NAMES}
        for channel, text in heard:
            parsed = self._contract.parse_channel(channel)
            sender = senders.get(text.decode(errors="replace"))
            # Of a text in another form than it was given it is asked only that a tenant sent it.
            wanted = {self._tenant_id(name) for name in ([sender] if sender else TENANT_NAMES)}
            self._evidence.saw("overheard")
            if parsed is None or parsed.tenant not in wanted:
                self._evidence.found(
                    f"the channel {channel.decode(errors='backslashreplace')!a}, on which "
                    f"{text[:80]!r} was sent, after: " + "; ".join(map(str, posts)),
                    found="nobody's" if parsed is None else parsed.tenant,
                    wanted=" or ".join(sorted(wanted)),
                )

    def judge(self, listener: Listener, program: Sequence[Post]) -> None:
        """Send the listener's marker, and judge all that it received until then."""
        marker = (listener.channels[0], f"{_MARKER} {listener.tenant}")
        answer_of("publish", self._handles[listener.tenant].publish, *marker)
        wanted = [
            (post.channel, post.text)
            for post in program
            if post.tenant == listener.tenant and post.channel in listener.channels
        ] + [marker]
        received = self._received(listener, marker, most=len(program) + len(TENANT_NAMES))
        self._evidence.saw("messages", len(received))
        if received != wanted:
            self._evidence.found(
                f"what {listener.tenant} received on {', '.join(listener.channels)}, after: "
                + "; ".join(map(str, program)),
                found=received,
                wanted=wanted,
            )

    def _received(
        self, listener: Listener, marker: tuple[str, str], most: int
    ) -> list[tuple[str, str]]:
        found: list[tuple[str, str]] = []
        while len(found) <= most and (not found or found[-1] != marker):
            what = f"{listener.tenant}'s subscription"
            message = answer_of(what, listener.subscription.next, wait=self._patience)
            if message is None:
                # One loss is waited for; the many plays that make it shorter need not be.
                self._patience = _AFTER_A_LOSS_SECONDS
                break
            found.append((message.channel, message.text))
        return found
