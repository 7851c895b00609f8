"""What a relay's host should hold, computed from the mesh and the private document. Pure.

Each *owner* (another relay, a client, the host itself) wants a few *pieces*: a peer, a link, an address, a route.
Pieces of different owners never share a key, so one changed relay among thousands concerns its own pieces alone.

    relay      peer with the locator /128 · route to the locator · link · its addresses and neighbour · routes over it
    client     access peer with exact /128s · routes to its addresses from elsewhere, while it is here
    host       forwarding · firewall · devices · own addresses · the unreachable route that keeps leaks in

With BIRD, routes over a link are a session's business, and what this relay originates lies in a table of its own.

Leaves out how a piece gets onto the host (planes/). Invariant: the same input gives the same pieces, and nothing
that a document says can name a piece outside the agent's own interfaces, prefix and marks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, IPv6Interface, IPv6Network
from typing import Final, NamedTuple

from altnet.common.contracts.desired import (
    AccessClient,
    Encapsulation,
    MeshSettings,
    RelayDocument,
    RelayEntry,
    access_device,
)
from altnet.common.contracts.routing import Engine, Peering
from altnet.common.errors import Invalid
from altnet.common.kernel.links import (
    Form,
    Ip6Gre,
    Link,
    Neighbour,
    Route,
    RouteKind,
    Vxlan,
)
from altnet.common.kernel.wireguard import PresharedKey, canonical
from altnet.common.keys import PublicKey
from altnet.common.net import AddressPlan, Prefix, link_local, link_mac, link_number, parse_prefix
from altnet.relay_agent.access_epochs import Way, used_by, ways
from altnet.relay_agent.bird.pieces import HOST_KEY, RoutingHost, RoutingRelay, peering_key, relay_key
from altnet.relay_agent.epochs import Roles, Session, pair
from altnet.relay_agent.pieces import (
    ADDRESSES,
    DEVICES,
    FIREWALL,
    FORWARDING,
    LINKS,
    LOOPBACK,
    NEIGHBOURS,
    PEERS,
    ROUTES,
    ROUTING,
    SPREAD_BY_PORTS,
    SPREADING,
    Device,
    Names,
    OnDevice,
    Peer,
    Piece,
    Ruleset,
    Sysctl,
    address_key,
    neighbour_key,
    route_key,
)
from altnet.relay_agent.rights import Rights, endpoint_addresses, inside, pools, rights_of

ORIGIN_METRIC: Final = 1024
"""Routes to what a relay originates beyond its own addresses: this plus its slot. So two relays that originate the
same prefix (a client on its way from one to the other) give two routes, and the lower slot's is used."""

LAST_METRIC: Final = 0x7FFFFFFF
"""Of the unreachable route of the network: any other route wins."""

ASIDE_METRIC: Final = LAST_METRIC - 1
"""Of routes to clients of our own that use another access device than the first: they stand in for the /64, so a route
to where a client is attached wins, and one that says nothing is found all the same."""

VXLAN_OVERHEAD: Final = 70
"""IPv6 40, UDP 8, VXLAN 8, inner Ethernet 14 bytes."""
GRE_OVERHEAD: Final = 48
"""IPv6 40, GRE 4, key 4 bytes."""


class Place(NamedTuple):
    """All that follows from a slot."""

    locator: IPv6Address
    locator_host: IPv6Network
    address: IPv6Address
    address_host: IPv6Network
    client_prefix: IPv6Network
    access_address: IPv6Address
    attach_address: IPv6Address
    link_local: IPv6Address
    mac: str


@lru_cache(maxsize=8192)
def _place(network: int, slot: int) -> Place:
    # Arithmetic on IPv6Network objects would be most of the cost of a change, and of the memory of many agents.
    plan = AddressPlan(IPv6Network((network, 48)))
    locator, address = plan.locator(slot), plan.relay_address(slot)
    return Place(
        locator=locator,
        locator_host=IPv6Network((int(locator), 128)),
        address=address,
        address_host=IPv6Network((int(address), 128)),
        client_prefix=plan.client_prefix(slot),
        access_address=plan.access_address(slot),
        attach_address=plan.attach_address(slot),
        link_local=link_local(slot),
        mac=link_mac(slot),
    )


