"""The client's WireGuard interface, over every relay that it may attach to.

Each relay is a peer. All of them may send from their attach address, by which they are probed; the one in use has the
network's routes as allowed IPs too. So changing the relay is one change of one peer, and addresses, routes and
connections of the host do not see it. A tunnel that is up is adopted as it is: sessions outlive us.

While a key is being replaced there is a second interface, the other *lane*, with the sessions of the next keys. Both
have our addresses; the routes say which is used, and they move at once. Two interfaces are two tables of keys, so
packets under way by either arrive.

Leaves out when to change (paths.py, shift.py). Invariant: we touch our own interfaces and routes of our own protocol
number only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from ipaddress import ip_network

from altnet.client.plan import Plan, Relay, resolve
from altnet.client.settings import Timers
from altnet.common import log
from altnet.common.errors import AltnetError, NotFound
from altnet.common.kernel.links import Links, Route
from altnet.common.kernel.wireguard import DeviceConfig, PeerChange, PeerConfig, PeerState, WireGuard, canonical
from altnet.common.keys import PrivateKey, PublicKey
from altnet.common.net import Prefix

_log = log.get(__name__)


def lanes(interface: str) -> tuple[str, str]:
    """The interface, and the one that it changes places with."""
    return interface, f"{interface}n"


class Tunnel:
    """The interface `name` on one host."""

    def __init__(
        self,
        wireguard: WireGuard,
        links: Links,
        *,
        name: str,
        key: PrivateKey,
        timers: Timers,
        held: Callable[[], Sequence[PrivateKey]] | None = None,
    ) -> None:
        """`held` gives our keys of now, the present one first; without it there is `key` alone."""
        self._wireguard = wireguard
        self._links = links
        self._lanes = lanes(name)
        self._name = name
        self._held = held or (lambda: (key,))
        self._timers = timers
        self._tried: dict[str, int] = {}
        """How often each relay's peer was made: each time the next endpoint has its turn."""

    @property
    def backend(self) -> str:
        return self._wireguard.backend

    @property
    def name(self) -> str:
        """The lane in use."""
        return self._name

    @property
    def other(self) -> str:
        return self._lanes[1] if self._name == self._lanes[0] else self._lanes[0]

    def holds(self, own: PublicKey | None) -> bool:
        """Whether we have the private half of this key."""
        return own is None or any(key.public() == own for key in self._held())

    async def adopt(self, plans: Sequence[Plan]) -> Plan | None:
        """Take over the lane that is up, and say which of the plans it follows: the one that carries our routes first.

        None where none is up, or it follows none of them.
        """
        there = [name for name in self._lanes if name in await self._wireguard.list()]
        carrying = {route.device for route in await self._links.read_routes()} if there else set()
        for name in sorted(there, key=lambda name: name not in carrying):
            state = await self._wireguard.read(name)
            for plan in plans:
                used = {key for key, peer in state.peers.items() if set(plan.routes) & set(peer.allowed)}
                known = {relay.key for relay in plan.relays.values()} & (used or state.peers.keys())
                if known and state.public_key == self._key(plan).public():
                    self._name = name
                    return plan
        if there:
            self._name = min(there, key=lambda name: name not in carrying)
        return None

    async def follows(self, plan: Plan, relay: str) -> bool:
        """Whether the lane in use has this relay's session by the keys of the plan."""
        state = await self._wireguard.read(self._name)
        return state.public_key == self._key(plan).public() and plan.relays[relay].key in state.peers

    async def has_other(self) -> bool:
        """Whether there is a second lane."""
        return self.other in await self._wireguard.list()

    async def prepare(self, plan: Plan, now: Plan, *, current: str) -> None:
        """Make the other lane, with the sessions whose keys differ from those of `now`: the same pair of keys on two
        interfaces would take the session away from the lane in use."""
        await self.drop_other()
        await self._wireguard.create(self.other)
        key = self._key(plan)
        await self._wireguard.configure(self.other, DeviceConfig(private_key=key, listen_port=0))
        await self._links.set_link(self.other, mtu=plan.mtu, up=True)
        await self._put_addresses(plan, self.other)
        same_own = key.public() == self._key(now).public()
        changes = []
        for relay in plan.relays.values():
            before = now.relays.get(relay.id)
            if before is None or before.key != relay.key or not same_own:
                config = await self._config(plan, relay, current=relay.id == current)
                changes.append(PeerChange.add(config))
        await self._wireguard.apply(self.other, changes)

    async def shaken(self, plan: Plan, relay: str) -> bool:
        """Whether this relay's session is up on the other lane: who sees the handshake may send."""
        peer = (await self._wireguard.read(self.other)).peers.get(plan.relays[relay].key)
        return peer is not None and peer.last_handshake is not None

    async def hurry_other(self, plan: Plan, relay: str, *, current: bool) -> None:
        """Start a handshake of the other lane anew, by its next endpoint."""
        config = await self._config(plan, plan.relays[relay], current=current)
        await self._wireguard.apply(self.other, [PeerChange.remove(config.key), PeerChange.add(config)])

    async def switch(self, plan: Plan, *, current: str) -> None:
        """Use the other lane from now on. What comes by the one of before is still taken."""
        before, self._name = self._name, self.other
        try:
            await self._put_routes(plan)
        except AltnetError:
            self._name = before
            raise
        # The rest follows: sessions whose keys are the same leave the lane of before.
        state = await self._wireguard.read(self._name)
        left = (await self._wireguard.read(before)).peers
        shared = [relay.key for relay in plan.relays.values() if relay.key in left and relay.key not in state.peers]
        if shared and (await self._wireguard.read(before)).public_key == state.public_key:
            await self._wireguard.apply(before, [PeerChange.remove(key) for key in shared])
        await self._put_peers(plan, state.peers, current)
        await self._put_addresses(plan, self._name)

    async def drop_other(self) -> None:
        """Remove the lane that is not in use, if it is there."""
        if await self.has_other():
            await self._wireguard.remove(self.other)

    async def bring_up(self, plan: Plan, *, prefer: str | None = None) -> str | None:
        """Make interface, peers, addresses and routes as planned; returns the relay in use.

        What is there already stays in use, else `prefer`, else the first. Raises `Unavailable`, `Invalid`, `Conflict`.
        """
        fresh = self._name not in await self._wireguard.list()
        if fresh:
            await self._wireguard.create(self._name)
        state = await self._wireguard.read(self._name)
        key = self._key(plan)
        if state.public_key != key.public():
            await self._wireguard.configure(self._name, DeviceConfig(private_key=key, listen_port=0))
        await self._links.set_link(self._name, mtu=plan.mtu, up=True)
        current = self._in_use(plan, state.peers)
        if current is None and plan.relays:
            first = min(plan.relays.values(), key=lambda relay: (relay.priority, relay.id)).id
            current = prefer if prefer in plan.relays else first
        await self._put_peers(plan, state.peers, current)
        await self._put_addresses(plan, self._name)
        await self._put_routes(plan)
        return current

    async def move(self, plan: Plan, relay: str) -> None:
        """Let this relay carry everything: WireGuard moves an allowed IP from one peer to another at once."""
        change = PeerChange.update(plan.relays[relay].key, allowed=plan.routes)
        await self._wireguard.apply(self._name, [change])

    async def start_anew(self, plan: Plan, relay: str, *, current: bool) -> None:
        """Make a relay's peer anew, with its next endpoint: WireGuard starts a handshake at once."""
        config = await self._config(plan, plan.relays[relay], current=current)
        await self._wireguard.apply(self._name, [PeerChange.remove(config.key), PeerChange.add(config)])

    async def peers(self) -> Mapping[PublicKey, PeerState]:
        """The peers as they are. Raises `NotFound` where somebody has deleted the interface."""
        return (await self._wireguard.read(self._name)).peers

    async def take_down(self) -> bool:
        """Remove the interface and all that hangs on it; False where it was not there."""
        there = [name for name in self._lanes if name in await self._wireguard.list()]
        for name in there or self._lanes[:1]:
            await self._wireguard.remove(name)
        await self._links.delete_routes(await self._links.read_routes())
        return bool(there)

    def _key(self, plan: Plan) -> PrivateKey:
        held = self._held()
        return next((key for key in held if plan.own is not None and key.public() == plan.own), held[0])

    def _in_use(self, plan: Plan, peers: Mapping[PublicKey, PeerState]) -> str | None:
        if not plan.routes:
            return None
        for relay in plan.relays.values():
            peer = peers.get(relay.key)
            if peer is not None and set(plan.routes) & set(peer.allowed):
                return relay.id
        return None

    async def _put_peers(self, plan: Plan, have: Mapping[PublicKey, PeerState], current: str | None) -> None:
        wanted = {relay.key for relay in plan.relays.values()}
        changes = [PeerChange.remove(key) for key in have if key not in wanted]
        # The relay in use last: what it takes over, another may have had.
        for relay in sorted(plan.relays.values(), key=lambda relay: relay.id == current):
            peer = have.get(relay.key)
            if peer is None:
                changes.append(PeerChange.add(await self._config(plan, relay, current=relay.id == current)))
                continue
            allowed = _allowed(plan, relay, current=relay.id == current)
            if peer.allowed != allowed or peer.keepalive != plan.keepalive:
                replace = bool(set(peer.allowed) - set(allowed))
                changes.append(
                    PeerChange.update(relay.key, allowed=allowed, replace_allowed=replace, keepalive=plan.keepalive)
                )
        if changes:
            await self._wireguard.apply(self._name, changes)

    async def _config(self, plan: Plan, relay: Relay, *, current: bool) -> PeerConfig:
        tried = self._tried.get(relay.id, 0)
        self._tried[relay.id] = tried + 1
        endpoint = None
        if relay.endpoints:
            text = relay.endpoints[tried % len(relay.endpoints)]
            endpoint = await resolve(text, timeout=self._timers.resolve_timeout)
        return PeerConfig(
            key=relay.key,
            allowed=_allowed(plan, relay, current=current),
            endpoint=endpoint,
            keepalive=plan.keepalive,
        )

    async def _put_addresses(self, plan: Plan, lane: str) -> None:
        have = await self._links.read_addresses(lane)
        for address in plan.on_interface:
            if address not in have:
                await self._links.put_address(lane, address)
        for old in have - set(plan.on_interface):
            if not old.ip.is_link_local:
                await self._links.delete_address(lane, old)

    async def _put_routes(self, plan: Plan) -> None:
        source = plan.addresses[0].ip
        wanted = [
            Route(prefix=prefix, device=self._name, source=source if prefix.version == 6 else None)
            for prefix in plan.routes
        ]
        have = await self._links.read_routes()
        old = [route for route in have if route not in wanted]
        gone = {(route.prefix, route.metric) for route in wanted}
        failures = await self._links.put_routes([route for route in wanted if route not in have])
        await self._links.delete_routes([route for route in old if (route.prefix, route.metric) not in gone])
        for failure in failures:
            _log.warning("a route was refused", prefix=str(failure.route.prefix), reason=failure.reason)


def _allowed(plan: Plan, relay: Relay, *, current: bool) -> tuple[Prefix, ...]:
    own: Prefix = ip_network((relay.address, 128))
    return canonical((own, *plan.routes)) if current else (own,)


def interface_gone(error: AltnetError) -> bool:
    """Whether somebody has deleted our interface."""
    return isinstance(error, NotFound) and error.code in ("no_device", "no_link")
