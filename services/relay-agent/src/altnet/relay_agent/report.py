"""What the agent tells: what it has applied, at once; and that it is alive, every few seconds.

Both are last-one-counts messages, so a lost one costs nothing but time. A burst of changes gives one
acknowledgement. Without the bus nothing is queued: the next heartbeat says it all.

Leaves out where the numbers come from (reconcile.py, probe.py). Invariant: telling never holds up applying.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import platform
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Protocol

import msgspec
from altnet.common import log
from altnet.common.bus import subjects
from altnet.common.clock import Clock
from altnet.common.contracts.agent import (
    Applied,
    ClientStatus,
    Heartbeat,
    HostStatus,
    LinkStatus,
    Versions,
)
from altnet.common.contracts.desired import AccessClient, Encapsulation, RelayDocument, RelayEntry
from altnet.common.contracts.routing import Engine, RoutingStatus
from altnet.common.errors import AltnetError
from altnet.common.kernel.wireguard import PeerState, WireGuard
from altnet.common.keys import PublicKey
from altnet.relay_agent import VERSION
from altnet.relay_agent.access_epochs import Way, ways
from altnet.relay_agent.attachments import Attachments
from altnet.relay_agent.desired import Wish
from altnet.relay_agent.epochs import Roles
from altnet.relay_agent.pieces import Names
from altnet.relay_agent.probe import Prober
from altnet.relay_agent.settings import Timers
from altnet.relay_agent.view import known_key, neighbours

_log = log.get(__name__)


class Outlet(Protocol):
    """Where messages go: `altnet.common.bus.connect.Bus`."""

    @property
    def connected(self) -> bool: ...

    async def publish(self, subject: str, payload: bytes) -> None: ...


class Reporter:
    """Speaks for one relay."""

    def __init__(
        self,
        desired: Wish,
        outlet: Outlet,
        *,
        wireguard: WireGuard,
        prober: Prober,
        names: Names,
        boot: str,
        clock: Clock,
        random: Callable[[], float],
        timers: Timers,
        versions: Versions,
        applied: Callable[[], Applied],
        health: Callable[[], str],
        host: Callable[[], HostStatus],
        device_lost: Callable[[], None] = lambda: None,
        routing: Callable[[], Awaitable[RoutingStatus | None]] | None = None,
        attachments: Attachments | None = None,
        session_of: Callable[[RelayEntry], tuple[str, PublicKey | None]] | None = None,
        preshared_age: Callable[[str], float | None] = lambda _relay: None,
        access: Callable[[], Roles | None] = lambda: None,
    ) -> None:
        """`session_of` tells the device and the peer that carry the link to a relay, `preshared_age` the age of its
        pre-shared key, `access` the keys for clients.

        `device_lost` is called when a device that should be there cannot be read: somebody killed what made it."""
        self._desired = desired
        self._outlet = outlet
        self._wireguard = wireguard
        self._prober = prober
        self._names = names
        self._boot = boot
        self._clock = clock
        self._random = random
        self._timers = timers
        self._versions = versions
        self._applied = applied
        self._health = health
        self._host = host
        self._device_lost = device_lost
        self._routing = routing
        self._attachments = attachments
        self._session_of = session_of or (lambda entry: (names.mesh, known_key(entry.key)))
        self._preshared_age = preshared_age
        self._access = access
        self._news = asyncio.Event()
        self._beat = asyncio.Event()
        self._number = 0
        self._told_health = "ok"

    def acknowledge(self) -> None:
        """Something was applied, or failed."""
        self._news.set()
        if self._health() != self._told_health:
            self._beat.set()

    def tell(self, versions: Versions) -> None:
        """What runs here has changed."""
        self._versions = versions
        self._beat.set()

    async def on_connect(self) -> None:
        """The bus is back: what we said meanwhile was lost."""
        self._news.set()
        self._beat.set()

    async def run_acknowledgements(self) -> None:
        """Send an `Applied` soon after each change, until cancelled."""
        subject = subjects.relay_applied(self._desired.relay)
        while True:
            await self._news.wait()
            await asyncio.sleep(self._timers.acknowledge)
            self._news.clear()
            await self._send(subject, lambda: _ready(self._applied()))

    async def run_heartbeats(self) -> None:
        """Send a `Heartbeat` at the mesh's pace, and at once when the health changes, until cancelled."""
        subject = subjects.relay_status(self._desired.relay)
        while True:
            wait = self._desired.settings.heartbeat * (0.9 + 0.2 * self._random())
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._beat.wait()
            self._beat.clear()
            await self._send(subject, self.heartbeat)

    async def heartbeat(self) -> Heartbeat:
        """The present state as a message. Raises `AltnetError` where WireGuard cannot be read."""
        self._told_health = self._health()
        links, clients = await self.sessions()
        beat = Heartbeat(
            boot=self._boot,
            number=self._number,
            applied=self._applied(),
            health=self._told_health,
            links=links,
            clients=clients,
            host=self._host(),
            versions=self._versions,
            routing=await self._routing() if self._routing is not None else None,
        )
        self._number += 1
        return beat

    async def sessions(self) -> tuple[tuple[LinkStatus, ...], tuple[ClientStatus, ...]]:
        """How links and clients are. Empty where the devices are not there (yet)."""
        document = self._desired.document
        if document is None or document.revoked:
            return (), ()
        access, by_next = await self._clients_peers(document)
        used = {entry.id: self._session_of(entry) for entry in neighbours(document, self._desired.entries)}
        meshes = {device: await self._peers(device) for device in {device for device, _ in used.values()}}
        links = tuple(self._link(relay, meshes[device].get(key)) for relay, (device, key) in used.items())
        clients = tuple(
            ClientStatus(
                client=client.id,
                handshake_age=self._age(peer),
                received=peer.rx,
                sent=peer.tx,
                endpoint=str(peer.endpoint) if peer.endpoint else None,
                attached=self._is_attached(client),
                rtt=self._attachments.rtt(client.id) if self._attachments is not None else None,
                next_key=client.next_key if client.id in by_next else "",
            )
            for client in document.clients
            if (peer := access.get(client.id)) is not None and peer.last_handshake is not None
        )
        return links, clients

    async def _clients_peers(self, document: RelayDocument) -> tuple[dict[str, PeerState], set[str]]:
        """Each client's newest session, by whichever way; and those that have come by their next key."""
        access = self._access()
        several = {
            client.id: ways(access, client) if access is not None else (Way(0, client.key),)
            for client in document.clients
        }
        devices = {access.device if access is not None else 0, *(way.device for it in several.values() for way in it)}
        peers = {device: await self._peers(self._names.access_of(device)) for device in devices}
        newest: dict[str, PeerState] = {}
        by_next: set[str] = set()
        for client in document.clients:
            shown = [
                (way.key, peer)
                for way in several[client.id]
                if (peer := peers[way.device].get(known_key(way.key))) is not None
            ]
            if shown:
                newest[client.id] = max((peer for _, peer in shown), key=lambda peer: peer.last_handshake or 0.0)
            if any(key != client.key and peer.last_handshake is not None for key, peer in shown):
                by_next.add(client.id)
        return newest, by_next

    def _is_attached(self, client: AccessClient) -> bool:
        if not client.movable:
            return not client.standby
        return self._attachments is not None and client.id in self._attachments.attached

    def _link(self, neighbour: str, peer: PeerState | None) -> LinkStatus:
        quality = self._prober.quality(neighbour)
        rtt, loss = (quality.rtt, quality.loss) if quality is not None else (None, None)
        if peer is None:
            return LinkStatus(neighbour=neighbour, up=False, rtt=rtt, loss=loss)
        age = self._age(peer)
        return LinkStatus(
            neighbour=neighbour,
            up=age is not None and age < self._timers.session_lifetime and (loss is None or loss < 1),
            handshake_age=age,
            received=peer.rx,
            sent=peer.tx,
            rtt=rtt,
            loss=loss,
            endpoint=str(peer.endpoint) if peer.endpoint else None,
            preshared_age=self._preshared_age(neighbour),
        )

    def _age(self, peer: PeerState) -> float | None:
        if peer.last_handshake is None:
            return None
        return max(0.0, self._clock.now().timestamp() - peer.last_handshake)

    async def _peers(self, device: str) -> Mapping[PublicKey | None, PeerState]:
        try:
            state = await self._wireguard.read(device)
        except AltnetError as error:
            _log.debug("the sessions cannot be read", device=device, reason=str(error))
            self._device_lost()
            return {}
        return {key: peer for key, peer in state.peers.items()}  # noqa: C416 - with None among the keys asked for

    async def _send(self, subject: str, make: Callable[[], Awaitable[msgspec.Struct]]) -> None:
        if not self._outlet.connected:
            return
        try:
            payload = msgspec.json.encode(await make())
            async with asyncio.timeout(self._timers.bus_timeout):
                await self._outlet.publish(subject, payload)
        except (AltnetError, TimeoutError) as error:
            _log.debug("not told", subject=subject, reason=str(error) or "the bus takes nothing")


def host_status(uptime: float) -> HostStatus:
    """The machine's load, as /proc tells it."""
    return HostStatus(
        load=os.getloadavg()[0] / (os.cpu_count() or 1),
        memory_used=_memory_used(),
        agent_rss=_rss(),
        uptime=uptime,
    )


def versions(backend: str, encapsulations: tuple[Encapsulation, ...], engine: Engine = Engine.STATIC) -> Versions:
    """What runs here."""
    return Versions(
        agent=VERSION, kernel=platform.release(), wireguard=backend, encapsulations=encapsulations, routing=engine
    )


async def _ready(applied: Applied) -> Applied:
    return applied


def _memory_used() -> float:
    found: dict[str, int] = {}
    for line in Path("/proc/meminfo").read_text().splitlines():
        name, _, rest = line.partition(":")
        if name in ("MemTotal", "MemAvailable"):
            found[name] = int(rest.split()[0])
    total = found.get("MemTotal", 0)
    return 1 - found.get("MemAvailable", 0) / total if total else 0.0


def _rss() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
