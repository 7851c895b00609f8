"""The client's one WireGuard interface, over every relay that it may attach to.

Each relay is a peer. All of them may send from their attach address, by which they are probed; the one in use has the
network's routes as allowed IPs too. So changing the relay is one change of one peer, and addresses, routes and
connections of the host do not see it. A tunnel that is up is adopted as it is: sessions outlive us.

Leaves out when to change (paths.py). Invariant: we touch our own interface and routes of our own protocol number only.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv6Address, IPv6Interface, ip_network
from typing import Final

from altnet.client.settings import Timers
from altnet.common import log
from altnet.common.contracts.client import AccessPoint, ClientConfig
from altnet.common.errors import AltnetError, Invalid, NotFound
from altnet.common.kernel.links import Links, Route
from altnet.common.kernel.wireguard import (
    DeviceConfig,
    Endpoint,
    PeerChange,
    PeerConfig,
    PeerState,
    WireGuard,
    canonical,
)
from altnet.common.keys import PrivateKey, PublicKey
from altnet.common.net import AddressPlan, Prefix, check_network_prefix, parse_prefix

_log = log.get(__name__)

SHORTEST: Final = 1
"""A default route would carry the tunnel into itself; that takes marks on packets, which we do not set."""


@dataclass(frozen=True, kw_only=True)
class Relay:
    """A relay as the tunnel has it."""

    id: str
    name: str
    key: PublicKey
    endpoints: tuple[str, ...]
    address: IPv6Address
    """Where it is probed and greeted, through its own tunnel."""
    overlay: IPv6Address
    """In the mesh: reached through whatever relay is in use."""
    guest: IPv6Address
    """Our own address towards this relay, attached or not (net.AddressPlan.guest_address)."""
    priority: int


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a configuration asks for, checked."""

    addresses: tuple[IPv6Interface, ...]
    """Our own, the first one before all."""
    routes: tuple[Prefix, ...]
    relays: Mapping[str, Relay]
    mtu: int
    keepalive: int
    attach_port: int
    movable: bool
    refused: tuple[str, ...] = field(default=())
    """Routes that cannot be had, with the reason."""

    @property
    def on_interface(self) -> tuple[IPv6Interface, ...]:
        """All addresses that the interface gets."""
        guests = (IPv6Interface((relay.guest, 128)) for relay in self.relays.values())
        return tuple(dict.fromkeys((*self.addresses, *guests)))


def plan_of(config: ClientConfig) -> Plan:
    """Check a configuration. Raises `Invalid`, naming the field: nothing of it has been done then."""
    network = parse_prefix(config.prefix, field="/prefix")
    if network.version != 6:
        raise Invalid("bad_network_prefix", f"{network} is not an IPv6 prefix.", field="/prefix")
    plan = AddressPlan(check_network_prefix(network, field="/prefix"))
    addresses = []
    for number, text in enumerate(config.addresses):
        address = parse_prefix(text, field=f"/addresses/{number}")
        if address.version != 6 or address.prefixlen != 128 or not address.subnet_of(plan.prefix):
            raise Invalid("bad_address", f"{address} is no /128 of {plan.prefix}.", field=f"/addresses/{number}")
        addresses.append(IPv6Interface(address))
    own = addresses[0].ip
    relays = {one.relay: _relay(plan, one, own, f"/relays/{number}") for number, one in enumerate(config.relays)}
    if len({relay.key for relay in relays.values()}) < len(config.relays):
        raise Invalid("bad_configuration", "two relays have the same identifier or key.", field="/relays")
    routes: list[Prefix] = []
    refused: list[str] = []
    for number, text in enumerate(config.routes):
        prefix = parse_prefix(text, field=f"/routes/{number}")
        reason = _objection(prefix, relays.values())
        if reason is None:
            routes.append(prefix)
        else:
            refused.append(f"{prefix}: {reason}")
    return Plan(
        addresses=tuple(addresses),
        routes=canonical(routes),
        relays=relays,
        mtu=config.mtu,
        keepalive=config.keepalive,
        attach_port=config.attach_port,
        movable=config.movable,
        refused=tuple(refused),
    )


