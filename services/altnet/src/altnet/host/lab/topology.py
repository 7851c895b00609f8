"""What a lab consists of: hosts, links, addresses, routes. Pure arithmetic, no command is run here.

The internet is a ring of routers joined by transit links. Every other public host sits in a subnet of its own behind
one of them; clients sit in homes behind a NAT router, and every home uses the same private addresses, as homes do.

    2001:db8:0:<k>::/64       198.51.100.<2k>/31        transit link k
    2001:db8:1<rr>:<s>::/64   198.18.0.0/15 in /30s     the subnet in place s behind router rr
    fdc0:ffee:1::/64          192.168.1.0/24            every home

(IPv6: RFC 3849. IPv4: RFC 5737 for transit, RFC 2544 for hosts, because the documentation prefixes end at 254 hosts.)

Invariant: a host's name fixes its addresses as long as the number of routers stays, so that a lab can grow or shrink
without touching the hosts that stay.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import lru_cache
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
)
from types import MappingProxyType
from typing import Final

from altnet.common.errors import Invalid, NotFound
from altnet.host.lab.settings import check_prefix

Address = IPv4Address | IPv6Address
Interface = IPv4Interface | IPv6Interface
Network = IPv4Network | IPv6Network

TRANSIT6: Final = IPv6Network("2001:db8::/48")
TRANSIT4: Final = IPv4Network("198.51.100.0/24")
PLACES6: Final = IPv6Network("2001:db8:100::/40")
PLACES4: Final = IPv4Network("198.18.0.0/15")
HOME6: Final = IPv6Network("fdc0:ffee:1::/64")
HOME4: Final = IPv4Network("192.168.1.0/24")

MOST_ROUTERS: Final = 64
FEWEST_ROUTERS: Final = 3
PLACES: Final = 512
"""Subnets behind one router: a /21 of IPv4 in /30s."""
MOST_IN_HOME: Final = 200

CONTROL: Final = "control"
UPLINK: Final = "eth0"
LAN: Final = "lan"


class Kind(StrEnum):
    ROUTER = "router"
    CONTROL = "control"
    RELAY = "relay"
    NAT = "nat"
    CLIENT = "client"


@dataclass(frozen=True, kw_only=True)
class Spec:
    """The size of a lab. Raises `Invalid` with the field that is out of bounds."""

    prefix: str = "altlab"
    routers: int = 3
    relays: int = 4
    clients: int = 2
    clients_per_nat: int = 1
    roaming: int = 0
    """So many of the clients, the first ones, run altnetd and have two relays. The others are plain WireGuard."""

    def __post_init__(self) -> None:
        check_prefix(self.prefix)
        _bound("routers", self.routers, FEWEST_ROUTERS, MOST_ROUTERS)
        _bound("relays", self.relays, 0, self.routers * (PLACES // 2 - 1))
        _bound("clients_per_nat", self.clients_per_nat, 1, MOST_IN_HOME)
        _bound("clients", self.clients, 0, self.routers * (PLACES // 2 - 1) * self.clients_per_nat)
        _bound("roaming", self.roaming, 0, self.clients)

    @property
    def homes(self) -> int:
        return -(-self.clients // self.clients_per_nat)


@dataclass(frozen=True, kw_only=True)
class Port:
    """One end of a link: an interface in a host, with its addresses or as a port of the bridge `bridge`."""

    host: str
    name: str
    addresses: tuple[Interface, ...] = ()
    bridge: str | None = None


@dataclass(frozen=True, kw_only=True)
class Link:
    """A cable between two hosts."""

    one: Port
    other: Port

    def __iter__(self) -> Iterator[Port]:
        return iter((self.one, self.other))


@dataclass(frozen=True, kw_only=True)
class Route:
    to: Network
    via: Address


@dataclass(frozen=True, kw_only=True)
class Host:
    """One namespace. `router` is the router it hangs on, for a client its home's NAT router."""

    name: str
    kind: Kind
    namespace: str
    router: str | None = None
    routes: tuple[Route, ...] = ()
    bridge: str | None = None
    bridge_addresses: tuple[Interface, ...] = ()

    @property
    def forwards(self) -> bool:
        return self.kind is not Kind.CLIENT and self.kind is not Kind.CONTROL


