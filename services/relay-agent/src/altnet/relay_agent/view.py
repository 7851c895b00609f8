"""What a relay's host should hold, computed from the mesh and the private document. Pure.

Each *owner* (another relay, a client, the host itself) wants a few *pieces*: a peer, a link, an address, a route.
Pieces of different owners never share a key, so one changed relay among thousands concerns its own pieces alone.

    relay      peer with the locator /128 · route to the locator · link · its addresses and neighbour · routes over it
    client     access peer with exact /128s · routes to addresses from elsewhere
    host       forwarding · firewall · devices · own addresses · the unreachable route that keeps leaks in

Leaves out how a piece gets onto the host (planes/). Invariant: the same input gives the same pieces, and nothing
that a document says can name a piece outside the agent's own interfaces, prefix and marks.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Address, IPv6Interface, IPv6Network
from typing import Any, Final, NamedTuple

import msgspec
from altnet.common.contracts.desired import (
    AccessClient,
    Encapsulation,
    MeshSettings,
    RelayDocument,
    RelayEntry,
)
from altnet.common.errors import Invalid
from altnet.common.keys import PublicKey
from altnet.common.net import AddressPlan, Prefix, link_local, link_mac, link_number, parse_prefix
from altnet.relay_agent.kernel.links import (
    Form,
    Interface,
    Ip6Gre,
    Link,
    Neighbour,
    Route,
    RouteKind,
    Vxlan,
)
from altnet.relay_agent.kernel.wireguard import Endpoint

FORWARDING: Final = "forwarding"
FIREWALL: Final = "firewall"
DEVICES: Final = "devices"
PEERS: Final = "peers"
LINKS: Final = "links"
ADDRESSES: Final = "addresses"
NEIGHBOURS: Final = "neighbours"
ROUTES: Final = "routes"

PLANES: Final = (FORWARDING, FIREWALL, DEVICES, PEERS, LINKS, ADDRESSES, NEIGHBOURS, ROUTES)
"""In the order of making; taking away goes the other way. The firewall comes before what it guards."""

HOST: Final = "host"

ORIGIN_METRIC: Final = 1024
"""Routes to what a relay originates beyond its own addresses: this plus its slot. So two relays that originate the
same prefix (a client on its way from one to the other) give two routes, and the lower slot's is used."""

LAST_METRIC: Final = 0x7FFFFFFF
"""Of the unreachable route of the network: any other route wins."""

VXLAN_OVERHEAD: Final = 70
"""IPv6 40, UDP 8, VXLAN 8, inner Ethernet 14 bytes."""
GRE_OVERHEAD: Final = 48
"""IPv6 40, GRE 4, key 4 bytes."""

SHORTEST_ORIGIN: Final = {4: 8, 6: 16}
"""Shorter prefixes would take the host's own default route away."""

LOOPBACK: Final = "lo"


@dataclass(frozen=True, kw_only=True)
class Names:
    """The names of the agent's interfaces."""

    prefix: str

    @property
    def mesh(self) -> str:
        """The mesh device of the present key epoch; `m1` is the next one's."""
        return f"{self.prefix}m0"

    @property
    def access(self) -> str:
        return f"{self.prefix}a0"

    @property
    def devices(self) -> tuple[str, ...]:
        """Every WireGuard device that may be the agent's."""
        return tuple(f"{self.prefix}{kind}{epoch}" for kind in "ma" for epoch in "01")

    def link(self, slot: int) -> str:
        return f"{self.prefix}l{slot}"

    def is_link(self, name: str) -> bool:
        number = name.removeprefix(f"{self.prefix}l")
        return name.startswith(f"{self.prefix}l") and number.isascii() and number.isdigit() and len(number) <= 4

    def is_ours(self, name: str) -> bool:
        return name in self.devices or self.is_link(name)


class Device(msgspec.Struct, frozen=True, kw_only=True):
    """A WireGuard device. Its private key is the plane's, which knows it by the name."""

    name: str
    public_key: PublicKey | None
    listen_port: int
    mtu: int
    up: bool = True


class Peer(msgspec.Struct, frozen=True, kw_only=True):
    """A WireGuard peer, with what decides who speaks first."""

    device: str
    key: PublicKey
    allowed: tuple[Prefix, ...]
    initiator: bool = False
    """This side speaks first and keeps the path open: it has the lower public key, or only it can reach the other."""
    keepalive: int = 0
    """Seconds; of whichever side sends to an endpoint."""
    endpoints: tuple[str, ...] = ()


class OnDevice(msgspec.Struct, frozen=True, kw_only=True):
    """An address on an interface."""

    device: str
    address: Interface