def _relay(plan: AddressPlan, one: AccessPoint, own: IPv6Address, where: str) -> Relay:
    key = PublicKey.parse(one.key, field=f"{where}/key")
    try:
        address = IPv6Address(one.address)
        slot = plan.slot_of_client(address)
        overlay = plan.relay_address(slot)
    except ValueError:
        raise Invalid(
            "bad_address", f"{one.address} is no relay's address in {plan.prefix}.", field=f"{where}/address"
        ) from None
    return Relay(
        id=one.relay,
        name=one.name,
        key=key,
        endpoints=one.endpoints,
        address=address,
        overlay=overlay,
        guest=plan.guest_address(slot, own),
        priority=one.priority,
    )


def _objection(prefix: Prefix, relays: Iterable[Relay]) -> str | None:
    if prefix.prefixlen < SHORTEST:
        return "it would take the host's default route, and the tunnel with it"
    for relay in relays:
        for text in relay.endpoints:
            endpoint = literal(text)
            if endpoint is not None and endpoint.address.version == prefix.version and endpoint.address in prefix:
                return f"it covers {text}, where relay {relay.name} is reached"
    return None


def literal(text: str) -> Endpoint | None:
    """The endpoint if it is written as an address, None for a host name."""
    try:
        return Endpoint.parse(text)
    except Invalid:
        return None


async def resolve(text: str, *, timeout: float) -> Endpoint | None:
    """The endpoint of `address:port` or `host:port`; None while the name does not resolve."""
    known = literal(text)
    if known is not None:
        return known
    host, _, port = text.rpartition(":")
    if not host or not (port.isascii() and port.isdigit()):
        return None
    try:
        async with asyncio.timeout(timeout):
            found = await asyncio.get_running_loop().getaddrinfo(host, int(port), type=socket.SOCK_DGRAM)
    except (OSError, TimeoutError, OverflowError, UnicodeError):
        return None
    for _family, _type, _protocol, _name, address in found:
        where = str(address[0])
        return literal(f"[{where}]:{port}" if ":" in where else f"{where}:{port}")
    return None


class Tunnel:
    """The interface `name` on one host."""

    def __init__(self, wireguard: WireGuard, links: Links, *, name: str, key: PrivateKey, timers: Timers) -> None:
        self._wireguard = wireguard
        self._links = links
        self._name = name
        self._key = key
        self._timers = timers
        self._tried: dict[str, int] = {}
        """How often each relay's peer was made: each time the next endpoint has its turn."""

    @property
    def backend(self) -> str:
        return self._wireguard.backend

    async def bring_up(self, plan: Plan, *, prefer: str | None = None) -> str | None:
        """Make interface, peers, addresses and routes as planned; returns the relay in use.

        What is there already stays in use, else `prefer`, else the first. Raises `Unavailable`, `Invalid`, `Conflict`.
        """
        fresh = self._name not in await self._wireguard.list()
        if fresh:
            await self._wireguard.create(self._name)
        state = await self._wireguard.read(self._name)
        if state.public_key != self._key.public():
            await self._wireguard.configure(self._name, DeviceConfig(private_key=self._key, listen_port=0))
        await self._links.set_link(self._name, mtu=plan.mtu, up=True)
        current = self._in_use(plan, state.peers)
        if current is None and plan.relays:
            first = min(plan.relays.values(), key=lambda relay: (relay.priority, relay.id)).id
            current = prefer if prefer in plan.relays else first
        await self._put_peers(plan, state.peers, current)
        await self._put_addresses(plan)
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
        there = self._name in await self._wireguard.list()
        await self._wireguard.remove(self._name)
        await self._links.delete_routes(await self._links.read_routes())
        return there

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

    async def _put_addresses(self, plan: Plan) -> None:
        have = await self._links.read_addresses(self._name)
        for address in plan.on_interface:
            if address not in have:
                await self._links.put_address(self._name, address)
        for old in have - set(plan.on_interface):
            if not old.ip.is_link_local:
                await self._links.delete_address(self._name, old)

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
