"""Which way each client uses while it has several: so its packets go by the pair of keys that it has changed over to.

A client with altnetd says hello by the way that it uses, and that counts at once. Of others there is only what their
sessions show: a handshake that is newer than that of the way in use, and then from where packets come. Both ends have
both ways, so an answer by the old one arrives as long as the client keeps it.

Leaves out what follows on the host (view.client_pieces). Invariants: a client that uses one way is answered by it in
the end; memory and work are bounded by the clients with several ways, and without any nothing is read.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from altnet.common import log
from altnet.common.clock import Clock
from altnet.common.contracts.attach import Hello
from altnet.common.errors import AltnetError
from altnet.common.kernel.wireguard import PeerState, WireGuard
from altnet.common.keys import PublicKey
from altnet.relay_agent.access_epochs import Way
from altnet.relay_agent.pieces import Names
from altnet.relay_agent.settings import Timers
from altnet.relay_agent.view import known_key

_log = log.get(__name__)

Ways = Mapping[str, tuple[Way, ...]]
"""Of each client that has several."""

QUIET: Final = 3.0
"""Seconds without a packet by a newer way, while some come by an older one, after which the client is taken to have
gone back: a wg-quick client to which its old file was given again."""
HEARD: Final = 30.0
"""Seconds after a hello in which sessions say nothing: it is said every second, and a session of before may be renewed
by whoever keeps it alive."""
SHARE: Final = 20
"""Of the time that reading takes, how many times are waited: many clients shall not cost more than a twentieth."""


@dataclass(slots=True)
class _Look:
    """What one way has shown."""

    rx: int = 0
    handshake: float | None = None
    active: float = float("-inf")
    """Monotonic: when packets were last seen to come."""


@dataclass(slots=True)
class _Client:
    device: int | None = None
    said: tuple[int, int] = (0, 0)
    heard: float = float("-inf")
    looks: dict[int, _Look] = field(default_factory=dict)


class Carriers:
    """`run` until cancelled; `carried` is what `Wanted` asks for."""

    def __init__(
        self,
        wireguard: WireGuard,
        *,
        names: Names,
        ways: Callable[[], Ways],
        clock: Clock,
        timers: Timers,
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        """`changed` is called whenever a client uses another way."""
        self._wireguard = wireguard
        self._names = names
        self._ways = ways
        self._clock = clock
        self._timers = timers
        self._changed = changed
        self._clients: dict[str, _Client] = {}
        self._carried: Mapping[str, int] = {}
        self._wake = asyncio.Event()

    def carried(self) -> Mapping[str, int]:
        """Client → number of its access device, where it has shown one. Another mapping after each change."""
        return self._carried

    def wake(self) -> None:
        """The clients may have other ways by now."""
        self._wake.set()

    def heard(self, client: str, device: str, hello: Hello) -> None:
        """A client has spoken by this device; the caller has made sure who speaks."""
        found = self._ways().get(client)
        number = self._names.access_number(device)
        if found is None or number is None or all(way.device != number for way in found):
            return
        known = self._clients.setdefault(client, _Client())
        word = (hello.counter, hello.number)
        if word <= known.said:
            return  # overtaken on the other way
        known.said, known.heard = word, self._clock.monotonic()
        if known.device != number:
            known.device = number
            self._tell()

    async def run(self) -> None:
        """Look for as long as anybody has several ways."""
        while True:
            self._wake.clear()
            began = self._clock.monotonic()
            waits = await self.look()
            spent = self._clock.monotonic() - began
            wait = max(self._timers.switch_check, SHARE * spent) if waits else None
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._wake.wait()
            await asyncio.sleep(0)

    async def look(self) -> bool:
        """Read the devices once, where that tells something; True while it does."""
        found = self._ways()
        gone = [client for client in self._clients if client not in found]
        for client in gone:
            del self._clients[client]
        moved = bool(gone)
        if found:
            devices = {way.device for several in found.values() for way in several}
            peers = {device: await self._peers(device) for device in sorted(devices)}
            for client, several in found.items():
                moved |= self._judge(client, several, peers)
        if moved:
            self._tell()
        return bool(found)

    async def _peers(self, device: int) -> Mapping[PublicKey, PeerState]:
        try:
            async with asyncio.timeout(self._timers.kernel_timeout):
                return (await self._wireguard.read(self._names.access_of(device))).peers
        except (AltnetError, TimeoutError):
            return {}  # not made yet

    def _judge(self, client: str, several: tuple[Way, ...], peers: Mapping[int, Mapping[PublicKey, PeerState]]) -> bool:
        """True if the client uses another way than before."""
        known = self._clients.setdefault(client, _Client())
        now, wall = self._clock.monotonic(), self._clock.now().timestamp()
        first = not known.looks
        for way in several:
            look = known.looks.setdefault(way.device, _Look())
            key = known_key(way.key)
            peer = peers.get(way.device, {}).get(key) if key is not None else None
            if peer is None:
                continue
            if peer.rx > look.rx and not first:
                look.active = now
            look.rx = peer.rx
            made = peer.last_handshake
            look.handshake = made if made is not None and wall - made < self._timers.session_lifetime else None
        known.looks = {way.device: known.looks[way.device] for way in several}
        if now - known.heard < HEARD and known.device in known.looks:
            return False
        chosen = _chosen(several, known, now)
        if chosen == known.device:
            return False
        known.device = chosen
        return True

    def _tell(self) -> None:
        self._carried = {client: known.device for client, known in self._clients.items() if known.device is not None}
        self._changed()


def _chosen(several: tuple[Way, ...], known: _Client, now: float) -> int | None:
    """The newest way with a session, unless packets come by an older one alone; as before where nothing is seen."""
    alive = [way.device for way in several if known.looks[way.device].handshake is not None]
    if not alive:
        return known.device if known.device in known.looks else None
    newest = alive[-1]
    last = max(alive, key=lambda device: known.looks[device].active)
    behind = known.looks[last].active - known.looks[newest].active
    if last != newest and behind > QUIET and now - known.looks[last].active < QUIET:
        return last
    return newest