class Sysctl(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    value: str


class Ruleset(msgspec.Struct, frozen=True, kw_only=True):
    """The text of the agent's nftables table."""

    text: str


Key = Hashable


class Piece(NamedTuple):
    """One thing that the host should hold. `plane` and `key` identify it."""

    plane: str
    key: Key
    value: Any


@dataclass(frozen=True, kw_only=True)
class Context:
    """What every owner's pieces depend on. Equal contexts give equal pieces."""

    plan: AddressPlan
    relay: str
    slot: int
    key: PublicKey
    encapsulations: tuple[Encapsulation, ...]
    reachable: bool
    """Whether others have an endpoint for this relay. Exactly one end of a pair initiates: of two reachable ones that
    with the lower key, of one reachable the other one."""
    ipv4_site: bool
    """Whether this relay originates an IPv4 prefix, and so forwards IPv4."""
    settings: MeshSettings
    names: Names
    mesh_port: int
    access_key: PublicKey
    access_port: int
    link_port: int


def host_pieces(context: Context, ruleset: Ruleset | None) -> list[Piece]:
    """What the host itself needs, with no neighbour and no client."""
    plan, slot, names = context.plan, context.slot, context.names
    pieces = [_sysctl("net/ipv6/conf/all/forwarding", "1")]
    if context.ipv4_site:
        pieces.append(_sysctl("net/ipv4/ip_forward", "1"))
    if ruleset is not None:
        pieces.append(Piece(FIREWALL, "ruleset", ruleset))
    mesh = Device(name=names.mesh, public_key=context.key, listen_port=context.mesh_port, mtu=context.settings.mtu)
    access = Device(
        name=names.access,
        public_key=context.access_key,
        listen_port=context.access_port,
        mtu=context.settings.access_mtu,
    )
    pieces += [Piece(DEVICES, mesh.name, mesh), Piece(DEVICES, access.name, access)]
    pieces += [
        _address(LOOPBACK, plan.locator(slot)),
        _address(LOOPBACK, plan.relay_address(slot)),
        _address(names.access, plan.access_address(slot)),
        _route(Route(prefix=plan.client_prefix(slot), device=names.access)),
        _route(Route(prefix=plan.prefix, kind=RouteKind.UNREACHABLE, metric=LAST_METRIC)),
    ]
    return pieces


def relay_pieces(context: Context, entry: RelayEntry) -> list[Piece]:
    """What the link to one neighbour needs. Raises `Invalid` if the entry cannot be had."""
    plan, slot, names = context.plan, context.slot, context.names
    key = PublicKey.parse(entry.key, field=f"/relays/{entry.id}/key")
    if key == context.key or entry.slot == slot:
        raise Invalid("bad_entry", f"{entry.id} has this relay's own key or slot.", field=f"/relays/{entry.id}")
    locator = plan.locator(entry.slot)
    host_route = _host(locator)
    initiator = bool(entry.endpoints) and (context.key < key or not context.reachable)
    peer = Peer(
        device=names.mesh,
        key=key,
        allowed=(host_route,),
        initiator=initiator,
        keepalive=context.settings.keepalive,
        endpoints=entry.endpoints,
    )
    pieces = [Piece(PEERS, (peer.device, key), peer)]
    pieces.append(_route(Route(prefix=host_route, device=names.mesh, source=plan.locator(slot))))
    encapsulation = _encapsulation(context, entry)
    if encapsulation is None:
        return pieces
    link = names.link(entry.slot)
    gateway = link_local(entry.slot)
    pieces.append(Piece(LINKS, link, _link(context, entry.slot, encapsulation)))
    pieces.append(_address(link, link_local(slot), 64))
    if encapsulation is Encapsulation.VXLAN:
        neighbour = Neighbour(device=link, address=gateway, mac=link_mac(entry.slot))
        pieces.append(Piece(NEIGHBOURS, (link, gateway), neighbour))
    source = plan.relay_address(slot)
    routes = [
        Route(prefix=prefix, device=link, via=gateway, source=source)
        for prefix in (_host(plan.relay_address(entry.slot)), plan.client_prefix(entry.slot))
    ]
    for text in dict.fromkeys(entry.origins):
        origin = check_origin(plan, entry, text)
        from_here = source if origin.version == 6 else None
        metric = ORIGIN_METRIC + entry.slot
        routes.append(Route(prefix=origin, device=link, via=gateway, source=from_here, metric=metric))
    return [*pieces, *(_route(route) for route in routes)]


def client_pieces(context: Context, client: AccessClient) -> list[Piece]:
    """What one attached client needs. Raises `Invalid`."""
    where = f"/clients/{client.id}"
    key = PublicKey.parse(client.key, field=f"{where}/key")
    home = context.plan.client_prefix(context.slot)
    allowed: list[Prefix] = []
    pieces = []
    for text in client.addresses:
        prefix = parse_prefix(text, field=f"{where}/addresses")
        if not isinstance(prefix, IPv6Network) or not prefix.subnet_of(context.plan.clients):
            raise Invalid("bad_client_address", f"{prefix} is not in the clients' pool.", field=f"{where}/addresses")
        allowed.append(prefix)
        if not prefix.subnet_of(home):
            pieces.append(_route(Route(prefix=prefix, device=context.names.access)))
    peer = Peer(device=context.names.access, key=key, allowed=tuple(allowed))
    return [Piece(PEERS, (peer.device, key), peer), *pieces]


def check_origin(plan: AddressPlan, entry: RelayEntry, text: str) -> Prefix:
    """A prefix that a neighbour may originate. Raises `Invalid` (`bad_origin`).

    Refused: what would carry tunnels into themselves (locators, the neighbour's own endpoint), another relay's
    overlay address, and prefixes so short that they take the host's default route.
    """
    field = f"/relays/{entry.id}/origins"
    prefix = parse_prefix(text, field=field)
    if prefix.prefixlen < SHORTEST_ORIGIN[prefix.version]:
        raise Invalid("bad_origin", f"{prefix} is too short a prefix for a site.", field=field)
    if prefix.is_link_local or prefix.is_multicast or prefix.is_loopback:
        raise Invalid("bad_origin", f"{prefix} is not for traffic between sites.", field=field)
    if isinstance(prefix, IPv6Network) and (prefix.overlaps(plan.locators) or prefix.overlaps(plan.relays)):
        raise Invalid("bad_origin", f"{prefix} overlaps the relays' own addresses.", field=field)
    for endpoint in entry.endpoints:
        if _covers(prefix, endpoint):
            raise Invalid("bad_origin", f"{prefix} covers the relay's own endpoint {endpoint}.", field=field)
    return prefix


def outside_origins(plan: AddressPlan, entry: RelayEntry) -> list[Prefix]:
    """The origins that lie outside the network's prefix: the firewall lets them in from links."""
    found: list[Prefix] = []
    for text in dict.fromkeys(entry.origins):
        try:
            prefix = check_origin(plan, entry, text)
        except Invalid:
            continue  # named by relay_pieces, where it fails the entry
        if isinstance(prefix, IPv4Network) or not prefix.subnet_of(plan.prefix):
            found.append(prefix)
    return found


def is_neighbour(document: RelayDocument, links: frozenset[str] | None, relay: str) -> bool:
    """Whether the document gives this relay a link to that one; `links` is `document.links` as a set."""
    return relay != document.relay and (links is None or relay in links)


def _encapsulation(context: Context, entry: RelayEntry) -> Encapsulation | None:
    # The rule of contracts.desired.link_encapsulation; our side is in the context, so that a change of it shows.
    return next((e for e in Encapsulation if e in context.encapsulations and e in entry.encapsulations), None)


def _link(context: Context, slot: int, encapsulation: Encapsulation) -> Link:
    local, remote = context.plan.locator(context.slot), context.plan.locator(slot)
    number = link_number(context.slot, slot)
    form: Form
    if encapsulation is Encapsulation.IP6GRE:
        form = Ip6Gre(local=local, remote=remote, key=number)
        return Link(name=context.names.link(slot), form=form, mtu=context.settings.mtu - GRE_OVERHEAD)
    # No `device`: the locator's route decides which mesh device carries the link, so a key epoch can change below it.
    form = Vxlan(number=number, local=local, remote=remote, port=context.link_port)
    return Link(
        name=context.names.link(slot),
        form=form,
        mtu=context.settings.mtu - VXLAN_OVERHEAD,
        mac=link_mac(context.slot),
    )


def _covers(prefix: Prefix, endpoint: str) -> bool:
    try:
        address = Endpoint.parse(endpoint).address
    except Invalid:  # a host name: its address is known only when it is resolved
        return False
    return address.version == prefix.version and address in prefix


def _host(address: IPv6Address) -> IPv6Network:
    return IPv6Network((int(address), 128))


def _sysctl(name: str, value: str) -> Piece:
    return Piece(FORWARDING, name, Sysctl(name=name, value=value))


def _address(device: str, address: IPv6Address, length: int = 128) -> Piece:
    interface = IPv6Interface((int(address), length))
    return Piece(ADDRESSES, (device, interface), OnDevice(device=device, address=interface))


def _route(route: Route) -> Piece:
    return Piece(ROUTES, route_key(route), route)


def route_key(route: Route) -> Key:
    """What tells routes apart in the kernel."""
    return (route.table, route.prefix, route.metric)