@dataclass(frozen=True, kw_only=True)
class Topology:
    """A planned lab. `hosts` is in the order of building."""

    spec: Spec
    hosts: Mapping[str, Host]
    links: tuple[Link, ...]
    _ports: Mapping[str, tuple[Port, ...]] = field(repr=False, compare=False)

    def host(self, name: str) -> Host:
        """Raises `NotFound` (`no_such_host`)."""
        try:
            return self.hosts[name]
        except KeyError:
            raise NotFound(
                "no_such_host",
                f"the lab has no host {name!r}.",
                mend=f"It has {_names(self.hosts)}.",
            ) from None

    def of_kind(self, kind: Kind) -> tuple[Host, ...]:
        return tuple(host for host in self.hosts.values() if host.kind is kind)

    def roams(self, name: str) -> bool:
        """Whether this client runs altnetd."""
        clients = self.of_kind(Kind.CLIENT)[: self.spec.roaming]
        return any(host.name == name for host in clients)

    def ports(self, name: str) -> tuple[Port, ...]:
        """The ends of links in this host."""
        return self._ports.get(name, ())

    def address(self, name: str, version: int = 6) -> Address:
        """Where the host is reached: its address on its uplink."""
        for port in self.ports(name):
            for address in port.addresses:
                if address.version == version and (port.name == UPLINK or self.host(name).kind is Kind.ROUTER):
                    return address.ip
        raise NotFound("no_such_address", f"{name} has no IPv{version} address.")

    def edge(self, name: str) -> tuple[Network, ...]:
        """The subnets as which the internet sees this host; a client's are its home's. Routers have none."""
        host = self.host(name)
        if host.kind is Kind.ROUTER:
            return ()
        home = self.home(name).name
        return tuple(address.network for port in self.ports(home) if port.name == UPLINK for address in port.addresses)

    def home(self, name: str) -> Host:
        """The host by which this one hangs on its router: a client's is its NAT router, any other's is itself."""
        host = self.host(name)
        return self.home(host.router) if host.kind is Kind.CLIENT and host.router is not None else host

    def without(self, absent: Iterable[str]) -> Topology:
        """The same lab while these hosts are away: no links to them, and no routes over those links."""
        away = set(absent)
        links = tuple(link for link in self.links if not any(port.host in away for port in link))
        ports = _by_host(links)
        hosts = {}
        for name, host in self.hosts.items():
            if name in away:
                continue
            nets = [address.network for port in ports.get(name, ()) for address in port.addresses]
            routes = tuple(route for route in host.routes if any(route.via in net for net in nets))
            hosts[name] = replace(host, routes=routes)
        return Topology(spec=self.spec, hosts=hosts, links=links, _ports=ports)