def place(plan: AddressPlan, slot: int) -> Place:
    """The addresses of a slot in a network."""
    return _place(int(plan.prefix.network_address), slot)


@dataclass(frozen=True, kw_only=True)
class Context:
    """What every owner's pieces depend on. Equal contexts give equal pieces."""

    plan: AddressPlan
    relay: str
    slot: int
    keys: Roles
    encapsulations: tuple[Encapsulation, ...]
    reachable: bool
    """Whether others have an endpoint for this relay. Exactly one end of a pair initiates: of two reachable ones that
    with the lower key, of one reachable the other one."""
    ipv4_site: bool
    """Whether this relay forwards IPv4: it originates some, or with BIRD any relay does."""
    settings: MeshSettings
    names: Names
    mesh_ports: tuple[int, int]
    """Of the two mesh devices."""
    access: Roles
    """Of the keys that clients know this relay by."""
    access_port: int
    """Of the first access device; each other one has the next free one by its number."""
    link_port: int
    doors: tuple[int, ...] = (0,)
    """Those that clients need."""
    engine: Engine = Engine.STATIC
    """What decides this relay's paths, as far as the others know it too: a session has two ends."""
    bird: bool = False
    """Whether BIRD is to run here, be it for peerings alone."""
    origin_table: int = 0


def host_pieces(context: Context, ruleset: Ruleset | None, own: Originated | None = None) -> list[Piece]:
    """What the host itself needs, with no neighbour and no client. `own`: what its routing engine is to announce."""
    here = place(context.plan, context.slot)
    pieces = [_sysctl("net/ipv6/conf/all/forwarding", "1")]
    if context.ipv4_site:
        pieces.append(_sysctl("net/ipv4/ip_forward", "1"))
    if context.bird:  # static routes have one path each
        pieces += [_sysctl(name, SPREAD_BY_PORTS) for name in SPREADING]
    if ruleset is not None:
        pieces.append(Piece(FIREWALL, "ruleset", ruleset))
    access = _access_devices(context)
    meshes = [_mesh_device(context, context.keys.device, context.keys.key)]
    if (following := context.keys.next) is not None:
        meshes.append(_mesh_device(context, following.device, following.key))
    pieces += [Piece(DEVICES, device.name, device) for device in (*meshes, *access)]
    pieces += [
        _address(LOOPBACK, here.locator),
        _address(LOOPBACK, here.address),
        *(
            _address(device.name, address)
            for device in access
            for address in (here.access_address, here.attach_address)
        ),
        _route(Route(prefix=here.client_prefix, device=_first_access(context), source=here.access_address)),
        _route(Route(prefix=context.plan.prefix, kind=RouteKind.UNREACHABLE, metric=LAST_METRIC)),
    ]
    return pieces if own is None else [*pieces, *_routing_pieces(context, own)]


def _mesh_device(context: Context, device: int, key: PublicKey) -> Device:
    return Device(
        name=context.names.mesh_of(device),
        public_key=key,
        listen_port=context.mesh_ports[device],
        mtu=context.settings.mtu,
    )


def _access_devices(context: Context) -> list[Device]:
    """One for each access key and door: the first of the present key first, where clients are by default."""
    keys = {context.access.device: context.access.key}
    if context.access.next is not None:
        keys[context.access.next.device] = context.access.next.key
    numbers = [(access_device(device, door), device) for device in keys for door in context.doors]
    return [
        Device(
            name=context.names.access_of(number),
            public_key=keys[device],
            listen_port=context.access_port + number,
            mtu=context.settings.access_mtu,
        )
        for number, device in numbers
    ]


