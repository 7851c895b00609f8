"""What an agent remembers of its clients over its own end and its host's: where they were last, and who was attached.

A host that lost its power has lost its sessions, and its clients notice only after WireGuard's 15 s of silence. With
their last endpoints it speaks first, and the tunnel is back at once. Only clients that cannot move are remembered so:
the others look after themselves, and two that speak first would stall each other (docs/architecture.md §7).

Leaves out speaking (planes/wireguard.py). Invariant: the file is bounded, private, and written rarely.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Final

from altnet.common import log
from altnet.common.clock import Clock
from altnet.common.contracts.desired import RelayDocument
from altnet.common.errors import AltnetError, Invalid
from altnet.common.kernel.wireguard import Endpoint, PeerState, WireGuard
from altnet.common.keys import PublicKey
from altnet.relay_agent.settings import Timers
from altnet.relay_agent.state import Attachment, ClientMemory, State
from altnet.relay_agent.view import known_key

_log = log.get(__name__)

MOST_ENDPOINTS: Final = 4096
"""Of the clients heard last; about 100 bytes each."""


class Remembered:
    """The memory over a `State`. `devices` are the access devices."""

    def __init__(
        self,
        state: State,
        *,
        wireguard: WireGuard,
        devices: tuple[str, ...],
        document: Callable[[], RelayDocument | None],
        attached: Callable[[], dict[str, Attachment]],
        clock: Clock,
        timers: Timers,
    ) -> None:
        self._state = state
        self._wireguard = wireguard
        self._devices = devices
        self._document = document
        self._attached = attached
        self._clock = clock
        self._timers = timers
        self._saved = state.clients()
        self._news = asyncio.Event()

    @property
    def attachments(self) -> Mapping[str, Attachment]:
        """As they were when last written."""
        return self._saved.attached

    def endpoint_of(self, key: PublicKey) -> Endpoint | None:
        """Where the client with this key was last heard from."""
        text = self._saved.endpoints.get(key.base64)
        if text is None:
            return None
        try:
            return Endpoint.parse(text)
        except Invalid:
            return None

    def note(self) -> None:
        """Another client is attached: that is written soon."""
        self._news.set()

    async def run(self) -> None:
        """Look and write until cancelled: endpoints now and then, attachments soon after a change."""
        due = self._clock.monotonic() + self._timers.endpoints_kept
        while True:
            try:
                async with asyncio.timeout(max(0.0, due - self._clock.monotonic())):
                    await self._news.wait()
            except TimeoutError:
                pass
            self._news.clear()
            look = self._clock.monotonic() >= due
            if look:
                due = self._clock.monotonic() + self._timers.endpoints_kept
            await self.save(look=look)
            await asyncio.sleep(self._timers.attachments_kept)  # a burst is one write

    async def save(self, *, look: bool) -> None:
        """Write what differs from the file; with `look`, after reading where the clients are now."""
        endpoints = await self._look() if look else self._saved.endpoints
        now = ClientMemory(endpoints=endpoints, attached=self._attached())
        if now == self._saved:
            return
        try:
            await self._state.save_clients(now)
            self._saved = now
        except AltnetError as error:
            _log.warning("the clients are not remembered", reason=str(error))

    async def _peers(self) -> dict[PublicKey, PeerState]:
        """Each key's newest session. Raises what reading does where there is no device at all."""
        there = await self._wireguard.list()
        found: dict[PublicKey, PeerState] = {}
        for device in [name for name in self._devices if name in there] or self._devices[:1]:
            for key, peer in (await self._wireguard.read(device)).peers.items():
                if _newer(peer, found.get(key)):
                    found[key] = peer
        return found

    async def _look(self) -> dict[str, str]:
        document = self._document()
        if document is None or document.revoked:
            return {}
        try:
            async with asyncio.timeout(self._timers.kernel_timeout):
                peers = await self._peers()
        except (AltnetError, TimeoutError):
            return self._saved.endpoints  # somebody else says so
        held = [text for it in document.clients if not it.movable for text in (it.key, it.next_key) if text]
        staying = [key for text in held if (key := known_key(text)) is not None]
        heard = [peer for key in staying if (peer := peers.get(key)) is not None and peer.last_handshake is not None]
        heard.sort(key=lambda peer: -(peer.last_handshake or 0.0))
        found = {peer.key.base64: str(peer.endpoint) for peer in heard[:MOST_ENDPOINTS] if peer.endpoint is not None}
        # After a reboot nobody was heard yet: who has not come back is still where he was.
        silent = {key.base64 for key in staying if _silent(peers.get(key))}
        for text, endpoint in self._saved.endpoints.items():
            if text in silent and len(found) < MOST_ENDPOINTS:
                found[text] = endpoint
        return found


def _newer(one: PeerState, other: PeerState | None) -> bool:
    return other is None or (one.last_handshake or 0.0) > (other.last_handshake or 0.0)


def _silent(peer: PeerState | None) -> bool:
    return peer is None or peer.last_handshake is None