@lru_cache(maxsize=16)
def plan(spec: Spec) -> Topology:
    """The lab of this size: nobody changes what is handed out, since every command of a lab asks for it anew."""
    hosts: dict[str, Host] = {}
    links: list[Link] = []
    for number in range(spec.routers):
        name = _router(number)
        hosts[name] = Host(
            name=name, kind=Kind.ROUTER, namespace=f"{spec.prefix}-{name}", routes=_ring_routes(number, spec.routers)
        )
        links.append(_transit(number, spec.routers))
    _attach(hosts, links, spec, CONTROL, Kind.CONTROL, router=0, place=0)
    for number in range(spec.relays):
        # Even places for relays, odd ones for homes: growing one kind never moves the other.
        place = 2 * (number // spec.routers) + 2
        _attach(hosts, links, spec, f"relay{number + 1}", Kind.RELAY, router=number % spec.routers, place=place)
    for number in range(spec.homes):
        # Homes start half way round the ring, so that a client's nearest relay is not always relay1.
        router = (number + spec.routers // 2) % spec.routers
        place = 2 * (number // spec.routers) + 1
        _attach(hosts, links, spec, f"nat{number + 1}", Kind.NAT, router=router, place=place)
    for number in range(spec.clients):
        _move_in(hosts, links, spec, number)
    return Topology(spec=spec, hosts=MappingProxyType(hosts), links=tuple(links), _ports=_by_host(links))


def block(router: int) -> tuple[IPv4Network, IPv6Network]:
    """All subnets behind one router (counted from 0): what the other routers need a route for."""
    return (
        IPv4Network((int(PLACES4.network_address) + router * PLACES * 4, 21)),
        IPv6Network((int(PLACES6.network_address) | router << 80, 48)),
    )


def next_hop(router: int, to: int, routers: int) -> int:
    """The neighbour of `router` on the shorter way round the ring to `to`; clockwise when both are equal."""
    clockwise = (to - router) % routers
    return (router + 1) % routers if clockwise <= routers - clockwise else (router - 1) % routers


def _by_host(links: Iterable[Link]) -> dict[str, tuple[Port, ...]]:
    ports: dict[str, list[Port]] = {}
    for link in links:
        for port in link:
            ports.setdefault(port.host, []).append(port)
    return {name: tuple(ends) for name, ends in ports.items()}


def _attach(
    hosts: dict[str, Host], links: list[Link], spec: Spec, name: str, kind: Kind, *, router: int, place: int
) -> None:
    four, six = _subnet(router, place)
    hosts[name] = Host(
        name=name,
        kind=kind,
        namespace=f"{spec.prefix}-{name}",
        router=_router(router),
        routes=(Route(to=IPv6Network("::/0"), via=six[1]), Route(to=IPv4Network("0.0.0.0/0"), via=four[1])),
        bridge=LAN if kind is Kind.NAT else None,
        bridge_addresses=(_on(HOME6, 1), _on(HOME4, 1)) if kind is Kind.NAT else (),
    )
    links.append(
        Link(
            one=Port(host=_router(router), name=f"to-{name}", addresses=(_on(six, 1), _on(four, 1))),
            other=Port(host=name, name=UPLINK, addresses=(_on(six, 2), _on(four, 2))),
        )
    )


def _move_in(hosts: dict[str, Host], links: list[Link], spec: Spec, number: int) -> None:
    name = f"client{number + 1}"
    home = f"nat{number // spec.clients_per_nat + 1}"
    seat = 10 + number % spec.clients_per_nat
    hosts[name] = Host(
        name=name,
        kind=Kind.CLIENT,
        namespace=f"{spec.prefix}-{name}",
        router=home,
        routes=(Route(to=IPv6Network("::/0"), via=HOME6[1]), Route(to=IPv4Network("0.0.0.0/0"), via=HOME4[1])),
    )
    links.append(
        Link(
            one=Port(host=home, name=f"to-{name}", bridge=LAN),
            other=Port(host=name, name=UPLINK, addresses=(_on(HOME6, seat), _on(HOME4, seat))),
        )
    )


def _transit(number: int, routers: int) -> Link:
    """The link from router `number` to the next one on the ring."""
    after = (number + 1) % routers
    six, four = _transit_subnet(number)
    return Link(
        one=Port(host=_router(number), name=f"to-{_router(after)}", addresses=(_on(six, 1), _on(four, 0))),
        other=Port(host=_router(after), name=f"to-{_router(number)}", addresses=(_on(six, 2), _on(four, 1))),
    )


def _ring_routes(router: int, routers: int) -> tuple[Route, ...]:
    routes: list[Route] = []
    via: tuple[Address, Address]
    for to in range(routers):
        if to == router:
            continue
        hop = next_hop(router, to, routers)
        # The link is numbered after its first router; the far end of it is the gateway.
        forward = hop == (router + 1) % routers
        six, four = _transit_subnet(router if forward else hop)
        via = (four[1], six[2]) if forward else (four[0], six[1])
        four_block, six_block = block(to)
        routes += [Route(to=four_block, via=via[0]), Route(to=six_block, via=via[1])]
    return tuple(routes)


def _transit_subnet(number: int) -> tuple[IPv6Network, IPv4Network]:
    return (
        IPv6Network((int(TRANSIT6.network_address) | number << 64, 64)),
        IPv4Network((int(TRANSIT4.network_address) + 2 * number, 31)),
    )


def _subnet(router: int, place: int) -> tuple[IPv4Network, IPv6Network]:
    four, six = block(router)
    return (
        IPv4Network((int(four.network_address) + 4 * place, 30)),
        IPv6Network((int(six.network_address) | place << 64, 64)),
    )


def _on(network: Network, number: int) -> Interface:
    if isinstance(network, IPv6Network):
        return IPv6Interface((int(network.network_address) + number, network.prefixlen))
    return IPv4Interface((int(network.network_address) + number, network.prefixlen))


def _router(number: int) -> str:
    return f"router{number + 1}"


def _names(hosts: Mapping[str, Host]) -> str:
    names = list(hosts)
    return ", ".join(names if len(names) <= 20 else [*names[:19], f"… ({len(names)} in all)"])


def _bound(name: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise Invalid(
            "bad_lab_size",
            f"{value} is outside {low} … {high}.",
            field=f"/{name}",
            mend="Choose a number between them.",
        )
