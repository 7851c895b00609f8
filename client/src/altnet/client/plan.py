"""What a configuration asks of the tunnel, checked: which addresses, routes and relays, and by which of our keys.

While a key is being replaced, ours or a relay's, a configuration has two plans: where sessions are, and where they are
to move (`moved`). Leaves out getting there (tunnel.py, shift.py).
Invariant: a plan is right as a whole, or there is none.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv6Address, IPv6Interface
from typing import Final

import msgspec
from altnet.common.contracts.client import AccessPoint, ClientConfig
from altnet.common.errors import Invalid
from altnet.common.kernel.wireguard import Endpoint, canonical
from altnet.common.keys import PublicKey
from altnet.common.net import AddressPlan, Prefix, check_network_prefix, parse_prefix

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
    own: PublicKey | None = None
    """Our key that relays know us by there; None: whichever we have."""
    refused: tuple[str, ...] = field(default=())
    """Routes that cannot be had, with the reason."""

    @property
    def on_interface(self) -> tuple[IPv6Interface, ...]:
        """All addresses that the interface gets."""
        guests = (IPv6Interface((relay.guest, 128)) for relay in self.relays.values())
        return tuple(dict.fromkeys((*self.addresses, *guests)))


def plan_of(config: ClientConfig, *, moved: bool = False) -> Plan:
    """Check a configuration; `moved`: where its sessions are to move.

    Raises `Invalid`, naming the field: nothing of it has been done then.
    """
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
    points = [_next(one) if moved else one for one in config.relays]
    relays = {one.relay: _relay(plan, one, own, f"/relays/{number}") for number, one in enumerate(points)}
    key = config.next_key or config.key if moved else config.key
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
        own=PublicKey.parse(key, field="/key") if key else None,
        refused=tuple(refused),
    )


def _next(one: AccessPoint) -> AccessPoint:
    if one.next is None:
        return one
    return msgspec.structs.replace(one, key=one.next.key, endpoints=one.next.endpoints)


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
