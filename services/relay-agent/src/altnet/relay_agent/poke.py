"""Who speaks first, and what to do when nobody answers.

Two ends that start a WireGuard handshake within one another's one-way delay stall each other for 5 s to over a
minute (measured, docs/architecture.md §6). So one side of each pair initiates, and the rules are:

    R1  the initiator (view.py) has endpoint and keepalive from the start; the responder has neither
    R3  no handshake after 5 s and a random bit: the responder tries too
    R4  after the device was made anew on a host that had sessions, everybody is poked at once: the neighbours still
        hold sessions that are dead, and would not start by themselves
    R2  (responders first) cannot be had without a barrier; an initiator that is not answered starts afresh after
        0.7 s, by removing the peer and adding it again, which resets WireGuard's own wait of 5 s

An endpoint is never changed under a session that works. Leaves out clients: they come to us.
Invariant: a peer is left alone from the moment that its handshake is seen.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from altnet.common import log
from altnet.common.clock import Clock
from altnet.common.errors import AltnetError, Invalid
from altnet.common.kernel.wireguard import NO_PSK, Endpoint, PeerChange, PeerConfig, PeerState, WireGuard
from altnet.common.keys import PublicKey
from altnet.relay_agent.pieces import Peer
from altnet.relay_agent.settings import Timers

_log = log.get(__name__)

LONGEST_WAIT: Final = 60.0
"""Seconds between two looks at a peer that stays silent: WireGuard's own keepalive goes on trying meanwhile; a look
turns to the next endpoint and resolves names again."""

KICK: Final = 25
"""Seconds of keepalive set for a moment where none is wanted: setting one makes WireGuard speak now."""

Resolve = Callable[[str], Awaitable[Endpoint | None]]
Random = Callable[[], float]


def literal(text: str) -> Endpoint | None:
    """The endpoint if it is written as an address, None for a host name."""
    try:
        return Endpoint.parse(text)
    except Invalid:
        return None


async def resolve(text: str, *, timeout: float = 5.0) -> Endpoint | None:
    """The endpoint of `address:port` or `host:port`; None while the name does not resolve."""
    known = literal(text)
    if known is not None:
        return known
    host, _, port = text.rpartition(":")
    if not host or not (port.isascii() and port.isdigit()):
        return None
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(timeout):
            found = await loop.getaddrinfo(host, int(port), type=socket.SOCK_DGRAM)
    except (OSError, TimeoutError, OverflowError, UnicodeError):
        return None
    for _family, _type, _protocol, _name, address in found:
        where = address[0]
        return literal(f"[{where}]:{port}" if ":" in str(where) else f"{where}:{port}")
    return None


@dataclass(slots=True)
class _Watch:
    peer: Peer
    started: float
    """Monotonic."""
    due: float
    speaking: bool
    """Whether this side has an endpoint set for the peer."""
    wait: float
    tries: int = 0
    at: int = 0
    """Which endpoint."""
    since: float = 0.0
    """Monotonic: when this endpoint was first tried."""


class Poker:
    """Watches peers until their handshake is seen."""

    def __init__(
        self,
        wireguard: WireGuard,
        *,
        clock: Clock,
        random: Random,
        timers: Timers,
        resolve: Resolve = resolve,
        enabled: bool = True,
    ) -> None:
        self._wireguard = wireguard
        self._clock = clock
        self._random = random
        self._timers = timers
        self._resolve = resolve
        self._enabled = enabled
        self._watched: dict[tuple[str, PublicKey], _Watch] = {}
        self._urgent: dict[str, float] = {}
        self._wake = asyncio.Event()

    @property
    def waiting(self) -> int:
        """How many peers have not been heard of yet."""
        return len(self._watched)

    def hurry(self, device: str) -> None:
        """The device was made anew where sessions may have been (R4): its next peers are poked at once."""
        self._urgent[device] = self._clock.monotonic() + 2 * self._timers.responder_patience

    def watch(self, peer: Peer) -> None:
        """See to it that the peer answers; it has just been configured, or its endpoints have changed."""
        if not self._enabled or not peer.endpoints:
            return
        now = self._clock.monotonic()
        if peer.initiator:
            wait = self._timers.initiator_repoke
            due = now if literal(peer.endpoints[0]) is None else now + wait
        else:
            wait = self._timers.responder_patience
            if self._urgent.get(peer.device, 0.0) > now:
                due = now + self._random() * self._timers.restart_poke
            else:
                due = now + wait + self._random() * self._timers.responder_jitter
        place = (peer.device, peer.key)
        self._watched[place] = _Watch(peer, now, due, peer.initiator, wait, since=now)
        self._wake.set()

    def review(self, peer: Peer, have: PeerState) -> None:
        """Watch a peer that was there before if its session is dead."""
        if not peer.endpoints or (peer.device, peer.key) in self._watched:
            return
        if self._lives(have) or (have.last_handshake is not None and peer.keepalive == 0):
            return  # without keepalive a session may sleep
        self.watch(peer)

    def rekeyed(self, peer: Peer) -> None:
        """The pre-shared key is another one: who waits for a handshake tries with that, and soon."""
        if (peer.device, peer.key) in self._watched:
            self.watch(peer)

    def forget(self, device: str, key: PublicKey) -> None:
        self._watched.pop((device, key), None)

    def forget_all(self) -> None:
        self._watched.clear()

    async def run(self) -> None:
        """Poke whoever is due, until cancelled."""
        while True:
            self._wake.clear()
            due = min((watch.due for watch in self._watched.values()), default=None)
            wait = None if due is None else max(0.0, due - self._clock.monotonic())
            try:
                async with asyncio.timeout(wait):
                    await self._wake.wait()
                    continue  # somebody new: look again who is first
            except TimeoutError:
                pass
            await self.poke()

    async def poke(self) -> None:
        """One round over the peers that are due now."""
        now = self._clock.monotonic()
        due = [watch for watch in self._watched.values() if watch.due <= now]
        for device in dict.fromkeys(watch.peer.device for watch in due):
            mine = [watch for watch in due if watch.peer.device == device]
            try:
                async with asyncio.timeout(self._timers.kernel_timeout):
                    await self._poke(device, mine)
            except (AltnetError, TimeoutError) as error:
                for watch in mine:
                    watch.due = now + self._timers.responder_patience
                _log.warning("peers could not be poked", device=device, reason=str(error) or "no answer in time")

    async def _poke(self, device: str, watches: list[_Watch]) -> None:
        state = await self._wireguard.read(device)
        again: list[PeerChange] = []
        calm: list[PeerChange] = []
        for watch in watches:
            peer = state.peers.get(watch.peer.key)
            place = (device, watch.peer.key)
            if self._watched.get(place) is not watch:
                continue
            if peer is None or self._lives(peer):
                # Not there: the reconciler puts it back at its next full comparison, and it is watched again.
                del self._watched[place]
                continue
            changes = await self._speak(watch, peer)
            again.extend(changes)
            if changes and watch.peer.keepalive == 0:
                calm.append(PeerChange.update(watch.peer.key, keepalive=0))
        if again:
            await self._wireguard.apply(device, again)
            if late := [change for watch in watches if (change := self._other_key(device, watch)) is not None]:
                await self._wireguard.apply(device, late)
        if calm:
            await self._wireguard.apply(device, calm)

    def _other_key(self, device: str, watch: _Watch) -> PeerChange | None:
        """What mends a peer that got another pre-shared key while it was poked."""
        now = self._watched.get((device, watch.peer.key))
        if now is None or now is watch or now.peer.psk == watch.peer.psk:
            return None
        return PeerChange.update(watch.peer.key, psk=now.peer.psk or NO_PSK)

    async def _speak(self, watch: _Watch, peer: PeerState) -> list[PeerChange]:
        now = self._clock.monotonic()
        if watch.tries and now - watch.since >= self._timers.endpoint_patience:
            watch.at = (watch.at + 1) % len(watch.peer.endpoints)
            watch.since = now
        watch.tries += 1
        watch.due = now + watch.wait * (1 + self._random() * 0.1)
        watch.wait = min(watch.wait * 2, LONGEST_WAIT)
        endpoint = await self._resolve(watch.peer.endpoints[watch.at])
        if endpoint is None:
            return []
        key, keepalive = watch.peer.key, watch.peer.keepalive or KICK
        if peer.endpoint is None or not watch.speaking:
            watch.speaking = True
            # Off and on again: only the change from none makes WireGuard speak now.
            return [
                PeerChange.update(key, keepalive=0),
                PeerChange.update(key, endpoint=endpoint, keepalive=keepalive),
            ]
        config = PeerConfig(
            key=key, allowed=watch.peer.allowed, endpoint=endpoint, keepalive=keepalive, psk=watch.peer.psk
        )
        return [PeerChange.remove(key), PeerChange.add(config)]

    def _lives(self, peer: PeerState) -> bool:
        if peer.last_handshake is None:
            return False
        return self._clock.now().timestamp() - peer.last_handshake < self._timers.session_lifetime