def _first_access(context: Context) -> str:
    return context.names.access_of(access_device(context.access.device, 0))


@dataclass(frozen=True, kw_only=True)
class Originated:
    """What this relay announces, and how."""

    prefixes: tuple[Prefix, ...] = ()
    """Beyond its own address and its clients' /64."""
    draining: bool = False
    endpoints: tuple[IPv4Address | IPv6Address, ...] = ()
    peerings: tuple[Peering, ...] = ()


def _routing_pieces(context: Context, own: Originated) -> list[Piece]:
    pieces = [Piece(ROUTING, peering_key(one.id), one) for one in own.peerings if one.enabled]
    if not context.bird:
        return pieces
    here, settings = place(context.plan, context.slot), context.settings
    host = RoutingHost(
        slot=context.slot,
        network=context.plan.prefix,
        links=context.names.link_start,
        table=context.origin_table,
        bfd_interval=settings.bfd_interval,
        bfd_multiplier=settings.bfd_multiplier,
        restart_time=settings.restart_time,
        draining=own.draining,
        endpoints=own.endpoints,
        sites=tuple(one for one in own.prefixes if not inside(context.plan, one)),
    )
    pieces.append(Piece(ROUTING, HOST_KEY, host))
    announced = dict.fromkeys((here.address_host, here.client_prefix, *own.prefixes))
    table, blackhole = context.origin_table, RouteKind.BLACKHOLE
    return [*pieces, *(_route(Route(prefix=prefix, kind=blackhole, table=table)) for prefix in announced)]


def routing_piece(context: Context, entry: RelayEntry, *, linked: bool, rights: Rights | None = None) -> Piece:
    """What BIRD is told of another relay: what it may originate, which concerns those without a link too.

    `rights`: the entry's, where the caller has them. Raises `Invalid` if the entry cannot be had.
    """
    if entry.slot == context.slot:
        raise Invalid("bad_entry", f"{entry.id} has this relay's own slot.", field=f"/relays/{entry.id}")
    may = rights or rights_of(context.plan, entry)
    relay = RoutingRelay(
        slot=entry.slot,
        session=linked and _encapsulation(context, entry) is not None and runs_bgp(context, entry),
        origins=tuple(dict.fromkeys((*may.origins, *may.roaming))),
        learned=may.learned,
        endpoints=endpoint_addresses(entry),
    )
    return Piece(ROUTING, relay_key(entry.id), relay)


def runs_bgp(context: Context, entry: RelayEntry) -> bool:
    """Whether BIRD decides over the link to this relay: only where it runs at both ends, and both know it."""
    return context.engine is Engine.BIRD and entry.routing is Engine.BIRD


def relay_pieces(
    context: Context,
    entry: RelayEntry,
    *,
    switched: bool = False,
    psk: PresharedKey | None = None,
    rights: Rights | None = None,
) -> list[Piece]:
    """What the link to one neighbour needs. Raises `Invalid` if the entry cannot be had.

    `switched`: the session of the next keys is seen to work, so it carries the link. `psk`: of the pair, whichever
    mesh keys its sessions are of. `rights`: the entry's, where the caller has them.
    """
    names, here = context.names, place(context.plan, context.slot)
    if entry.slot == context.slot:
        raise Invalid("bad_entry", f"{entry.id} has this relay's own slot.", field=f"/relays/{entry.id}")
    there, both = place(context.plan, entry.slot), pair(context.keys, entry)
    peers = [_mesh_peer(context, entry, session, there, psk) for session in both.sessions()]
    device = names.mesh_of(both.used(switched).device)
    pieces = [
        *(Piece(PEERS, (peer.device, peer.key), peer) for peer in peers),
        _route(Route(prefix=there.locator_host, device=device, source=here.locator)),
    ]
    encapsulation = _encapsulation(context, entry)
    if encapsulation is None:
        return pieces
    link, gateway = names.link(entry.slot), there.link_local
    pieces.append(Piece(LINKS, link, _link(context, link, entry.slot, encapsulation)))
    pieces.append(_address(link, here.link_local, 64))
    if encapsulation is Encapsulation.VXLAN:
        neighbour = Neighbour(device=link, address=gateway, mac=there.mac)
        pieces.append(Piece(NEIGHBOURS, neighbour_key(neighbour), neighbour))
    if runs_bgp(context, entry):
        return pieces  # BIRD alone decides
    pieces += [
        _route(Route(prefix=prefix, device=link, via=gateway, source=here.address))
        for prefix in (there.address_host, there.client_prefix)
    ]
    for origin in (rights or rights_of(context.plan, entry)).origins:
        from_here = here.address if origin.version == 6 else None
        metric = ORIGIN_METRIC + entry.slot
        pieces.append(_route(Route(prefix=origin, device=link, via=gateway, source=from_here, metric=metric)))
    return pieces


def _mesh_peer(context: Context, entry: RelayEntry, session: Session, there: Place, psk: PresharedKey | None) -> Peer:
    try:
        key = _parse_key(session.key)
    except Invalid as error:
        raise Invalid(error.code, error.detail, field=f"/relays/{entry.id}/key", mend=error.mend) from None
    if key in (context.keys.key, session.own):
        raise Invalid("bad_entry", f"{entry.id} has this relay's own key.", field=f"/relays/{entry.id}")
    device, allowed = context.names.mesh_of(session.device), (there.locator_host,)
    if not session.speaks:
        return Peer(device=device, key=key, allowed=allowed, psk=psk)
    return Peer(
        device=device,
        key=key,
        allowed=allowed,
        initiator=bool(session.endpoints) and (session.own.raw < key.raw or not context.reachable),
        keepalive=context.settings.keepalive,
        endpoints=session.endpoints,
        psk=psk,
    )


def client_pieces(
    context: Context, client: AccessClient, *, attached: bool = False, fresh: bool = False, carried: int | None = None
) -> list[Piece]:
    """What one client needs: a peer for each way always, routes where it is here. Raises `Invalid`.

    `carried` is the number of the access device that it uses, as far as that is known. By another one than the first
    it needs routes of its own, and one to its guest address too.

    One that can move is here if it is `attached`; else it is at its own relay, whatever it says. Our /64 covers a
    client of our own; but while one that has come home is `fresh`, longer routes may lead to where it was, so that it
    has one here too.
    """
    where = f"/clients/{client.id}"
    PublicKey.parse(client.key, field=f"{where}/key")
    several = ways(context.access, client)
    device = context.names.access_of(used_by(several, carried).device)
    aside = device != _first_access(context)
    home = context.plan.client_prefix(context.slot)
    allowed: list[Prefix] = []
    pieces = []
    present = attached if client.movable else not client.standby
    reserved = pools(context.plan)
    for text in client.addresses:
        prefix = parse_prefix(text, field=f"{where}/addresses")
        if not isinstance(prefix, IPv6Network) or not any(map(prefix.subnet_of, (reserved.clients, reserved.services))):
            reason = f"{prefix} is neither in the clients' pool nor in the services'."
            raise Invalid("bad_client_address", reason, field=f"{where}/addresses")
        allowed.append(prefix)
        if present and (not prefix.subnet_of(home) or (fresh and client.movable)):
            pieces += origin_pieces(context, prefix, announced=client.movable, device=device)
        elif aside and prefix.subnet_of(home):
            pieces.append(_aside(context, prefix, device))
        if client.movable and prefix.subnet_of(reserved.clients):
            guest = IPv6Network(context.plan.guest_address(context.slot, prefix.network_address))
            allowed.append(guest)
            if aside:
                pieces.append(_aside(context, guest, device))
    return [*(_client_peer(context, way, where, allowed) for way in several), *pieces]


def _aside(context: Context, prefix: Prefix, device: str) -> Piece:
    source = place(context.plan, context.slot).access_address
    return _route(Route(prefix=prefix, device=device, source=source, metric=ASIDE_METRIC))


def _client_peer(context: Context, way: Way, where: str, allowed: list[Prefix]) -> Piece:
    key = PublicKey.parse(way.key, field=f"{where}/key")
    peer = Peer(device=context.names.access_of(way.device), key=key, allowed=canonical(allowed))
    return Piece(PEERS, (peer.device, key), peer)


def origin_pieces(context: Context, prefix: Prefix, *, announced: bool, device: str) -> list[Piece]:
    """What makes a client's prefix ours to deliver, by the access device that it uses.

    `announced`: by the client's own presence; otherwise it is among the origins of this relay's entry, or of nobody's.
    """
    source = place(context.plan, context.slot).access_address
    pieces = [_route(Route(prefix=prefix, device=device, source=source))]
    if announced and context.bird:
        pieces.append(_route(Route(prefix=prefix, kind=RouteKind.BLACKHOLE, table=context.origin_table)))
    return pieces


def known_key(text: str) -> PublicKey | None:
    """A relay's or client's key as it is in a document; None for what is no key."""
    try:
        return _parse_key(text)
    except Invalid:
        return None


def neighbours(document: RelayDocument | None, entries: Mapping[str, RelayEntry]) -> list[RelayEntry]:
    """The relays that the document gives this one a link to; none while it is not here, and for one that is out.

    Costs what the links are and not what the mesh is: it is asked at each change of any relay.
    """
    if document is None or document.revoked:
        return []
    linked = entries if document.links is None else document.links
    return [entries[relay] for relay in linked if relay != document.relay and relay in entries]


def vxlan_pair(context: Context, entry: RelayEntry) -> tuple[IPv6Address, int] | None:
    """The neighbour's locator and the identifier of the one VXLAN that it may send in; None where the link is another.

    Its form is decided as in `relay_pieces`.
    """
    if entry.slot == context.slot or _encapsulation(context, entry) is not Encapsulation.VXLAN:
        return None
    return place(context.plan, entry.slot).locator, link_number(context.slot, entry.slot)


def _encapsulation(context: Context, entry: RelayEntry) -> Encapsulation | None:
    # The rule of contracts.desired.link_encapsulation; our side is in the context, so that a change of it shows.
    return next((e for e in Encapsulation if e in context.encapsulations and e in entry.encapsulations), None)


def _link(context: Context, name: str, slot: int, encapsulation: Encapsulation) -> Link:
    here, there = place(context.plan, context.slot), place(context.plan, slot)
    number = link_number(context.slot, slot)
    form: Form
    if encapsulation is Encapsulation.IP6GRE:
        form = Ip6Gre(local=here.locator, remote=there.locator, key=number)
        return Link(name=name, form=form, mtu=context.settings.mtu - GRE_OVERHEAD)
    # No `device`: the locator's route decides which mesh device carries the link, so a key epoch can change below it.
    form = Vxlan(number=number, local=here.locator, remote=there.locator, port=context.link_port)
    return Link(name=name, form=form, mtu=context.settings.mtu - VXLAN_OVERHEAD, mac=here.mac)


_parse_key = lru_cache(maxsize=8192)(PublicKey.parse)


@lru_cache(maxsize=8192)
def _interface(address: int, length: int) -> IPv6Interface:
    return IPv6Interface((address, length))


def _sysctl(name: str, value: str) -> Piece:
    return Piece(FORWARDING, name, Sysctl(name=name, value=value))


def _address(device: str, address: IPv6Address, length: int = 128) -> Piece:
    piece = OnDevice(device=device, address=_interface(int(address), length))
    return Piece(ADDRESSES, address_key(piece), piece)


def _route(route: Route) -> Piece:
    return Piece(ROUTES, route_key(route), route)
